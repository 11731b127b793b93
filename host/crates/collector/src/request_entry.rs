//! The spool entry of a request: the name of its source, and its events.

use std::io::Write;

use thiserror::Error;

use super::decode::{DecodedEvent, DecodedEvents};
use standpipe_core::event::EventRefusal;

/// The first byte of each entry, which identifies the format.
const VERSION: u8 = 1;

/// Why an entry that is not corrupt cannot be read: a newer or a faulty version of the program
/// wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum UnreadableEntry {
    /// The version is unknown.
    #[error("unknown format version {0}: this program reads version {VERSION}")]
    Version(u8),
    /// The parts do not match.
    #[error("malformed entry")]
    Malformed,
}

/// A refusal code that this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("unknown refusal code {0} of an event")]
pub(super) struct UnknownRefusal(u8);

/// An entry that was read back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestEntry<'a> {
    pub(super) source: &'a str,
    pub(super) texts: &'a [u8],
    ends: &'a [u8],
}

/// Bytes of an event's header: the end of its text, and the code of its refusal.
const EVENT_BYTES: usize = 5;

/// Creates an entry in the buffer of the texts. The texts are moved after the header, because the
/// number of events is known only at the end.
pub(super) fn encode_entry(source: &str, decoded: DecodedEvents) -> Vec<u8> {
    let DecodedEvents { bytes: mut entry, events, .. } = decoded;
    let head = head_bytes(source, events.len());
    let texts = entry.len();
    entry.resize(head + texts, 0);
    entry.copy_within(..texts, head);
    let name_bytes = u16::try_from(source.len()).expect("a source's name is short");
    let count = u32::try_from(events.len()).expect("a body is limited");
    let mut rest = &mut entry[..head];
    let mut put = |bytes: &[u8]| rest.write_all(bytes).expect("the head has room");
    put(&[VERSION]);
    put(&name_bytes.to_le_bytes());
    put(source.as_bytes());
    put(&count.to_le_bytes());
    for DecodedEvent { end, refused, .. } in events {
        put(&end.to_le_bytes());
        put(&[refused.map_or(0, EventRefusal::code)]);
    }
    entry
}

/// The size of the header for this number of events.
pub(super) fn head_bytes(source: &str, events: usize) -> usize {
    1 + 2 + source.len() + 4 + events * EVENT_BYTES
}

impl<'a> RequestEntry<'a> {
    /// Decodes an entry.
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, UnreadableEntry> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => Self::decode_parts(rest).ok_or(UnreadableEntry::Malformed),
            Some((version, _)) => Err(UnreadableEntry::Version(*version)),
            None => Err(UnreadableEntry::Malformed),
        }
    }

    fn decode_parts(rest: &'a [u8]) -> Option<Self> {
        let (name_bytes, rest) = rest.split_first_chunk()?;
        let (source, rest) = rest.split_at_checked(u16::from_le_bytes(*name_bytes).into())?;
        let source = str::from_utf8(source).ok()?;
        let (count, rest) = rest.split_first_chunk()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (ends, texts) = rest.split_at_checked(count.checked_mul(EVENT_BYTES)?)?;
        let entry = RequestEntry { source, texts, ends };
        entry.is_whole().then_some(entry)
    }

    /// The end of each event's text, and the reason of its refusal, if it is refused. A text starts
    /// where the previous one ends.
    pub(super) fn events(
        &self,
    ) -> impl Iterator<Item = (u32, Result<Option<EventRefusal>, UnknownRefusal>)> + use<'a> {
        let events = self.ends.as_chunks::<EVENT_BYTES>().0;
        events.iter().map(|[end @ .., code]| (u32::from_le_bytes(*end), parse_refusal(*code)))
    }

    /// Returns whether the events cover the texts exactly.
    fn is_whole(&self) -> bool {
        let mut start = 0;
        for (end, _) in self.events() {
            if end < start {
                return false;
            }
            start = end;
        }
        start as usize == self.texts.len()
    }
}

/// Parses the code after the end of an event's text. 0 means that the event is not refused.
fn parse_refusal(code: u8) -> Result<Option<EventRefusal>, UnknownRefusal> {
    match code {
        0 => Ok(None),
        code => EventRefusal::from_code(code).map(Some).ok_or(UnknownRefusal(code)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_read_as_it_was_written(
            source in "[a-z ä]{1,20}",
            events in prop::collection::vec(("[^\n]{0,20}", prop::option::of(Just(EventRefusal::NoIdentity))), 0..20),
        ) {
            let mut decoded = DecodedEvents::default();
            for (text, refused) in &events {
                let start = u32::try_from(decoded.bytes.len()).unwrap();
                decoded.bytes.extend_from_slice(text.as_bytes());
                let end = u32::try_from(decoded.bytes.len()).unwrap();
                decoded.events.push(DecodedEvent { start, end, refused: *refused });
            }
            let texts = decoded.bytes.clone();
            let written: Vec<_> = decoded.events.iter().map(|event| (event.end, Ok(event.refused))).collect();
            let bytes = encode_entry(&source, decoded);
            prop_assert_eq!(bytes.len(), head_bytes(&source, written.len()) + texts.len());
            let entry = RequestEntry::decode(&bytes).unwrap();
            prop_assert_eq!((entry.source, entry.texts), (&source[..], &texts[..]));
            let read: Vec<_> = entry.events().collect();
            prop_assert_eq!(read, written);
            for end in 0..bytes.len() {
                prop_assert!(RequestEntry::decode(&bytes[..end]).is_err() || events.is_empty());
            }
        }

        #[test]
        fn a_code_that_stands_for_nothing_is_no_good_event(code in 1..=u8::MAX) {
            let mut decoded = DecodedEvents::default();
            decoded.bytes.extend_from_slice(b"{}");
            decoded.events.push(DecodedEvent { start: 0, end: 2, refused: None });
            let mut bytes = encode_entry("web", decoded);
            let code_at = bytes.len() - 3;
            bytes[code_at] = code;
            let (_, refused) = RequestEntry::decode(&bytes).unwrap().events().next().unwrap();
            prop_assert_eq!(refused, EventRefusal::from_code(code).map(Some).ok_or(UnknownRefusal(code)));
            prop_assert_ne!(refused, Ok(None));
        }

        #[test]
        fn another_version_is_told_from_what_is_malformed(version in any::<u8>()) {
            let mut bytes = encode_entry("web", DecodedEvents::default());
            bytes[0] = version;
            let decoded = RequestEntry::decode(&bytes).map(|_| ());
            let expected = if version == VERSION { Ok(()) } else { Err(UnreadableEntry::Version(version)) };
            prop_assert_eq!(decoded, expected);
            bytes[0] = VERSION;
            bytes.push(0);
            prop_assert_eq!(RequestEntry::decode(&bytes).map(|_| ()), Err(UnreadableEntry::Malformed));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = RequestEntry::decode(&bytes);
        }
    }
}

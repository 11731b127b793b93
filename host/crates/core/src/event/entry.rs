//! The stored form of some events of one source: an entry of the spool, or the content of a queue's message.

use std::io::Write;
use std::ops::Range;

use thiserror::Error;

use super::EventRefusal;

/// The first byte of each entry, so that a later format can be distinguished.
const VERSION: u8 = 1;

/// Why an entry cannot be read, although its bytes are those that were written: a newer or a faulty version of the
/// program wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UnreadableEntry {
    /// The version is unknown.
    #[error("unknown format version {0}: this program reads version {VERSION}")]
    Version(u8),
    /// The parts do not match.
    #[error("malformed entry")]
    Malformed,
}

/// A code of a refusal that this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("unknown refusal code {0} of an event")]
pub struct UnknownRefusal(u8);

/// An event of an entry that is to be encoded. Its text starts where that of the event before ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryEvent {
    /// Where its text ends, counted from the first text, in bytes.
    pub end: u32,
    /// Why the event is refused, if it is.
    pub refused: Option<EventRefusal>,
}

/// A decoded entry.
#[derive(Debug, PartialEq, Eq)]
pub struct EventEntry<'a> {
    /// The name of the source.
    pub source: &'a str,
    /// The texts of all events, without anything in between.
    pub texts: &'a [u8],
    ends: &'a [u8],
}

/// Bytes for each event: where its text ends, and why it is refused.
const EVENT_BYTES: usize = 5;

/// Encodes an entry in the buffer of the texts. The texts move behind the head, since the number of events, and so
/// the length of the head, is known only at the end.
///
/// # Panics
///
/// The source's name has more than 65,535 bytes, or there are more than 2^32 events.
pub fn encode_entry(
    source: &str,
    texts: Vec<u8>,
    events: impl ExactSizeIterator<Item = EntryEvent>,
) -> Vec<u8> {
    let mut entry = texts;
    let head = entry_head_bytes(source, events.len());
    let texts = entry.len();
    entry.resize(head + texts, 0);
    entry.copy_within(..texts, head);
    let name_bytes = u16::try_from(source.len()).expect("a source's name is short");
    let count = u32::try_from(events.len()).expect("an entry is limited");
    let mut rest = &mut entry[..head];
    let mut put = |bytes: &[u8]| rest.write_all(bytes).expect("the head has room");
    put(&[VERSION]);
    put(&name_bytes.to_le_bytes());
    put(source.as_bytes());
    put(&count.to_le_bytes());
    for EntryEvent { end, refused } in events {
        put(&end.to_le_bytes());
        put(&[refused.map_or(0, EventRefusal::code)]);
    }
    entry
}

/// Returns the number of bytes before the texts of this many events.
pub fn entry_head_bytes(source: &str, events: usize) -> usize {
    1 + 2 + source.len() + 4 + events * EVENT_BYTES
}

impl<'a> EventEntry<'a> {
    /// Decodes an entry.
    ///
    /// # Errors
    ///
    /// The entry has an unknown version, or is malformed.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, UnreadableEntry> {
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
        let entry = EventEntry { source, texts, ends };
        entry.is_whole().then_some(entry)
    }

    /// Returns where the text of each event ends, and why the event is refused, if it is.
    pub fn events(
        &self,
    ) -> impl Iterator<Item = (u32, Result<Option<EventRefusal>, UnknownRefusal>)> + use<'a> {
        let events = self.ends.as_chunks::<EVENT_BYTES>().0;
        events.iter().map(|[end @ .., code]| (u32::from_le_bytes(*end), parse_refusal(*code)))
    }

    /// Encodes an entry of some of the events.
    ///
    /// # Panics
    ///
    /// The range is not one of events of this entry.
    pub fn encode_part(&self, events: Range<usize>) -> Vec<u8> {
        let all = self.ends.as_chunks::<EVENT_BYTES>().0;
        let end_of = |[end @ .., _]: &[u8; EVENT_BYTES]| u32::from_le_bytes(*end);
        let start = events.start.checked_sub(1).map_or(0, |before| end_of(&all[before]));
        let part = &all[events];
        let texts = part.last().map_or(start, end_of);
        let texts = &self.texts[start as usize..texts as usize];
        let mut entry = encode_entry(
            self.source,
            texts.to_vec(),
            part.iter().map(|event| EntryEvent { end: end_of(event) - start, refused: None }),
        );
        // Codes are copied as they are, including unknown ones.
        let first = entry.len() - texts.len() - part.len() * EVENT_BYTES;
        for (copy, event) in entry[first..].chunks_exact_mut(EVENT_BYTES).zip(part) {
            copy[EVENT_BYTES - 1] = event[EVENT_BYTES - 1];
        }
        entry
    }

    /// Returns whether the events divide the texts.
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

/// Returns the refusal that a code stands for; 0 stands for none.
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

    fn encode(source: &str, texts: &[u8], events: &[EntryEvent]) -> Vec<u8> {
        encode_entry(source, texts.to_vec(), events.iter().copied())
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_was_written(
            source in "[a-z ä]{1,20}",
            events in prop::collection::vec(("[^\n]{0,20}", prop::option::of(Just(EventRefusal::NoIdentity))), 0..20),
        ) {
            let (mut texts, mut written) = (Vec::new(), Vec::new());
            for (text, refused) in &events {
                texts.extend_from_slice(text.as_bytes());
                written.push(EntryEvent { end: u32::try_from(texts.len()).unwrap(), refused: *refused });
            }
            let bytes = encode(&source, &texts, &written);
            prop_assert_eq!(bytes.len(), entry_head_bytes(&source, written.len()) + texts.len());
            let entry = EventEntry::decode(&bytes).unwrap();
            prop_assert_eq!((entry.source, entry.texts), (&source[..], &texts[..]));
            let read: Vec<_> = entry.events().map(|(end, refused)| EntryEvent { end, refused: refused.unwrap() }).collect();
            prop_assert_eq!(read, written);
            for end in 0..bytes.len() {
                prop_assert!(EventEntry::decode(&bytes[..end]).is_err() || events.is_empty());
            }
        }

        #[test]
        fn parts_have_the_events_of_the_whole(texts in prop::collection::vec("[a-z]{0,5}", 1..20), cut in 0..20_usize) {
            let cut = cut.min(texts.len());
            let all: String = texts.concat();
            let mut end = 0;
            let events: Vec<_> = texts.iter().map(|text| {
                end += text.len();
                let refused = text.is_empty().then_some(EventRefusal::NoType);
                EntryEvent { end: u32::try_from(end).unwrap(), refused }
            }).collect();
            let bytes = encode("web", all.as_bytes(), &events);
            let whole = EventEntry::decode(&bytes).unwrap();
            let read = |bytes: &[u8]| {
                let entry = EventEntry::decode(bytes).unwrap();
                let mut start = 0;
                entry.events().map(|(end, refused)| {
                    let text = entry.texts[start..end as usize].to_vec();
                    start = end as usize;
                    (text, refused.unwrap())
                }).collect::<Vec<_>>()
            };
            let mut parts = read(&whole.encode_part(0..cut));
            parts.extend(read(&whole.encode_part(cut..texts.len())));
            prop_assert_eq!(parts, read(&bytes));
        }

        #[test]
        fn an_event_with_an_unknown_code_is_not_accepted(code in 1..=u8::MAX) {
            let mut bytes = encode("web", b"{}", &[EntryEvent { end: 2, refused: None }]);
            let code_at = bytes.len() - 3;
            bytes[code_at] = code;
            let (_, refused) = EventEntry::decode(&bytes).unwrap().events().next().unwrap();
            prop_assert_eq!(refused, EventRefusal::from_code(code).map(Some).ok_or(UnknownRefusal(code)));
            prop_assert_ne!(refused, Ok(None));
        }

        #[test]
        fn an_unknown_version_and_a_malformed_entry_are_different_errors(version in any::<u8>()) {
            let mut bytes = encode("web", b"", &[]);
            bytes[0] = version;
            let decoded = EventEntry::decode(&bytes).map(|_| ());
            let expected = if version == VERSION { Ok(()) } else { Err(UnreadableEntry::Version(version)) };
            prop_assert_eq!(decoded, expected);
            bytes[0] = VERSION;
            bytes.push(0);
            prop_assert_eq!(EventEntry::decode(&bytes).map(|_| ()), Err(UnreadableEntry::Malformed));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = EventEntry::decode(&bytes);
        }
    }
}

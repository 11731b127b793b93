//! What a request leaves in the spool: the name of its source, and its events.

use super::decode::{Decoded, DecodedEvent};
use crate::event::Refusal;

/// Begins each entry, so that another form can be told apart one day.
const VERSION: u8 = 1;

/// An entry as it is read back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) source: &'a str,
    pub(super) texts: &'a [u8],
    ends: &'a [u8],
}

/// Bytes for an event: where its text ends, and why it is refused.
const EVENT_BYTES: usize = 5;

/// Write an entry.
pub(super) fn encode(source: &str, decoded: &Decoded) -> Vec<u8> {
    let events = &decoded.events;
    let bytes = 1 + 2 + source.len() + 4 + events.len() * EVENT_BYTES + decoded.bytes.len();
    let mut entry = Vec::with_capacity(bytes);
    entry.push(VERSION);
    let name_bytes = u16::try_from(source.len()).expect("a source's name is short");
    entry.extend_from_slice(&name_bytes.to_le_bytes());
    entry.extend_from_slice(source.as_bytes());
    let count = u32::try_from(events.len()).expect("a body is limited");
    entry.extend_from_slice(&count.to_le_bytes());
    for DecodedEvent { end, refused, .. } in events {
        entry.extend_from_slice(&end.to_le_bytes());
        entry.push(refused.map_or(0, Refusal::code));
    }
    entry.extend_from_slice(&decoded.bytes);
    entry
}

impl<'a> Entry<'a> {
    /// Read an entry; none if it is not of this form.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (&VERSION, rest) = bytes.split_first()? else { return None };
        let (name_bytes, rest) = rest.split_first_chunk()?;
        let (source, rest) = rest.split_at_checked(u16::from_le_bytes(*name_bytes).into())?;
        let source = str::from_utf8(source).ok()?;
        let (count, rest) = rest.split_first_chunk()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (ends, texts) = rest.split_at_checked(count.checked_mul(EVENT_BYTES)?)?;
        let entry = Entry { source, texts, ends };
        entry.is_whole().then_some(entry)
    }

    /// Where each event's text ends, and why it is refused, if it is. It starts
    /// where the one before ends.
    pub(super) fn events(&self) -> impl Iterator<Item = (u32, Option<Refusal>)> + use<'a> {
        let events = self.ends.as_chunks::<EVENT_BYTES>().0;
        events.iter().map(|[end @ .., code]| (u32::from_le_bytes(*end), Refusal::from_code(*code)))
    }

    /// Whether the events divide the texts.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_read_as_it_was_written(
            source in "[a-z ä]{1,20}",
            events in prop::collection::vec(("[^\n]{0,20}", prop::option::of(Just(Refusal::NoIdentity))), 0..20),
        ) {
            let mut decoded = Decoded::default();
            for (text, refused) in &events {
                let start = u32::try_from(decoded.bytes.len()).unwrap();
                decoded.bytes.extend_from_slice(text.as_bytes());
                let end = u32::try_from(decoded.bytes.len()).unwrap();
                decoded.events.push(DecodedEvent { start, end, refused: *refused });
            }
            let bytes = encode(&source, &decoded);
            let entry = Entry::decode(&bytes).unwrap();
            prop_assert_eq!((entry.source, entry.texts), (&source[..], &decoded.bytes[..]));
            let read: Vec<_> = entry.events().collect();
            let written: Vec<_> = decoded.events.iter().map(|event| (event.end, event.refused)).collect();
            prop_assert_eq!(read, written);
            for end in 0..bytes.len() {
                prop_assert!(Entry::decode(&bytes[..end]).is_none_or(|_| events.is_empty()));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Entry::decode(&bytes);
        }
    }
}

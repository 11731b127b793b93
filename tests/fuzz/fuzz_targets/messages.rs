//! Decodes arbitrary messages of a queue, and arbitrary entries in valid messages: decoding does not panic, its result
//! has a limited size, and an entry that can be decoded is the same after it was encoded again in two parts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standpipe_core::event::EventEntry;
use standpipe_queue::limits::MESSAGE_CONTENT_BYTES_MAX;
use standpipe_queue::{MessageEncoder, decode_message};

fuzz_target!(|input: &[u8]| {
    if let Ok(entry) = decode_message(input, Vec::new()) {
        assert!(entry.len() <= MESSAGE_CONTENT_BYTES_MAX);
    }
    let message = MessageEncoder::default().encode(input);
    assert_eq!(decode_message(&message, b"a used buffer".to_vec()).unwrap(), input);
    let Ok(entry) = EventEntry::decode(input) else { return };
    let events = events_of(&entry);
    let middle = events.len() / 2;
    let parts = [0..middle, middle..events.len()].map(|part| entry.encode_part(part));
    let again: Vec<_> = parts
        .iter()
        .flat_map(|part| events_of(&EventEntry::decode(part).expect("it was encoded")))
        .collect();
    assert_eq!(again, events);
});

/// The text of each event, and whether it is refused, as text.
fn events_of(entry: &EventEntry<'_>) -> Vec<(Vec<u8>, String)> {
    let mut start = 0;
    let events = entry.events().map(|(end, refused)| {
        let text = entry.texts[start..end as usize].to_vec();
        start = end as usize;
        (text, format!("{refused:?}"))
    });
    events.collect()
}

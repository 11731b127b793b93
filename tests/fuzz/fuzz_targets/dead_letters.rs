//! Any file of dead letters: each byte belongs to one entry, and a dead letter that was read and
//! written reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standpipe_delivery::dead_letters::{DeadLetterReader, ShowEvent, StoredDeadLetter};

fuzz_target!(|file: &[u8]| {
    let (mut offset, mut number) = (0, 0);
    for entry in DeadLetterReader::new(file, 500) {
        let entry = entry.expect("reading from memory does not fail");
        assert_eq!((entry.bytes.start, entry.number), (offset, number + 1));
        (offset, number) = (entry.bytes.end, entry.number);
        if let Ok(dead_letter) = entry.dead_letter {
            let json = dead_letter.to_json(ShowEvent::Yes);
            let again = StoredDeadLetter::parse(json.as_bytes())
                .expect("what was written is a dead letter");
            assert_eq!((&again.event, &again.history), (&dead_letter.event, &dead_letter.history));
        }
    }
    assert_eq!(offset, file.len() as u64);
});

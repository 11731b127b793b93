//! Whatever a line holds, the scan neither fails nor takes for an event what
//! another parser does not take for a JSON object.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Ok((text, envelope)) = host::event::scan(text, 1024) {
        let envelope = [envelope.message_type, envelope.name];
        assert!(envelope.iter().flatten().all(|word| !word.is_empty()));
        assert!(text.trim_ascii_start().starts_with('{') && text.trim_ascii_end().ends_with('}'));
    }
});

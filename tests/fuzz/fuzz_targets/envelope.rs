//! Any line: the scan accepts exactly the lines that another parser reads as a JSON object, and
//! finds the same type and name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;
use standpipe_core::event::{Malformed, scan};

fuzz_target!(|line: &[u8]| {
    let text = std::str::from_utf8(line).ok();
    let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    let is_object = text.is_some_and(|text| is_json(text) && text.trim_start().starts_with('{'));
    match scan(line, 100) {
        Ok((text, envelope)) => {
            assert!(is_object && text.as_bytes() == line, "{text:?}");
            // The other parser rejects texts that the scan accepts: numbers beyond f64, lone
            // surrogates.
            if let Ok(other) = serde_json::from_str::<Value>(text) {
                let string = |key: &str| other[key].as_str().filter(|word| !word.is_empty());
                assert_eq!(envelope.message_type.as_deref(), string("type"), "{text:?}");
                assert_eq!(envelope.name.as_deref(), string("event"), "{text:?}");
            }
        }
        Err(Malformed::TooDeep { .. }) => {}
        Err(error) => assert!(!is_object, "{error}: {text:?}"),
    }
});

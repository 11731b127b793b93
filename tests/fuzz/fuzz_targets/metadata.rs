//! Any response of OpenMetadata: reading it ends, and a full name splits into parts that are not
//! empty.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standpipe_catalog::openmetadata::{
    EntityKind, ServerVersion, ServiceScope, error_message, read_hits, split_name,
};

fuzz_target!(|input: &[u8]| {
    let _ = error_message(input);
    if let Ok(answer) = serde_json::from_slice(input) {
        let _ = ServerVersion::read(&answer);
        let _ = read_hits(EntityKind::Table, &answer);
    }
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = ServiceScope::read(text);
        if let Some(parts) = split_name(text) {
            assert!(parts.iter().all(|part| !part.is_empty()));
        }
    }
});

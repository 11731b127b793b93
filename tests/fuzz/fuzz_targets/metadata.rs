//! Whatever OpenMetadata answers, reading it ends, and a full name that is taken
//! apart has no empty part.
#![no_main]

use standpipe_catalog::openmetadata::{EntityKind, ServiceScope, ServerVersion, hits, message, split};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = message(input);
    if let Ok(answer) = serde_json::from_slice(input) {
        let _ = ServerVersion::read(&answer);
        let _ = hits(EntityKind::Table, &answer);
    }
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = ServiceScope::read(text);
        if let Some(parts) = split(text) {
            assert!(parts.iter().all(|part| !part.is_empty()));
        }
    }
});

//! Whatever a text holds, it is redacted, and redacting it again changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &str)| mapping::fuzzing::redaction(input.1, input.0));

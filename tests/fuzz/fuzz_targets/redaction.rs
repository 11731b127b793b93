//! Any text: redaction ends, and a second redaction changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &str)| mapping::fuzzing::check_redaction(input.1, input.0));

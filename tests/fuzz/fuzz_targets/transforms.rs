//! Whatever the mapping's settings and an event hold: the settings are taken or
//! refused, what they make of JSON is JSON, and what they do not name keeps its
//! bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| mapping::fuzzing::transforms(input.0, input.1));

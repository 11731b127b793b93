//! Whatever a value, a zone and a format hold, what is written of a time is
//! JSON, and the same time again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, &str)| mapping::fuzzing::timestamp(input.0, input.1, input.2));

//! Any value, zone and format: a written time is JSON, and reads as the same time.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, &str)| mapping::fuzzing::check_timestamp(
    input.0, input.1, input.2
));

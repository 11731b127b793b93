//! Any mapping settings and any event: the settings are accepted or refused, a JSON event stays
//! JSON, and fields that the settings do not name keep their bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| mapping::fuzzing::check_transforms(input.0, input.1));

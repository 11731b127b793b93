//! Any condition and any event: parsing and evaluation end without panic, the printed condition
//! compiles to the same condition, and `reads_only_kind` is right.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| mapping::fuzzing::check_condition(input.0, input.1));

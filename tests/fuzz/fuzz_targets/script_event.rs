//! Any event and any operations of a script on it: the script sees and changes the event as a parsed
//! object, and an event that it only reads keeps its text.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &[u8])| script::fuzzing::check_event(input.0, input.1));

//! Whatever a condition's text and an event hold, reading and evaluating end
//! without panic, a condition's text compiles to the same condition, and the
//! event's type and name decide what they are said to decide.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| mapping::fuzzing::condition(input.0, input.1));

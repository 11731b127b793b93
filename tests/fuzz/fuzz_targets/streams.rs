//! Whatever Amazon says of a delivery stream, reading it ends without panic, and
//! what was read can be told; and whatever a pattern of names is, it is refused, or
//! tells of any name whether it is in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standpipe_aws::read_description;
use standpipe_catalog::Filter;

fuzz_target!(|input: (&[u8], &str, &str)| {
    let (answer, pattern, name) = input;
    if let Ok(stream) = read_description(name, answer) {
        serde_json::to_string(&stream).expect("what was read can be told");
    }
    if let Ok(filter) = Filter::new(&[pattern], &[]) {
        let _ = filter.keeps_name(name);
    }
});

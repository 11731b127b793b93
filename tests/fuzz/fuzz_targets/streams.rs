//! Whatever Amazon says of a delivery stream, reading it ends without panic, and
//! what was read can be told; and whatever a pattern of names is, it is refused, or
//! tells of any name whether it is in.
#![no_main]

use standpipe_catalog::Filter;
use standpipe_catalog::reading::read_description;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &str, &str)| {
    let (answer, pattern, name) = input;
    if let Ok(answer) = serde_json::from_slice(answer)
        && let Ok(stream) = read_description(name, &answer)
    {
        serde_json::to_string(&stream).expect("what was read can be told");
    }
    if let Ok(filter) = Filter::new(&[pattern], &[]) {
        let _ = filter.keeps(name);
    }
});

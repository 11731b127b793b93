//! Any description of a delivery stream: reading ends without panic, and the result can be
//! serialized. Any pattern of names is refused, or decides whether a name matches.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standpipe_aws::read_description;
use standpipe_catalog::StreamFilter;

fuzz_target!(|input: (&[u8], &str, &str)| {
    let (answer, pattern, name) = input;
    if let Ok(stream) = read_description(name, answer) {
        serde_json::to_string(&stream).expect("a description that was read can be serialized");
    }
    if let Ok(filter) = StreamFilter::new(&[pattern], &[]) {
        let _ = filter.keeps_name(name);
    }
});

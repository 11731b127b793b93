//! Any prefix of S3: it begins with its static part, which has no expression in it and is its own
//! static part; its parent levels end at the bucket.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standpipe_catalog::prefix::{parent_prefixes, static_prefix};

fuzz_target!(|written: &str| {
    let prefix = static_prefix(written);
    assert!(written.starts_with(prefix));
    assert!(!prefix.contains("!{") && !prefix.ends_with('/'));
    assert_eq!(static_prefix(prefix), prefix);
    let mut below = prefix;
    for level in parent_prefixes(prefix) {
        assert!(below.starts_with(level) && !level.ends_with('/'));
        below = level;
    }
    assert_eq!(below, "");
});

//! Whatever stands in the headers and the query of a request about the plugin, what
//! is accepted of it is what was written, within its bounds.
#![no_main]

use standpipe::admin::{bearer, canary_settings, seal};
use standpipe_plugin_host::swap::Seal;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Some(token) = bearer(input) {
        assert!(!token.is_empty() && token.is_ascii() && !token.contains(' '));
    }
    if let Ok(Seal::Detached(text)) = seal(Some(input)) {
        assert!(text.len() <= 4096 && !text.is_empty());
    }
    let Ok(query) = std::str::from_utf8(input) else { return };
    if let Ok(settings) = canary_settings(query) {
        assert!((0.0..=100.0).contains(&settings.percent));
        assert!((0.0..=1.0).contains(&settings.error_rate_max));
    }
});

//! The headers and the query of a request about the plugin: an accepted value is the one that
//! was written, within its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standpipe::admin::{canary_settings, parse_bearer_token, parse_signature_header};
use standpipe_plugin_host::swap::SignatureCheck;

fuzz_target!(|input: &[u8]| {
    if let Some(token) = parse_bearer_token(input) {
        assert!(!token.is_empty() && token.is_ascii() && !token.contains(' '));
    }
    if let Ok(SignatureCheck::Detached(text)) = parse_signature_header(Some(input)) {
        assert!(text.len() <= 4096 && !text.is_empty());
    }
    let Ok(query) = std::str::from_utf8(input) else { return };
    if let Ok(settings) = canary_settings(query) {
        assert!((0.0..=100.0).contains(&settings.percent));
        assert!((0.0..=1.0).contains(&settings.error_rate_max));
    }
});

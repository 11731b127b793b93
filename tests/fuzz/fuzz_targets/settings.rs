//! Any settings file or export of another vendor: reading it ends with settings or an error.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use standpipe::config::import::{SecretDisplay, Vendor, import};
use standpipe::config::{Overrides, parse};

fuzz_target!(|text: &str| {
    if let Ok(raw) = parse(text) {
        let _ = raw.check(Path::new(""), Overrides::default());
    }
    for vendor in [Vendor::RudderStack, Vendor::Segment] {
        if let Ok(imported) = import(vendor, text) {
            let toml = imported.to_toml(SecretDisplay::Shown);
            assert!(parse(&toml).is_ok(), "what was imported cannot be read");
        }
    }
});

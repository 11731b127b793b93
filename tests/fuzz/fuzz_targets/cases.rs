//! Any file of cases: reading it ends with cases or an error, and the cases can be run.
#![no_main]

use std::convert::Infallible;

use libfuzzer_sys::fuzz_target;
use standpipe_plugin_host::Plugin;
use standpipe_plugin_host::cases::Cases;

fuzz_target!(|text: &[u8]| {
    if let Ok(cases) = Cases::parse(text) {
        let load = |settings: &str| {
            Ok::<_, Infallible>(Plugin::native(settings).map_err(|error| error.to_string()))
        };
        cases.run_all("{}", load).expect("the default mapping is a plugin");
    }
});

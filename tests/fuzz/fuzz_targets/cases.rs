//! Whatever a file of cases holds, reading it ends with cases or an error, and the
//! cases can be run.
#![no_main]

use host::plugin::Plugin;
use host::plugin::cases::Cases;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Ok(cases) = Cases::parse(text) {
        cases.run_all("{}", Plugin::native).expect("the default mapping is a plugin");
    }
});

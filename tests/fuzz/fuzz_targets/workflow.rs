//! Any workflow file: reading it ends with settings or an error, and the error shows no secret.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use standpipe::config::{Overrides, WorkflowFormat, read_workflow};

fuzz_target!(|text: &str| {
    let variable = |name: &str| (name.len() < 3).then(|| "!hidden-secret!".to_owned());
    for form in [WorkflowFormat::Yaml, WorkflowFormat::Json] {
        match read_workflow(text, form, variable) {
            Ok(workflow) => {
                let _ = workflow.settings.check_catalog(Path::new(""), &Overrides::default());
            }
            Err(error) => assert!(error.line.is_none_or(|line| line > 0)),
        }
    }
});

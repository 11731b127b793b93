//! Lints IAM policies and reads Terraform with independent tools.

use std::process::Command;

use serde_json::Value;

use crate::{tools, workspace_directory};

/// Returns parliament's findings for a policy.
pub fn lint_policy(document: &str) -> Vec<String> {
    serde_json::from_value(run_reader("policy", document)).expect("a list of findings")
}

/// Returns parliament's findings for a trust policy.
pub fn lint_trust_policy(document: &str) -> Vec<String> {
    serde_json::from_value(run_reader("trust", document)).expect("a list of findings")
}

/// Returns the `policies` in a Terraform text, as documents by name, and its `resources` by kind
/// and name.
pub fn read_terraform(text: &str) -> Value {
    run_reader("terraform", text)
}

fn run_reader(what: &str, text: &str) -> Value {
    let mut script = Command::new(tools::find_python("linter"));
    script.arg(workspace_directory().join("tests/iam/read.py")).arg(what);
    serde_json::from_slice(&tools::output_for(&mut script, text)).expect("JSON")
}

//! What others find in IAM policies, and how they read Terraform.

use std::process::Command;

use serde_json::Value;

use crate::{tools, workspace};

/// What parliament finds wrong in a policy.
pub fn policy(document: &str) -> Vec<String> {
    serde_json::from_value(read("policy", document)).expect("a list of findings")
}

/// What parliament finds wrong in a trust policy.
pub fn trust(document: &str) -> Vec<String> {
    serde_json::from_value(read("trust", document)).expect("a list of findings")
}

/// The `policies` that Terraform's text describes, as documents by name, and its
/// `resources` by kind and name.
pub fn terraform(text: &str) -> Value {
    read("terraform", text)
}

fn read(what: &str, text: &str) -> Value {
    let mut script = Command::new(tools::python("linter"));
    script.arg(workspace().join("tests/iam/read.py")).arg(what);
    serde_json::from_slice(&tools::output_for(&mut script, text)).expect("JSON")
}

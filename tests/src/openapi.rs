//! Validates an OpenAPI document, and responses against it, with an independent validator.

use std::process::Command;

use serde_json::{Value, json};

use crate::client::HttpResponse;
use crate::{tools, workspace_directory};

/// A response in the form for [`find_violations`]. The path is that of the document.
pub fn describe_response(method: &str, path: &str, reply: &HttpResponse) -> Value {
    let body = match serde_json::from_slice(&reply.body) {
        _ if reply.body.is_empty() => Value::Null,
        Ok(body) => body,
        Err(_) => Value::String(reply.text()),
    };
    json!({
        "method": method,
        "path": path,
        "status": reply.status,
        "content_type": reply.header("content-type"),
        "body": body
    })
}

/// Returns the violations in a document, and in responses.
pub fn find_violations(document: &Value, answers: &[Value]) -> Vec<String> {
    let mut script = Command::new(tools::find_python("openapi"));
    script.arg(workspace_directory().join("tests/admin/validate.py"));
    let text = json!({"document": document, "answers": answers}).to_string();
    serde_json::from_slice(&tools::output_for(&mut script, &text)).expect("JSON")
}

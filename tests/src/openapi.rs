//! What others find wrong in an OpenAPI document, and in the answers that it tells
//! of.

use std::process::Command;

use serde_json::{Value, json};

use crate::client::Reply;
use crate::{tools, workspace};

/// An answer as [`complaints`] wants it; the path is that of the document.
pub fn answer(method: &str, path: &str, reply: &Reply) -> Value {
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

/// What is wrong in a document, and in answers to requests.
pub fn complaints(document: &Value, answers: &[Value]) -> Vec<String> {
    let mut script = Command::new(tools::python("openapi"));
    script.arg(workspace().join("tests/admin/validate.py"));
    let text = json!({"document": document, "answers": answers}).to_string();
    serde_json::from_slice(&tools::output_for(&mut script, &text)).expect("JSON")
}

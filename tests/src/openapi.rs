//! What others find wrong in an OpenAPI document, and in the answers that it tells
//! of.

use std::io::Write;
use std::process::{Command, Stdio};

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
    let mut process =
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python starts");
    let text = json!({"document": document, "answers": answers}).to_string();
    let mut stdin = process.stdin.take().expect("a pipe");
    stdin.write_all(text.as_bytes()).expect("the script reads");
    drop(stdin);
    let output = process.wait_with_output().expect("the script ends");
    assert!(output.status.success(), "validate.py failed");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

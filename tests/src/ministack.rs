//! The AWS API of ministack, which checks who may assume a role, and with which external id.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::binary::target_directory;
use crate::{tools, workspace_directory};

/// The keys of the account itself, which may do everything.
pub const ROOT_KEY: &str = "test";

/// The path of the URL of the queue that each server has in SQS.
pub const QUEUE_PATH: &str = "/000000000000/standpipe";

/// A running server with a user, and a role that requires an external id. It ends with this
/// process.
#[derive(Debug)]
pub struct Ministack {
    /// The URL of the server.
    pub url: String,
    /// The keys of a user who may only assume roles and read secrets.
    pub keys: [String; 2],
    /// The role, which may write to Firehose.
    pub role: String,
    /// The server ends when its standard input closes, which happens at the end of this process.
    _process: Child,
}

impl Ministack {
    /// Starts the server with a role that requires this external id, and a stream. The external id
    /// is also the value of the secret `external-id`.
    pub fn start(external_id: &str, stream: &str) -> Self {
        let (python, client) = (tools::find_python("ministack"), tools::find_python("moto"));
        let mut process = Command::new(python)
            .arg(workspace_directory().join("tests/ministack/serve.py"))
            .arg(client)
            .args([external_id, stream])
            .current_dir(target_directory())
            .env("AUTH", "true")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Python starts");
        let stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut lines = stdout.lines();
        let mut line = || lines.next().expect("a line").expect("the server has started");
        let (url, id, secret, role) = (line(), line(), line(), line());
        Ministack { url, keys: [id, secret], role, _process: process }
    }
}

//! The AWS API of moto: Firehose with its buckets, SQS, STS, and IAM.
//!
//! Each process of tests runs one server. Its Python also contains boto3, AWS's own client.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::binary::target_directory;
use crate::{signature, tools, workspace_directory};

/// The region of all resources in the tests.
pub const REGION: &str = "eu-central-1";

/// A running server. It ends with this process.
#[derive(Debug)]
pub struct Moto {
    url: String,
    /// The server ends when its standard input closes, which happens at the end of this process.
    _process: Child,
}

/// The server of this process.
pub fn shared_server() -> &'static Moto {
    static SERVER: OnceLock<Moto> = OnceLock::new();
    SERVER.get_or_init(start_server)
}

/// A request as moto received it.
#[derive(Debug)]
pub struct MotoRequest {
    /// All headers, as JSON text.
    pub headers: String,
    /// The body.
    pub body: String,
}

impl MotoRequest {
    fn new(request: &Value) -> Self {
        let body = request["body"].as_str().expect("a body");
        let body = match request["body_encoded"].as_bool() {
            Some(true) => base64_simd::STANDARD.decode_to_vec(body).expect("base64"),
            _ => body.as_bytes().to_vec(),
        };
        let body = String::from_utf8_lossy(&body).into_owned();
        MotoRequest { headers: request["headers"].to_string(), body }
    }
}

impl Moto {
    /// The URL of the server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Creates a bucket, and delivery streams that write to it.
    pub fn create_streams(&self, bucket: &str, streams: &[&str]) {
        self.run_client(&[&["create", bucket], streams].concat());
    }

    /// Creates a delivery stream to another destination, such as `redshift`.
    pub fn create_stream_to(&self, kind: &str, stream: &str) {
        self.run_client(&["create_to", kind, stream]);
    }

    /// The objects of each of these streams in a bucket.
    pub fn read_objects(&self, bucket: &str, streams: &[&str]) -> BTreeMap<String, Vec<Vec<u8>>> {
        let objects = self.run_client(&[&["read", bucket], streams].concat());
        let objects: BTreeMap<String, Vec<String>> =
            serde_json::from_slice(&objects).expect("JSON of base64");
        let decode = |object: &String| base64_simd::STANDARD.decode_to_vec(object).expect("base64");
        objects
            .iter()
            .map(|(stream, all)| (stream.clone(), all.iter().map(decode).collect()))
            .collect()
    }

    /// Creates a queue in SQS, and returns the path of its URL.
    pub fn create_queue(&self, name: &str) -> String {
        String::from_utf8(self.run_client(&["create_queue", name]))
            .expect("UTF-8")
            .trim()
            .to_owned()
    }

    /// Stores a secret in Secrets Manager.
    pub fn put_secret(&self, name: &str, value: &str) {
        self.run_client(&["put_secret", name, value]);
    }

    /// Stores a secret in the parameter store of Systems Manager.
    pub fn put_parameter(&self, name: &str, value: &str) {
        self.run_client(&["put_parameter", name, value]);
    }

    /// Creates a `policy` with this document, or a role with this `trust` policy, and returns the
    /// stored document.
    ///
    /// # Errors
    ///
    /// Fails with the reason of the rejection.
    pub fn create_iam_document(&self, kind: &str, document: &str) -> Result<Value, String> {
        let answer = self.run_client(&["take", kind, document]);
        let mut answer: Value = serde_json::from_slice(&answer).expect("JSON");
        match &answer["refused"] {
            Value::String(why) => Err(why.clone()),
            _ => Ok(answer["kept"].take()),
        }
    }

    /// Starts to record requests.
    pub fn start_recording(&self) {
        self.run_client(&["record"]);
    }

    /// The requests recorded so far.
    pub fn recorded_requests(&self) -> Vec<MotoRequest> {
        let text = self.run_client(&["recorded"]);
        let requests = serde_json::Deserializer::from_slice(&text).into_iter();
        requests.map(|request| MotoRequest::new(&request.expect("JSON"))).collect()
    }

    fn run_client(&self, arguments: &[&str]) -> Vec<u8> {
        let mut script = python_script("aws.py");
        script.args(arguments).env("AWS_ENDPOINT_URL", &self.url);
        let output = script.stderr(Stdio::inherit()).output().expect("Python starts");
        assert!(output.status.success(), "aws.py {arguments:?} failed");
        output.stdout
    }
}

fn start_server() -> Moto {
    let mut script = python_script("serve.py");
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = script.spawn().expect("Python starts");
    let mut port = String::new();
    let mut stdout = BufReader::new(process.stdout.take().expect("a pipe"));
    stdout.read_line(&mut port).expect("the server prints its port");
    let port: u16 = port.trim().parse().expect("the server has started");
    Moto { url: format!("http://127.0.0.1:{port}"), _process: process }
}

/// A script of `tests/moto`, with the region and the keys of the tests.
pub(crate) fn python_script(name: &str) -> Command {
    let mut command = Command::new(tools::find_python("moto"));
    command
        .arg(workspace_directory().join("tests/moto").join(name))
        .current_dir(target_directory())
        .env("AWS_ACCESS_KEY_ID", signature::ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", signature::SECRET_ACCESS_KEY)
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_CONFIG_FILE", Path::new("/nonexistent"))
        .env("AWS_SHARED_CREDENTIALS_FILE", Path::new("/nonexistent"));
    for name in
        ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_FIREHOSE", "AWS_ENDPOINT_URL_S3"]
    {
        command.env_remove(name);
    }
    command
}

//! Requests by the program `curl`, for tests that need TLS or HTTP/2.

use std::path::Path;
use std::process::Command;

use crate::tools;

/// A request by the program `curl`, for tests with TLS or HTTP/2.
#[derive(Debug)]
pub struct Curl {
    command: Command,
}

/// The response to `curl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurlResponse {
    /// The HTTP status.
    pub status: u16,
    /// `1.1` or `2`.
    pub version: String,
}

impl Curl {
    /// Makes a request with a body and a write key.
    pub fn post(url: &str, write_key: &str, body: &str) -> Self {
        let mut command = Command::new(tools::find_program("curl"));
        command
            .args(["--silent", "--show-error", "--max-time", "30", "--output", "/dev/null"])
            .args(["--write-out", "%{http_code} %{http_version}", "--noproxy", "*"])
            .args(["--user", &format!("{write_key}:"), "--data-binary", body, url]);
        Curl { command }
    }

    /// Trusts only this certificate.
    #[must_use]
    pub fn trust_certificate(self, certificate: &Path) -> Self {
        self.arg("--cacert").arg(certificate.to_str().expect("a path in UTF-8"))
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    /// Sends the request.
    ///
    /// # Errors
    ///
    /// Fails with the text of `curl` if there was no response.
    pub fn send(mut self) -> Result<CurlResponse, String> {
        let output = self.command.output().expect("curl can be started");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let (status, version) = text.split_once(' ').expect("two words");
        Ok(CurlResponse { status: status.parse().expect("a status"), version: version.to_owned() })
    }
}

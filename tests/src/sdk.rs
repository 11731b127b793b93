//! SDKs as published by their vendors, and scripts that send with them.
//!
//! The scripts are in `tests/sdks`, and follow this convention: the environment variables
//! `COLLECTOR` and `WRITE_KEY` contain the URL and the key. Standard output lists, as lines of
//! JSON, the members that events must have. The exit code is 0 if the SDK reports that all events
//! were accepted, and 3 if it reports that they were refused. Standard error has a line `contacted:
//! HOST` for each host that the SDK contacts; hosts other than this machine are blocked.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::{DEADLINE, FinishedRun, Running, tools, workspace_directory};

/// The names of Chromium's program in different distributions.
const CHROMIUM: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

fn scripts_directory() -> PathBuf {
    workspace_directory().join("tests/sdks")
}

/// A script that sends with an SDK.
#[derive(Debug)]
pub struct Sdk {
    command: Command,
}

impl Sdk {
    /// A script for Node.js.
    pub fn node(script: &str) -> Self {
        let mut sdk = Sdk::with_script(script);
        sdk.command.env(
            "NODE_OPTIONS",
            format!("--require {}", scripts_directory().join("contacts.cjs").display()),
        );
        sdk
    }

    fn with_script(script: &str) -> Self {
        let mut command = Command::new(tools::find_program("node"));
        let packages = tools::node_packages("sdks", "tests/sdks").join("node_modules");
        command.arg(scripts_directory().join(script)).env("NODE_PATH", packages);
        Sdk { command }
    }

    /// A page in Chromium: `segment` or `rudderstack`. The script `browser.mjs` describes the
    /// possible values of `how`.
    pub fn browser(page: &str, how: &Value) -> Self {
        let mut sdk = Sdk::with_script("browser.mjs");
        sdk.command
            .args([page, &how.to_string()])
            .env("CHROMIUM", tools::find_any_program(CHROMIUM));
        sdk
    }

    /// The Python script with the package that `tests/python` pins under a name, and the package's
    /// module.
    pub fn python(name: &str, module: &str) -> Self {
        let mut command = Command::new(tools::find_python(name));
        command.arg(scripts_directory().join("send.py")).arg(module);
        command
            .env("PYTHONPATH", scripts_directory().join("contacts"))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        Sdk { command }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    /// Starts the script, and returns while it sends.
    pub fn start(mut self, collector: &str, write_key: &str) -> Running {
        let directory = TempDir::new().expect("a directory");
        self.command
            .current_dir(directory.path())
            .env("HOME", directory.path())
            .env("COLLECTOR", collector)
            .env("WRITE_KEY", write_key)
            // A proxy would not find the collector.
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1");
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.command.spawn().expect("the script's interpreter starts");
        Running::new(child, directory)
    }

    /// Runs the script to its end.
    pub fn send(self, collector: &str, write_key: &str) -> FinishedRun {
        self.start(collector, write_key).wait(DEADLINE)
    }
}

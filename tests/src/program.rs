//! Starts the program in a new directory with a clean environment, and collects its output, its
//! records and its dead letters.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use serde_json::Value;
use tempfile::TempDir;

use crate::binary::program_path;
use crate::{DEADLINE, DeadLetter, ProcessUsage, Running, compiled};

/// A program to start in a new directory, which is its working directory and its home. It does not
/// get the AWS settings of the environment.
#[derive(Debug)]
pub struct Program {
    directory: TempDir,
    command: Command,
    stdin: Vec<u8>,
}

/// The result of a program that has ended.
#[derive(Debug)]
pub struct FinishedRun {
    /// The exit code. Negative if a signal ended the program.
    pub exit: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
    pub(crate) directory: TempDir,
}

impl Program {
    /// The program without arguments.
    pub fn new() -> Self {
        Program::from_path(program_path())
    }

    /// Another program that embeds the library.
    pub fn from_path(program: &Path) -> Self {
        let directory = TempDir::new().expect("a directory");
        make_data_directory(&directory.path().join("standpipe-data"));
        let mut command = Command::new(program);
        command.current_dir(directory.path());
        for (name, _) in env::vars_os() {
            let ours = name.to_str().is_none_or(|name| {
                let is_proxy = name.to_ascii_uppercase().ends_with("_PROXY");
                is_proxy || name.starts_with("AWS_") || name == "RUST_LOG"
            });
            if ours {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", directory.path())
            .env("AWS_CONFIG_FILE", directory.path().join("no-config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", directory.path().join("no-credentials"))
            .env("AWS_EC2_METADATA_DISABLED", "true");
        Program { directory, command, stdin: Vec::new() }
    }

    /// `host run` with a summary for [`FinishedRun::summary`].
    pub fn host_run() -> Self {
        Program::new().args(["run", "--summary", "summary.json"])
    }

    /// `host run` into the directory of [`FinishedRun::streams`].
    pub fn host_run_locally() -> Self {
        Program::host_run().args(["--local", "out"])
    }

    /// `host run` against this endpoint, with fixed keys.
    pub fn host_run_against(url: &str) -> Self {
        Program::host_run().args(["--endpoint-url", url, "--region", "eu-central-1"]).with_keys()
    }

    /// Sets keys that only the servers of a test accept.
    #[must_use]
    pub fn with_keys(self) -> Self {
        self.env("AWS_ACCESS_KEY_ID", crate::signature::ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", crate::signature::SECRET_ACCESS_KEY)
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Starts the program through another one, which gets it as its last arguments.
    #[must_use]
    pub fn started_by(mut self, starter: &[&str]) -> Self {
        let mut command = Command::new(starter[0]);
        command.args(&starter[1..]).arg(self.command.get_program()).args(self.command.get_args());
        command.current_dir(self.directory.path());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        self.command = command;
        self
    }

    /// Adds `--map` options.
    #[must_use]
    pub fn mapping(self, rows: &[(&str, &str)]) -> Self {
        let rows = rows.iter().map(|(event, stream)| format!("--map={event}={stream}"));
        self.args(rows)
    }

    /// Writes a settings file, and passes it with `--config`.
    #[must_use]
    pub fn settings(self, text: &(impl Display + ?Sized)) -> Self {
        self.file("settings.toml", text.to_string().as_bytes()).args(["--config", "settings.toml"])
    }

    /// Sets the bytes of standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Writes a file into the program's directory.
    #[must_use]
    pub fn file(self, name: &str, bytes: &[u8]) -> Self {
        fs::write(self.path(name), bytes).expect("a file is written");
        self
    }

    /// A path in the program's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts the program and returns while it runs; standard input stays open.
    pub fn start(self) -> Running {
        self.start_with(Stdio::piped(), Stdio::piped())
    }

    /// Starts the program with other standard output and standard error, which are not collected.
    pub fn start_with(mut self, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Running {
        self.command.stdin(Stdio::piped()).stdout(stdout).stderr(stderr);
        let child = self.command.spawn().expect("the program starts");
        Running::new(child, self.directory)
    }

    /// Runs the program to its end, and passes its resource usage to a function.
    pub fn watch(self, look: impl FnMut(ProcessUsage)) -> (FinishedRun, ProcessUsage) {
        self.start_with_input().watch(look)
    }

    /// Runs the program to its end.
    pub fn run(self) -> FinishedRun {
        self.start_with_input().finish(DEADLINE)
    }

    fn start_with_input(mut self) -> Running {
        let input = std::mem::take(&mut self.stdin);
        let mut running = self.start();
        running.write_all_in_background(input);
        running
    }
}

impl Default for Program {
    fn default() -> Self {
        Program::new()
    }
}

impl FinishedRun {
    /// Fails unless the program ended with this exit code.
    pub fn expect_exit(self, code: i32) -> Self {
        assert_eq!(self.exit, code, "the exit code; standard error:\n{}", self.stderr);
        self
    }

    /// Fails unless standard error contains all of these words.
    pub fn expect_stderr(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in standard error:\n{}", self.stderr);
        }
        self
    }

    /// The summary that was written to a file.
    pub fn summary(&self) -> Value {
        let text = fs::read(self.path("summary.json"));
        let text = text.unwrap_or_else(|error| panic!("no summary: {error}:\n{}", self.stderr));
        serde_json::from_slice(&text).expect("the summary is JSON")
    }

    /// One of the summary's counts.
    pub fn count(&self, key: &str) -> u64 {
        self.summary()[key].as_u64().unwrap_or_else(|| panic!("no count {key} in the summary"))
    }

    /// The bytes of each local stream.
    pub fn streams(&self) -> BTreeMap<String, Vec<u8>> {
        let Ok(files) = fs::read_dir(self.path("out")) else { return BTreeMap::new() };
        let files = files.map(|file| file.expect("a file in the directory").path());
        let files = files.filter(|path| path.extension().is_some_and(|own| own == "ndjson"));
        let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
        files.map(|path| (name(&path), fs::read(&path).expect("a stream's file"))).collect()
    }

    /// The dead letters.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        DeadLetter::read_all(&self.path("standpipe-data"))
    }

    /// A path in the program's directory, which exists as long as this value.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// Creates a data directory with the compiled plugins of other tests. Without it, compiling the
/// plugin at each start would take most of the tests' time.
pub fn make_data_directory(path: &Path) {
    fs::create_dir(path).expect("a data directory");
    compiled::link_shared_plugins(&path.join("cache"));
}

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::transcript::Transcript;
use crate::{DEADLINE, Ran, wait_until};

/// The program while it runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    pid: Pid,
    stdin: Option<ChildStdin>,
    stdout: Transcript,
    stderr: Transcript,
    exit: Receiver<i32>,
    /// None once it has been handed on to a [`Ran`].
    directory: Option<TempDir>,
}

impl Running {
    pub(crate) fn new(mut child: Child, directory: TempDir) -> Self {
        let pid = Pid::from_child(&child);
        let stdin = child.stdin.take();
        let (stdout, reads_stdout) = Transcript::of(child.stdout.take().expect("a pipe"));
        let (stderr, reads_stderr) = Transcript::of(child.stderr.take().expect("a pipe"));
        let (sender, exit) = channel();
        thread::spawn(move || {
            let _ = (reads_stdout.join(), reads_stderr.join());
            let status = child.wait().expect("the program can be waited for");
            let code = status.code().or(status.signal().map(|signal| -signal));
            let _ = sender.send(code.unwrap_or(i32::MIN));
        });
        Running { pid, stdin, stdout, stderr, exit, directory: Some(directory) }
    }

    /// Write to its standard input.
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        stdin.write_all(bytes).expect("the program reads its input");
    }

    /// Write to its standard input, which then ends, whether it reads or not.
    pub(crate) fn write_all_in_background(&mut self, bytes: Vec<u8>) {
        let mut stdin = self.stdin.take().expect("standard input is open");
        thread::spawn(move || stdin.write_all(&bytes));
    }

    /// A path in the program's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.as_ref().expect("it is still running").path().join(name)
    }

    /// Send it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("the program is there to be signalled");
    }

    /// Kill it, unless it has ended by itself, and wait for its end.
    pub fn kill(self) -> Ran {
        let _ = kill_process(self.pid, Signal::KILL);
        self.wait(DEADLINE)
    }

    /// Wait until it has written this to standard error.
    pub fn wait_for(&self, words: &str) {
        let said = self.stderr.wait_for(words, DEADLINE);
        assert!(said, "never said {words:?}:\n{}", self.stderr_text());
    }

    /// Wait for these words on standard error, and give the rest of their line.
    pub fn wait_for_line(&self, words: &str) -> String {
        self.wait_for(words);
        let mut rest = None;
        wait_until("the line ends", || {
            let text = self.stderr_text();
            let after = text.split_once(words).and_then(|(_, after)| after.split_once('\n'));
            rest = after.map(|(rest, _)| rest.to_owned());
            rest.is_some()
        });
        rest.expect("it was waited for")
    }

    /// The most memory that it has held so far, in bytes.
    pub fn memory_bytes_max(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid.as_raw_nonzero());
        let status = std::fs::read_to_string(path).expect("the program is there to be looked at");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes =
            line.and_then(|line| line.trim().strip_suffix(" kB")).expect("a size in kB");
        kibibytes.parse::<u64>().expect("a number") * 1024
    }

    /// Close its standard input and wait for its end.
    pub fn finish(mut self, deadline: Duration) -> Ran {
        self.stdin.take();
        self.wait(deadline)
    }

    /// Wait for its end, while its standard input stays open.
    pub fn wait(mut self, deadline: Duration) -> Ran {
        let Ok(exit) = self.exit.recv_timeout(deadline) else {
            panic!("still running after {deadline:?}:\n{}", self.stderr_text());
        };
        Ran {
            exit,
            stdout: self.stdout.bytes(),
            stderr: self.stderr_text(),
            directory: self.directory.take().expect("nobody else has taken it"),
        }
    }

    fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes()).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Once it has been waited for, its number could be another's.
        if self.directory.is_some() && self.exit.try_recv().is_err() {
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

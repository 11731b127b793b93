//! The program as a process that is stopped, killed, and whose log is not always read.

use std::collections::VecDeque;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Signal, kill_process};

use super::place::Place;

/// Maximum bytes of standard error that are kept.
const LOG_BYTES_KEPT: usize = 256 << 10;

/// The default size of a pipe on Linux, and the minimum: a page.
const PIPE_BYTES: libc::c_int = 65_536;
const PIPE_BYTES_MIN: libc::c_int = 4096;

/// How often a condition is checked.
const POLL: Duration = Duration::from_millis(10);

/// A running program. It is killed when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: Arc<ProcessLog>,
    /// A second handle of standard error, to query its number of unread bytes.
    stderr: OwnedFd,
}

/// The end of the program's standard error.
#[derive(Debug, Default)]
struct ProcessLog {
    bytes: Mutex<VecDeque<u8>>,
    is_unread: AtomicBool,
}

impl Process {
    pub(super) fn start(place: &Place, firehose: &str, incarnation: u8) -> Self {
        let mut command = place.command(firehose, incarnation);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let (log, stderr) = (Arc::<ProcessLog>::default(), child.stderr.take().expect("a pipe"));
        let (own, pipe) = (Arc::clone(&log), stderr.as_fd().try_clone_to_owned());
        thread::spawn(move || own.read_from(stderr));
        Process { child, log, stderr: pipe.expect("a descriptor") }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn send_signal(&self, signal: Signal) {
        // The process may have exited by itself, which the next wait detects.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// The exit status, if the process has ended.
    pub(super) fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits for the end. Returns `None` on a timeout.
    pub(super) fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.try_wait() {
                return Some(status);
            }
            thread::sleep(POLL);
        }
        self.try_wait()
    }

    /// Kills the process, and waits for its end.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops reading standard error and reduces its capacity, or restores both.
    pub(super) fn leave_log_unread(&self, is_unread: bool) {
        self.set_pipe_bytes(if is_unread { PIPE_BYTES_MIN } else { PIPE_BYTES });
        self.log.is_unread.store(is_unread, Ordering::SeqCst);
    }

    /// Unread bytes in standard error.
    pub(super) fn unread_log_bytes(&self) -> u64 {
        ioctl_fionread(&self.stderr).unwrap_or_default()
    }

    fn set_pipe_bytes(&self, bytes: libc::c_int) {
        // SAFETY: the descriptor is open while it is borrowed, and the call takes a number and no
        // pointer. If it fails, the pipe keeps its size.
        let _ = unsafe { libc::fcntl(self.stderr.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) };
    }

    /// The end of the program's standard error.
    pub(super) fn log_text(&self) -> String {
        let bytes = self.log.bytes.lock();
        String::from_utf8_lossy(&bytes.iter().copied().collect::<Vec<_>>()).into_owned()
    }

    /// The last lines, this many.
    pub(super) fn last_lines(&self, count: usize) -> String {
        let log = self.log_text();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n      ")
    }
}

impl ProcessLog {
    fn read_from(&self, mut source: impl Read) {
        let mut buffer = [0; 4096];
        loop {
            while self.is_unread.load(Ordering::SeqCst) {
                thread::sleep(POLL);
            }
            let Ok(read @ 1..) = source.read(&mut buffer) else { return };
            let mut bytes = self.bytes.lock();
            bytes.extend(&buffer[..read]);
            let excess = bytes.len().saturating_sub(LOG_BYTES_KEPT);
            bytes.drain(..excess);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.log.is_unread.store(false, Ordering::SeqCst);
        self.kill();
    }
}

/// The exit code. Negative if a signal ended the program.
pub(super) fn exit_code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| -signal)).unwrap_or(i32::MIN)
}

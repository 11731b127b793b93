//! The running program: input, signals, output, memory, CPU time and descriptors. It is killed when
//! dropped.

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::transcript::Transcript;
use crate::{DEADLINE, FinishedRun, compiled, wait_until};

/// How often the resource usage of a process is read.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// The running program. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Running {
    pid: Pid,
    stdin: Option<ChildStdin>,
    stdout: Transcript,
    stderr: Transcript,
    exit: Receiver<i32>,
    /// `None` after it was moved into a [`FinishedRun`].
    directory: Option<TempDir>,
}

/// The resource usage of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessUsage {
    /// The process's resident memory, in bytes.
    pub memory_bytes: u64,
    /// The process's peak resident memory, in bytes.
    pub memory_bytes_max: u64,
    /// CPU time of all its threads.
    pub cpu: Duration,
}

/// A thread of a program.
#[derive(Debug)]
pub struct ProgramThread(PathBuf);

impl ProgramThread {
    /// The CPU time that the thread has used so far.
    pub fn cpu_time(&self) -> Duration {
        let text = fs::read_to_string(self.0.join("schedstat")).expect("the thread is there");
        let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
        Duration::from_nanos(nanos.expect("nanoseconds of CPU time"))
    }
}

impl ProcessUsage {
    /// The resource usage of a process so far; `None` once it has ended.
    pub(crate) fn of_process(pid: Pid) -> Option<Self> {
        let read =
            |file: &str| fs::read_to_string(format!("/proc/{}/{file}", pid.as_raw_nonzero()));
        let status = read("status").ok()?;
        let bytes = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
        };
        // The process name, in brackets, may contain spaces.
        let stat = read("stat").ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<u64>().ok();
        Some(ProcessUsage {
            memory_bytes: bytes("VmRSS:")?,
            memory_bytes_max: bytes("VmHWM:")?,
            cpu: Duration::from_millis(10) * u32::try_from(ticks()? + ticks()?).ok()?,
        })
    }
}

impl Running {
    pub(crate) fn new(mut child: Child, directory: TempDir) -> Self {
        let pid = Pid::from_child(&child);
        let stdin = child.stdin.take();
        // `None` if the test has provided another output.
        let (stdout, reads_stdout) = child.stdout.take().map(Transcript::collect_from).unzip();
        let (stderr, reads_stderr) = child.stderr.take().map(Transcript::collect_from).unzip();
        let (sender, exit) = channel();
        thread::spawn(move || {
            let reads = [reads_stdout, reads_stderr].into_iter().flatten();
            reads.for_each(|reads| drop(reads.join()));
            let status = child.wait().expect("the program can be waited for");
            let code = status.code().or(status.signal().map(|signal| -signal));
            let _ = sender.send(code.unwrap_or(i32::MIN));
        });
        let (stdout, stderr) = (stdout.unwrap_or_default(), stderr.unwrap_or_default());
        Running { pid, stdin, stdout, stderr, exit, directory: Some(directory) }
    }

    /// Writes to the program's standard input.
    pub fn write_stdin(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        stdin.write_all(bytes).expect("the program reads its input");
    }

    /// Writes to the program's standard input on a thread, and closes it.
    pub fn write_all_in_background(&mut self, bytes: Vec<u8>) {
        let mut stdin = self.stdin.take().expect("standard input is open");
        thread::spawn(move || stdin.write_all(&bytes));
    }

    /// A path in the program's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.as_ref().expect("it is still running").path().join(name)
    }

    /// Sends a signal to the program.
    pub fn send_signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("the program is there to be signalled");
    }

    /// Kills the program, unless it has ended by itself, and waits for its end.
    pub fn kill(self) -> FinishedRun {
        let _ = kill_process(self.pid, Signal::KILL);
        self.wait(DEADLINE)
    }

    /// Waits until the program has written this to standard error.
    pub fn wait_for(&self, words: &str) {
        let said = self.stderr.wait_for(words, DEADLINE);
        assert!(said, "never said {words:?}:\n{}", self.stderr());
    }

    /// Waits for these words on standard error, and returns the rest of their line.
    pub fn wait_for_line(&self, words: &str) -> String {
        self.wait_for(words);
        let mut rest = None;
        wait_until("the line ends", || {
            let text = self.stderr();
            let after = text.split_once(words).and_then(|(_, after)| after.split_once('\n'));
            rest = after.map(|(rest, _)| rest.to_owned());
            rest.is_some()
        });
        rest.expect("it was waited for")
    }

    /// The program's peak memory so far, in bytes.
    pub fn memory_bytes_max(&self) -> u64 {
        self.usage().expect("the program is there to be looked at").memory_bytes_max
    }

    /// The program's resource usage so far; `None` once it has ended.
    pub fn usage(&self) -> Option<ProcessUsage> {
        ProcessUsage::of_process(self.pid)
    }

    /// The program's thread with this name.
    pub fn thread(&self, name: &str) -> ProgramThread {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid.as_raw_nonzero()));
        let threads = threads.expect("the program is there to be looked at").flatten();
        let is_named = |thread: &PathBuf| {
            fs::read_to_string(thread.join("comm")).is_ok_and(|found| found.trim_end() == name)
        };
        let thread = threads.map(|thread| thread.path()).find(is_named);
        ProgramThread(thread.unwrap_or_else(|| panic!("no thread {name}")))
    }

    /// The number of the program's open descriptors; 0 once it has ended.
    pub fn descriptor_count(&self) -> usize {
        let directory = format!("/proc/{}/fd", self.pid.as_raw_nonzero());
        fs::read_dir(directory).map_or(0, Iterator::count)
    }

    /// The program's standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes()).into_owned()
    }

    /// Waits for the program's end, and passes its resource usage to a function until then. Returns
    /// the last usage.
    pub fn watch(mut self, mut look: impl FnMut(ProcessUsage)) -> (FinishedRun, ProcessUsage) {
        let (deadline, mut last) = (Instant::now() + DEADLINE, ProcessUsage::default());
        let exit = loop {
            if let Ok(exit) = self.exit.recv_timeout(LOOK_INTERVAL) {
                break exit;
            }
            if let Some(usage) = self.usage() {
                last = usage;
                look(usage);
            }
            assert!(Instant::now() < deadline, "still running:\n{}", self.stderr());
        };
        (self.finish_run(exit), last)
    }

    /// Closes the program's standard input and waits for its end.
    pub fn finish(mut self, deadline: Duration) -> FinishedRun {
        self.stdin.take();
        self.wait(deadline)
    }

    /// Waits for the program's end, while its standard input stays open.
    pub fn wait(mut self, deadline: Duration) -> FinishedRun {
        let Ok(exit) = self.exit.recv_timeout(deadline) else {
            panic!("still running after {deadline:?}:\n{}", self.stderr());
        };
        self.finish_run(exit)
    }

    fn finish_run(&mut self, exit: i32) -> FinishedRun {
        let directory = self.directory.take().expect("nobody else has taken it");
        compiled::share_plugins(&directory.path().join("standpipe-data/cache"));
        FinishedRun { exit, stdout: self.stdout.bytes(), stderr: self.stderr(), directory }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After a wait, the process id may belong to another process.
        if self.directory.is_some() && self.exit.try_recv().is_err() {
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

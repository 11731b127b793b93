//! The output of a plugin: lines for the host's log, at a limited rate, and the standard error of a
//! call that trapped.
//!
//! A fault becomes part of the dead letter of one event, so it must not contain output of another
//! call. It does not include standard output, because languages buffer that across calls.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Lines that a plugin may print per second. Further lines are counted and dropped.
const PLUGIN_LOG_LINES_PER_SECOND: u32 = 20;

/// Bytes of one line that a plugin prints. The rest of the line is dropped.
const PLUGIN_LOG_LINE_BYTES_MAX: usize = 1024;

/// Number of kept lines from the start of a call. In JavaScript, the error message and its position
/// come first; in Rust, they are on two lines.
const FIRST_LINES: usize = 6;

/// Number of kept lines from the end of a call. Python prints the message on the last line.
const LAST_LINES: usize = 4;

/// The rate limit of a plugin's lines. All instances share it: otherwise, a plugin that traps at
/// every event would get a new limit each time.
#[derive(Debug, Clone, Default)]
pub(super) struct LogRate(Arc<LogRateState>);

#[derive(Debug, Default)]
struct LogRateState {
    second: Mutex<LogSecond>,
    /// Whether lines of the current second were dropped.
    has_dropped: AtomicBool,
}

#[derive(Debug, Default)]
struct LogSecond {
    started: Option<Instant>,
    lines: u32,
    dropped: u64,
}

/// The standard output and standard error of one instance.
#[derive(Debug, Clone)]
pub(super) struct PluginLog {
    rate: LogRate,
    printed: Arc<Mutex<Printed>>,
}

/// The output of an instance.
#[derive(Debug, Default)]
struct Printed {
    /// Incomplete lines of standard output and of standard error.
    unfinished: [Vec<u8>; 2],
    /// Lines of standard error in this call: the first lines, and the last ones after them.
    first: Vec<String>,
    last: VecDeque<String>,
    /// The number of lines between them.
    left_out: u64,
}

/// The channel that a plugin writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Channel {
    Output,
    Error,
}

/// One of the two channels of an instance.
#[derive(Debug, Clone)]
pub(super) struct LogChannel {
    log: PluginLog,
    channel: Channel,
}

impl LogRate {
    /// Logs a line, or counts it as dropped.
    fn log_line(&self, line: &str) {
        let mut second = self.0.second.lock();
        if second.is_over() {
            self.report(&mut second);
            *second = LogSecond { started: Some(Instant::now()), ..LogSecond::default() };
        }
        if second.lines < PLUGIN_LOG_LINES_PER_SECOND {
            second.lines += 1;
            tracing::info!(target: "plugin", "{line}");
            return;
        }
        if second.dropped == 0 {
            let limit = PLUGIN_LOG_LINES_PER_SECOND;
            tracing::warn!(
                target: "plugin",
                "the plugin prints more than {limit} lines per second; dropping the rest"
            );
        }
        second.dropped += 1;
        self.0.has_dropped.store(true, Ordering::Relaxed);
    }

    /// Logs the number of dropped lines at the end of each second.
    fn report_over(&self) {
        if self.0.has_dropped.load(Ordering::Relaxed) {
            let mut second = self.0.second.lock();
            if second.is_over() {
                self.report(&mut second);
            }
        }
    }

    /// Logs the number of lines dropped so far, because no further lines may follow.
    pub(super) fn report_dropped(&self) {
        self.report(&mut self.0.second.lock());
    }

    fn report(&self, second: &mut LogSecond) {
        let dropped = std::mem::take(&mut second.dropped);
        self.0.has_dropped.store(false, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(target: "plugin", "dropped {dropped} lines that the plugin printed");
        }
    }
}

impl LogSecond {
    fn is_over(&self) -> bool {
        self.started.is_none_or(|started| started.elapsed() >= Duration::from_secs(1))
    }
}

impl PluginLog {
    pub(super) fn new(rate: &LogRate) -> Self {
        PluginLog { rate: rate.clone(), printed: Arc::default() }
    }

    pub(super) fn stdout(&self) -> LogChannel {
        LogChannel { log: self.clone(), channel: Channel::Output }
    }

    pub(super) fn stderr(&self) -> LogChannel {
        LogChannel { log: self.clone(), channel: Channel::Error }
    }

    /// Starts a call. Earlier output belongs to other events.
    pub(super) fn begin_call(&self) {
        let mut printed = self.printed.lock();
        for channel in [Channel::Output, Channel::Error] {
            self.end_line(&mut printed, channel);
        }
        printed.first.clear();
        printed.last.clear();
        printed.left_out = 0;
        drop(printed);
        self.rate.report_over();
    }

    /// The standard error of this call, on one line of at most this number of bytes. The middle is
    /// left out first.
    pub(super) fn stderr_of_call(&self, bytes_max: usize) -> String {
        let mut printed = self.printed.lock();
        self.end_line(&mut printed, Channel::Error);
        let mut head = printed.first.join(" ");
        let mut tail = String::new();
        if !printed.last.is_empty() {
            let gap = match printed.left_out {
                0 => String::new(),
                lines => format!("... {lines} lines ... "),
            };
            tail = format!(" {gap}{}", printed.last.make_contiguous().join(" "));
        }
        if head.len() + tail.len() > bytes_max {
            let excess = tail.len().saturating_sub(bytes_max / 2);
            tail.drain(..tail.ceil_char_boundary(excess));
            head.truncate(head.floor_char_boundary(bytes_max - tail.len()));
        }
        head + &tail
    }

    fn write(&self, channel: Channel, bytes: &[u8]) {
        let mut printed = self.printed.lock();
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line(&mut printed, channel);
                continue;
            }
            let line = &mut printed.unfinished[channel as usize];
            if line.len() < PLUGIN_LOG_LINE_BYTES_MAX {
                line.push(byte);
            }
        }
    }

    fn end_line(&self, printed: &mut Printed, channel: Channel) {
        let line = &mut printed.unfinished[channel as usize];
        if line.is_empty() {
            return;
        }
        let text: String =
            String::from_utf8_lossy(line).trim().chars().map(replace_control_character).collect();
        line.clear();
        if text.is_empty() {
            return;
        }
        self.rate.log_line(&text);
        // A plugin cannot have this environment variable, so the advice is not useful.
        if channel == Channel::Error && !text.contains("RUST_BACKTRACE") {
            printed.keep_line(text);
        }
    }
}

impl Printed {
    fn keep_line(&mut self, line: String) {
        if self.first.len() < FIRST_LINES {
            self.first.push(line);
            return;
        }
        self.last.push_back(line);
        if self.last.len() > LAST_LINES {
            self.last.pop_front();
            self.left_out += 1;
        }
    }
}

/// Replaces control characters, which could control the terminal that shows the log.
fn replace_control_character(c: char) -> char {
    if c.is_control() { '\u{fffd}' } else { c }
}

impl IsTerminal for LogChannel {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogChannel {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for LogChannel {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.log.write(self.channel, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 * 1024)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LogChannel {
    async fn ready(&mut self) {}
}

impl Drop for LogChannel {
    fn drop(&mut self) {
        self.log.end_line(&mut self.log.printed.lock(), self.channel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1000;

    #[test]
    fn a_call_has_its_own_lines_of_standard_error_alone() {
        let log = PluginLog::new(&LogRate::default());
        log.begin_call();
        log.write(Channel::Output, b"output of one\nunfinished output of one");
        log.write(Channel::Error, b"error of one\nunfinished error of one");
        assert_eq!(log.stderr_of_call(MAX), "error of one unfinished error of one");
        log.write(Channel::Error, b"unfinished again");
        log.begin_call();
        assert_eq!(log.stderr_of_call(MAX), "");
        log.write(Channel::Output, b" and two\n");
        log.write(Channel::Error, b"error of two\nnote: run with `RUST_BACKTRACE=1`\n");
        assert_eq!(log.stderr_of_call(MAX), "error of two");
    }

    #[test]
    fn the_first_lines_and_the_last_are_kept() {
        let log = PluginLog::new(&LogRate::default());
        for line in 1..=20 {
            log.write(Channel::Error, format!("{line}\n").as_bytes());
        }
        assert_eq!(log.stderr_of_call(MAX), "1 2 3 4 5 6 ... 10 lines ... 17 18 19 20");
        log.begin_call();
        (1..=10).for_each(|line| log.write(Channel::Error, format!("{line}\n").as_bytes()));
        assert_eq!(log.stderr_of_call(MAX), "1 2 3 4 5 6 7 8 9 10");
        log.begin_call();
        (1..=20).for_each(|line| log.write(Channel::Error, format!("line{line:02}é\n").as_bytes()));
        let said = log.stderr_of_call(40);
        assert!(said.starts_with("line01é li") && said.ends_with(" line20é"), "{said}");
        assert!(said.len() <= 40, "{said}");
    }
}

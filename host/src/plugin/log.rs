//! What a plugin prints: lines for the host's log, at a bounded rate, and the
//! last words of an instance that trapped.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::limits;

/// Lines kept as an instance's last words: a panic of Rust prints its place and
/// its message on lines of their own.
const LAST_LINES: usize = 3;

/// The bound of a plugin's lines, shared by all its instances: one that traps
/// at every event would otherwise start afresh each time.
#[derive(Debug, Clone, Default)]
pub(super) struct Rate(Arc<Mutex<Second>>);

#[derive(Debug, Default)]
struct Second {
    started: Option<Instant>,
    lines: u32,
    dropped: u64,
}

/// The standard output and standard error of one instance.
#[derive(Debug, Clone)]
pub(super) struct Log {
    rate: Rate,
    last: Arc<Mutex<VecDeque<String>>>,
}

struct LogStream {
    log: Log,
    line: Vec<u8>,
}

impl Rate {
    /// Log a line, or count it.
    fn log(&self, line: &str) {
        let mut second = lock(&self.0);
        if second.started.is_none_or(|started| started.elapsed() >= Duration::from_secs(1)) {
            if second.dropped > 0 {
                tracing::info!(target: "plugin", "{} more lines were not shown", second.dropped);
            }
            *second = Second { started: Some(Instant::now()), ..Second::default() };
        }
        if second.lines < limits::PLUGIN_LOG_LINES_PER_SECOND {
            second.lines += 1;
            tracing::info!(target: "plugin", "{line}");
        } else {
            second.dropped += 1;
        }
    }
}

impl Log {
    pub(super) fn new(rate: &Rate) -> Self {
        Log { rate: rate.clone(), last: Arc::default() }
    }

    /// What the instance printed last, on one line.
    pub(super) fn last_words(&self) -> String {
        lock(&self.last).make_contiguous().join(" ")
    }

    fn add(&self, line: &[u8]) {
        let line: String = String::from_utf8_lossy(line).trim().chars().map(harmless).collect();
        if line.is_empty() {
            return;
        }
        self.rate.log(&line);
        // Advice about a variable that a plugin cannot have is no last word.
        if !line.contains("RUST_BACKTRACE") {
            let mut last = lock(&self.last);
            last.push_back(line);
            if last.len() > LAST_LINES {
                last.pop_front();
            }
        }
    }
}

/// Control characters could steer the terminal that shows the log.
fn harmless(c: char) -> char {
    if c.is_control() { '\u{fffd}' } else { c }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl IsTerminal for Log {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Log {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(LogStream { log: self.clone(), line: Vec::new() })
    }
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        for &byte in &bytes {
            if byte == b'\n' {
                self.log.add(&self.line);
                self.line.clear();
            } else if self.line.len() < limits::PLUGIN_LOG_LINE_BYTES_MAX {
                self.line.push(byte);
            }
        }
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
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

impl Drop for LogStream {
    fn drop(&mut self) {
        self.log.add(&self.line);
    }
}

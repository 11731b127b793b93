//! What an instance is given, and what bounds it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use tokio::io::AsyncWrite;
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime::{ResourceLimiter, Result, UpdateDeadline, bail};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::limits;

/// The data of a Store: one instance's surroundings.
pub(super) struct Sandbox {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(super) bounds: Bounds,
    /// The thread's processor time at which a call is interrupted.
    pub(super) deadline: Duration,
}

/// Counts the memory of an instance, all its memories together.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    memory_bytes: usize,
    /// Whether memory was refused.
    pub(super) refused: bool,
}

/// An error of the host's own making, told apart from a trap.
#[derive(Debug)]
pub(super) struct DeadlinePassed;

impl std::fmt::Display for DeadlinePassed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("deadline passed")
    }
}

impl std::error::Error for DeadlinePassed {}

impl Sandbox {
    pub(super) fn new() -> Self {
        let wasi = WasiCtx::builder().stdout(Log).stderr(Log).max_random_size(64 * 1024).build();
        let (table, bounds) = (ResourceTable::new(), Bounds::default());
        Sandbox { wasi, table, bounds, deadline: Duration::ZERO }
    }

    /// Called at every tick while the plugin runs.
    ///
    /// The limit is the thread's processor time, not the clock on the wall, so
    /// that a machine that stalls condemns nobody.
    pub(super) fn on_tick(&self) -> Result<UpdateDeadline> {
        if thread_cpu_time() < self.deadline {
            Ok(UpdateDeadline::Continue(1))
        } else {
            Err(DeadlinePassed.into())
        }
    }
}

/// The processor time that this thread has used.
pub(super) fn thread_cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).expect("processor time is not negative")
}

impl WasiView for Sandbox {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Provide WASI 0.2, except that nothing may wait: neither the deadline of a
/// call nor anything else would interrupt a plugin that sleeps inside the host.
pub(super) fn add_to_linker(linker: &mut Linker<Sandbox>) -> Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    let mut poll = linker.instance("wasi:io/poll@0.2.12")?;
    poll.func_wrap("poll", |_, _: (Vec<Resource<DynPollable>>,)| -> Result<(Vec<u32>,)> {
        bail!("a plugin must not wait (wasi:io/poll)")
    })?;
    poll.func_wrap("[method]pollable.block", |_, _: (Resource<DynPollable>,)| -> Result<()> {
        bail!("a plugin must not wait (wasi:io/poll)")
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

impl ResourceLimiter for Bounds {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let total = self.memory_bytes - current.min(self.memory_bytes) + desired;
        if total > limits::PLUGIN_MEMORY_BYTES_MAX {
            self.refused = true;
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        Ok(desired <= limits::PLUGIN_TABLE_ELEMENTS_MAX)
    }
}

impl Bounds {
    /// Whether so much of the permitted memory is in use that the instance
    /// should be replaced: a guest never gives memory back.
    pub(super) fn is_bloated(&self) -> bool {
        self.memory_bytes > limits::PLUGIN_MEMORY_BYTES_MAX / 2
    }
}

/// What a plugin prints: lines for the host's log, at a bounded rate.
struct Log;

struct LogStream {
    line: Vec<u8>,
    second: Instant,
    lines_in_second: u32,
    dropped: u64,
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
        let second = Instant::now();
        Box::new(LogStream { line: Vec::new(), second, lines_in_second: 0, dropped: 0 })
    }
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        for &byte in &bytes {
            if byte == b'\n' {
                self.end_line();
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

impl LogStream {
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if self.second.elapsed() >= Duration::from_secs(1) {
            if self.dropped > 0 {
                tracing::info!(target: "plugin", "{} more lines were not shown", self.dropped);
            }
            (self.second, self.lines_in_second, self.dropped) = (Instant::now(), 0, 0);
        }
        if self.lines_in_second == limits::PLUGIN_LOG_LINES_PER_SECOND {
            self.dropped += 1;
            return;
        }
        self.lines_in_second += 1;
        let line = String::from_utf8_lossy(&line);
        // Control characters could steer the terminal that shows the log.
        let line = line.escape_debug();
        tracing::info!(target: "plugin", "{line}");
    }
}

impl Drop for LogStream {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }
}

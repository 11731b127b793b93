//! The sandbox of an instance: its WASI context and its limits.

use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use thiserror::Error;
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime::{ResourceLimiter, Result, UpdateDeadline, bail};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::log::{LogRate, PluginLog};
use super::ticker::TickerHandle;
use super::web::{CallUsage, NetworkAccess};
use crate::limits;

/// Maximum number of host resources, such as streams and pollables, that an instance may have open
/// at once. A mapping does not need them, but language runtimes need some at their start.
const PLUGIN_RESOURCES_MAX: usize = 1000;

/// Maximum random bytes that a plugin gets in one call.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// The data of a store: the environment of one instance.
pub(super) struct Sandbox {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(super) bounds: Bounds,
    /// The thread's CPU time at which a call is interrupted.
    pub(super) deadline: Duration,
    pub(super) log: PluginLog,
    pub(super) ticker: TickerHandle,
    pub(super) network: Arc<NetworkAccess>,
    /// What the current call has used of the limits for requests.
    pub(super) call_usage: CallUsage,
}

/// Counts the memory of an instance, including all of its memories.
#[derive(Debug)]
pub(super) struct Bounds {
    /// The memory in use.
    pub(super) memory_bytes: usize,
    pub(super) memory_bytes_max: usize,
    /// Whether an allocation was refused.
    pub(super) refused: bool,
}

/// The host's own error when the deadline has passed, as opposed to a trap.
#[derive(Debug, Error)]
#[error("deadline passed")]
pub(super) struct DeadlinePassed;

impl Sandbox {
    pub(super) fn new(
        rate: &LogRate,
        memory_bytes_max: usize,
        ticker: TickerHandle,
        network: Arc<NetworkAccess>,
    ) -> Self {
        let log = PluginLog::new(rate);
        let mut wasi = WasiCtx::builder();
        wasi.stdout(log.stdout()).stderr(log.stderr()).max_random_size(RANDOM_BYTES_MAX);
        let bounds = Bounds { memory_bytes: 0, memory_bytes_max, refused: false };
        let mut table = ResourceTable::new();
        table.set_max_capacity(PLUGIN_RESOURCES_MAX);
        Sandbox {
            wasi: wasi.build(),
            table,
            bounds,
            deadline: Duration::ZERO,
            log,
            ticker,
            network,
            call_usage: CallUsage::default(),
        }
    }

    /// Called at every tick while the plugin runs.
    ///
    /// The limit is the thread's CPU time and not wall-clock time, so that no event fails on a slow
    /// machine.
    pub(super) fn on_tick(&self) -> Result<UpdateDeadline> {
        if thread_cpu_time() < self.deadline {
            Ok(UpdateDeadline::Continue(1))
        } else {
            Err(DeadlinePassed.into())
        }
    }
}

/// The CPU time of this thread so far.
pub(super) fn thread_cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).expect("CPU time is not negative")
}

impl WasiView for Sandbox {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Provides WASI 0.2 without waiting: the deadline of a call cannot interrupt a plugin that sleeps
/// inside the host.
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
        if total > self.memory_bytes_max {
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
    /// Whether so much of the permitted memory is in use that the instance should be replaced,
    /// because a guest never releases memory.
    pub(super) fn is_bloated(&self) -> bool {
        self.memory_bytes > self.memory_bytes_max / 2
    }
}

//! The thread that makes running plugins check their CPU time, every [`PLUGIN_TICK`].
//!
//! It sleeps while no plugin runs. A call wakes it, which costs a system call only if it was
//! asleep: it continues to tick for [`PLUGIN_TICKS_IDLE`] after the last call, so calls in close
//! succession do not have to wake it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::EngineWeak;

/// How often the CPU time of a running plugin is checked.
const PLUGIN_TICK: Duration = Duration::from_millis(1);

/// Number of ticks without a running plugin after which the thread sleeps until the next call.
/// Waking the thread takes some microseconds, at most 50 times per second.
const PLUGIN_TICKS_IDLE: u32 = 20;

/// Ends the thread when it is dropped.
pub(super) struct Ticker {
    handle: TickerHandle,
}

/// Informs the ticker when plugins run.
#[derive(Clone)]
pub(super) struct TickerHandle(Arc<TickerState>);

struct TickerState {
    /// Number of current calls into plugins.
    running: AtomicUsize,
    is_resting: AtomicBool,
    is_over: AtomicBool,
    thread: Thread,
}

/// A running call of a plugin, until it is dropped.
#[must_use = "the deadline of a call is looked at as long as this lives"]
pub(super) struct RunningCall(TickerHandle);

impl Ticker {
    pub(super) fn start(engine: EngineWeak) -> io::Result<Self> {
        let (hand_over, received) = std::sync::mpsc::sync_channel::<TickerHandle>(1);
        let thread = thread::Builder::new().name("plugin-ticker".to_owned()).spawn(move || {
            if let Ok(handle) = received.recv() {
                handle.tick(&engine);
            }
        })?;
        let state = TickerState {
            running: AtomicUsize::new(0),
            is_resting: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            thread: thread.thread().clone(),
        };
        let handle = TickerHandle(Arc::new(state));
        // The thread waits for the handle.
        let _ = hand_over.send(handle.clone());
        Ok(Ticker { handle })
    }

    pub(super) fn handle(&self) -> TickerHandle {
        self.handle.clone()
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        let TickerHandle(state) = &self.handle;
        state.is_over.store(true, Ordering::SeqCst);
        state.thread.unpark();
    }
}

impl TickerHandle {
    /// Marks the start of a call.
    pub(super) fn start_call(&self) -> RunningCall {
        // The thread announces that it sleeps before it checks the number of calls again. This
        // function counts the call before it checks whether the thread sleeps. So one of them sees
        // the other.
        self.0.running.fetch_add(1, Ordering::SeqCst);
        if self.0.is_resting.load(Ordering::SeqCst) {
            self.0.thread.unpark();
        }
        RunningCall(self.clone())
    }

    #[expect(clippy::disallowed_methods, reason = "it measures the time")]
    fn tick(&self, engine: &EngineWeak) {
        let TickerHandle(state) = self;
        let mut ticks_idle = 0;
        while !state.is_over.load(Ordering::SeqCst) {
            thread::sleep(PLUGIN_TICK);
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
            drop(engine);
            match state.running.load(Ordering::SeqCst) {
                0 => ticks_idle += 1,
                _ => ticks_idle = 0,
            }
            if ticks_idle >= PLUGIN_TICKS_IDLE {
                self.rest_until_called();
                ticks_idle = 0;
            }
        }
    }

    fn rest_until_called(&self) {
        let TickerHandle(state) = self;
        state.is_resting.store(true, Ordering::SeqCst);
        while state.running.load(Ordering::SeqCst) == 0 && !state.is_over.load(Ordering::SeqCst) {
            thread::park();
        }
        state.is_resting.store(false, Ordering::SeqCst);
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        let RunningCall(TickerHandle(state)) = self;
        state.running.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn wait_until(is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_so() {
            assert!(Instant::now() < deadline, "in vain");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn it_rests_while_nothing_runs_and_ticks_again() {
        let engine = wasmtime::Engine::default();
        let ticker = Ticker::start(engine.weak()).unwrap();
        let TickerHandle(state) = ticker.handle();
        for _ in 0..3 {
            wait_until(|| state.is_resting.load(Ordering::SeqCst));
            let (first, second) = (ticker.handle().start_call(), ticker.handle().start_call());
            wait_until(|| !state.is_resting.load(Ordering::SeqCst));
            drop(first);
            // The call lasts longer than the ticker needs to fall asleep.
            let end = Instant::now() + PLUGIN_TICK * 3 * PLUGIN_TICKS_IDLE;
            while Instant::now() < end {
                assert!(!state.is_resting.load(Ordering::SeqCst));
                thread::sleep(PLUGIN_TICK);
            }
            drop(second);
        }
        drop(ticker);
        // The thread has dropped its handle.
        wait_until(|| Arc::strong_count(&state) == 1);
    }
}

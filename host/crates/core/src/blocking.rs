//! Runs work that blocks a thread, such as reading and writing files, on other threads than those
//! that do input and output.

/// Runs work on a thread that may block, and waits for its result.
///
/// A simulation runs the work in place, because threads would make it nondeterministic.
///
/// # Panics
///
/// Panics if the work panics, or if the runtime is shutting down.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    #[cfg(any(test, feature = "testing"))]
    if simulated::is_on() {
        return work();
    }
    tokio::task::spawn_blocking(work).await.expect("blocking work does not panic")
}

/// Whether the work of this thread is part of a simulation.
#[cfg(any(test, feature = "testing"))]
pub mod simulated {
    use std::cell::Cell;

    thread_local! {
        static IS_ON: Cell<bool> = const { Cell::new(false) };
    }

    /// Whether this thread runs a simulation.
    pub fn is_on() -> bool {
        IS_ON.get()
    }

    /// Sets whether this thread runs a simulation.
    pub fn set(is_on: bool) {
        IS_ON.set(is_on);
    }
}

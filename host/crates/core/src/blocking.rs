//! Work that blocks a thread, such as reading and writing files, kept off the
//! threads that drive input and output.

/// Runs work on a thread that may block, and waits for its result.
///
/// A simulation runs it in place: threads would make its course a matter of luck.
///
/// # Panics
///
/// The work panics, or the runtime is shutting down.
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

    /// Says whether this thread runs a simulation.
    pub fn set(is_on: bool) {
        IS_ON.set(is_on);
    }
}

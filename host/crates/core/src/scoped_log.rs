//! Logs of single threads, in tests.

use std::sync::OnceLock;

use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

/// Has every thread's log be asked whether it wants a span or an event.
///
/// As long as a process has one dispatcher alone, tracing asks that of the thread that
/// comes to a place first, and keeps the answer for all: a test that runs beside one with a
/// log, and has none, would silence it.
pub fn ask_all_threads() {
    static OTHER: OnceLock<Dispatch> = OnceLock::new();
    OTHER.get_or_init(|| Dispatch::new(NoSubscriber::new()));
}

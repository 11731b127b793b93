//! Logs of single threads, in tests.

use std::sync::OnceLock;

use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

/// Makes tracing ask the log of every thread whether it wants a span or an event.
///
/// While a process has only one dispatcher, tracing asks the dispatcher of the first thread at a
/// call site, and caches the result for all threads. So a concurrent test without a log would
/// silence a test with one.
pub fn ask_all_threads() {
    static OTHER: OnceLock<Dispatch> = OnceLock::new();
    OTHER.get_or_init(|| Dispatch::new(NoSubscriber::new()));
}

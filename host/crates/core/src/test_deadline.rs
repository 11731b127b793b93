//! Deadlines of tests that would hang where the code is broken.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// How long such a test may take: far longer than it does on a machine that is busy.
const TEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Runs a test on a thread of its own, and fails where it does not end.
///
/// # Panics
///
/// The test panics, or has not ended in time.
pub fn run_with_deadline(test: impl FnOnce() + Send + 'static) {
    let (end, ended) = sync_channel::<()>(1);
    let test = move || {
        test();
        drop(end);
    };
    let thread = thread::Builder::new().name("test".to_owned()).spawn(test);
    let thread = thread.expect("a thread for the test");
    if ended.recv_timeout(TEST_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
        panic!("the test has not ended within {TEST_TIMEOUT:?}");
    }
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

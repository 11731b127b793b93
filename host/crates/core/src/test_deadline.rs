//! Deadlines for tests that would hang if the code is broken.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// The maximum duration of such a test, far longer than necessary on a busy machine.
const TEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Runs a test on a separate thread, and fails if it does not end.
///
/// # Panics
///
/// Panics if the test panics, or does not end in time.
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

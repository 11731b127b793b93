//! The stack on which instances run.
//!
//! Interpreters limit their own stack, which is in the memory of the instance, and throw an error
//! at the limit. Their functions use the thread's stack too. If that one overflows first, the
//! instance traps, and its code can catch nothing. Measured with the script runner: for each byte of
//! its own stack of 256 KiB, up to 20 bytes of the thread's stack, in its parser.
//!
//! A call never starts without space for [`STACK_BYTES_MAX`]. Threads of [`plugin_thread`] have it;
//! on other threads, the call runs on a stack of its own, which costs some microseconds.

use std::thread;

/// Bytes of a thread's stack that an instance may use.
pub(super) const STACK_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes for the functions of the host that an instance calls.
const HOST_BYTES: usize = 1024 * 1024;

/// The size of the stacks, in bytes. The system provides the memory when it is first used.
const THREAD_BYTES: usize = STACK_BYTES_MAX + 2 * HOST_BYTES;

/// A thread whose stack is large enough to call plugins.
pub fn plugin_thread(name: impl Into<String>) -> thread::Builder {
    thread::Builder::new().name(name.into()).stack_size(THREAD_BYTES)
}

/// Runs a call of an instance on a stack that is large enough.
pub(super) fn with_plugin_stack<T>(call: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK_BYTES_MAX + HOST_BYTES, THREAD_BYTES, call)
}

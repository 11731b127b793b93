//! The program `host`.

use std::process::ExitCode;

fn main() -> ExitCode {
    share_free_memory();
    standpipe::cli::main()
}

/// Have the allocator of the GNU C library keep one heap for each processor.
///
/// Its own choice is eight. Requests are built by whichever thread is free, so
/// each heap would come to hold as much as the busiest moment it ever saw.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn share_free_memory() {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let heaps = i32::try_from(processors).unwrap_or(i32::MAX);
    // SAFETY: it takes two numbers, and no other thread has been started.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, heaps) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn share_free_memory() {}

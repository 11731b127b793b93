//! The program `host`.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    share_free_memory();
    standpipe::cli::main()
}

/// Limits the allocator of the GNU C library to one heap for each processor.
///
/// The default is eight heaps for each processor. Any thread can build a request, so every heap
/// would grow to the maximum.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn share_free_memory() {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let heaps = i32::try_from(processors).unwrap_or(i32::MAX);
    // SAFETY: mallopt takes two numbers, and no other thread has been started.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, heaps) };
}

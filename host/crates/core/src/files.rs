//! File system operations that the standard library lacks: locks with a deadline, and releasing the
//! space of a part of a file.

use std::fs::{File, TryLockError};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// How long a run waits for another process to release a file: one that is exiting, or a child
/// process that has not executed its program yet.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause between attempts to lock a file.
const LOCK_AGAIN: Duration = Duration::from_millis(10);

/// Locks a file. Waits until this deadline for a process that has locked it.
///
/// # Errors
///
/// Fails if the file is still locked, or cannot be locked.
#[expect(clippy::disallowed_methods, reason = "nothing signals when a lock is free")]
pub fn lock_until(file: &File, deadline: Instant) -> Result<(), TryLockError> {
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_AGAIN),
            result => return result,
        }
    }
}

/// Releases the space of these bytes to the file system. They read as zeros afterwards.
///
/// # Errors
///
/// Fails if the file system does not support this, or fails.
#[cfg(target_os = "linux")]
pub fn punch_hole(file: &File, offset: u64, length: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};

    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(fallocate(file, flags, offset, length)?)
}

/// Releases the space of these bytes to the file system: unsupported on this system.
///
/// # Errors
///
/// Always fails.
#[cfg(not(target_os = "linux"))]
pub fn punch_hole(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

//! What file systems lack in the standard library: locks that are waited for up to a deadline,
//! and giving back the room of a part of a file.

use std::fs::{File, TryLockError};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// How long a run waits for another process that is letting go of a file: one that is ending, or
/// a child that has not come to be another program yet.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// How often it is tried to lock a file.
const LOCK_AGAIN: Duration = Duration::from_millis(10);

/// Locks a file, and waits until this deadline for a process that has it locked.
///
/// # Errors
///
/// The file is still locked, or cannot be locked.
#[expect(clippy::disallowed_methods, reason = "nothing signals when a lock is free")]
pub fn lock_until(file: &File, deadline: Instant) -> Result<(), TryLockError> {
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_AGAIN),
            result => return result,
        }
    }
}

/// Gives the room of these bytes back to the file system; they read as zeros.
///
/// # Errors
///
/// The file system does not know how, or fails.
#[cfg(target_os = "linux")]
pub fn punch_hole(file: &File, offset: u64, length: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};

    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(fallocate(file, flags, offset, length)?)
}

/// Gives the room of these bytes back to the file system: unsupported on this system.
///
/// # Errors
///
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn punch_hole(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

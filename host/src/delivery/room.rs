//! The memory that the records of all streams share until they are answered
//! for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Memory for closed batches.
///
/// A stream may take as much as there is left for the others, and not more: one
/// alone gets half of the whole, of two slow ones each gets a third. However
/// many are slow, there is always some left for one that is not.
#[derive(Debug)]
pub(super) struct Room {
    free: Mutex<usize>,
    freed: Notify,
}

/// What a stream has taken so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken(Arc<AtomicUsize>);

/// A part of the room, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    room: Arc<Room>,
    taken: Taken,
    bytes: usize,
}

impl Room {
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Room { free: Mutex::new(bytes), freed: Notify::new() })
    }

    /// Take so many bytes for a stream, if they are its due.
    pub(super) fn try_take(self: &Arc<Self>, taken: &Taken, bytes: usize) -> Option<Share> {
        let mut free = self.free();
        let own = taken.0.load(Ordering::Relaxed);
        // A batch that is larger than any due part gets through alone.
        let is_due = own + bytes <= *free || own == 0 && bytes <= *free;
        if !is_due {
            return None;
        }
        *free -= bytes;
        taken.0.fetch_add(bytes, Ordering::Relaxed);
        Some(Share { room: Arc::clone(self), taken: taken.clone(), bytes })
    }

    /// Wait until so many bytes can be taken.
    pub(super) async fn take(self: &Arc<Self>, taken: &Taken, bytes: usize) -> Share {
        loop {
            let freed = self.freed.notified();
            if let Some(share) = self.try_take(taken, bytes) {
                return share;
            }
            freed.await;
        }
    }

    fn free(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Give back all but so many bytes.
    pub(super) fn keep(&mut self, bytes: usize) {
        drop(self.split(self.bytes.saturating_sub(bytes)));
    }

    /// Part with so many bytes of it.
    pub(super) fn split(&mut self, bytes: usize) -> Share {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Share { room: Arc::clone(&self.room), taken: self.taken.clone(), bytes }
    }

    /// Take another one in.
    pub(super) fn merge(&mut self, mut other: Share) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes > 0 {
            *self.room.free() += self.bytes;
            self.taken.0.fetch_sub(self.bytes, Ordering::Relaxed);
            self.room.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_takes_what_it_leaves_to_the_others() {
        let room = Room::new(1000);
        let streams: Vec<Taken> = (0..4).map(|_| Taken::default()).collect();
        let mut shares = Vec::new();
        for stream in &streams {
            shares.extend(std::iter::from_fn(|| room.try_take(stream, 10)));
        }
        let taken: Vec<_> = streams.iter().map(|taken| taken.0.load(Ordering::Relaxed)).collect();
        assert_eq!(taken, [500, 250, 130, 60]);
        drop(shares);
        assert_eq!(*room.free(), 1000);
        assert_eq!(streams[0].0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_large_batch_gets_through_alone() {
        let (room, stream) = (Room::new(1000), Taken::default());
        let mut share = room.try_take(&stream, 900).unwrap();
        assert!(room.try_take(&stream, 1).is_none());
        share.keep(300);
        let mut other = room.try_take(&stream, 200).unwrap();
        other.merge(share.split(100));
        drop(share);
        assert_eq!((*room.free(), other.bytes), (700, 300));
    }

    #[tokio::test]
    async fn whoever_waits_gets_what_is_given_back() {
        let (room, stream) = (Room::new(10), Taken::default());
        let share = room.take(&stream, 10).await;
        let wait = tokio::spawn({
            let (room, other) = (Arc::clone(&room), Taken::default());
            async move { room.take(&other, 10).await.bytes }
        });
        tokio::task::yield_now().await;
        drop(share);
        assert_eq!(wait.await.unwrap(), 10);
    }
}

//! The memory that the records of all streams share until they are answered
//! for.
//!
//! # Why nothing waits for ever
//!
//! Memory is given back when records are answered for, put on disk or given up. So
//! that this always happens,
//!
//! 1. a batch in memory needs no more memory to leave it: it can be sent, whatever
//!    stands before it on disk (`Waiting::next` passes over batches on disk), and what
//!    is left of a request keeps its part of the memory;
//! 2. a stream that has nothing in memory gets its next batch there as soon as
//!    anything at all is free, however large the batch is ([`Room::try_take`]);
//! 3. what comes behind a batch on disk goes there too, or waits outside
//!    (`Delivery::admit`), so that the memory of a stream with batches on disk runs
//!    empty, and then the first of these is its next batch.
//!
//! By 1, once streams accept records, memory becomes free without any wait for memory;
//! by 2 and 3 the first batch on disk of each stream is then read back, in turn. No
//! stream needs what another one holds but while that one's records are under way. A
//! stream that is held keeps nothing in memory as long as the disk takes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

/// Memory for closed batches.
///
/// A stream may take as much as there is left for the others, and not more: one
/// alone gets half of the whole, of two slow ones each gets a third. The first batch
/// of a stream may be larger than what is left, so that all together exceed the whole
/// by less than one batch.
#[derive(Debug)]
pub(super) struct Room {
    /// Bytes; below zero while a first batch is larger than what was left.
    free: Mutex<i64>,
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
        Arc::new(Room { free: Mutex::new(signed(bytes)), freed: Notify::new() })
    }

    /// Take so many bytes for a stream, if they are its due.
    pub(super) fn try_take(self: &Arc<Self>, taken: &Taken, bytes: usize) -> Option<Share> {
        let mut free = self.free();
        let is_due = match taken.0.load(Ordering::Relaxed) {
            0 => *free > 0,
            own => signed(own + bytes) <= *free,
        };
        if !is_due {
            return None;
        }
        *free -= signed(bytes);
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

    fn free(&self) -> MutexGuard<'_, i64> {
        self.free.lock()
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("memory has fewer bytes")
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
            *self.room.free() += signed(self.bytes);
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
    fn a_first_batch_needs_nothing_but_that_something_is_free() {
        let (room, stream, other) = (Room::new(1000), Taken::default(), Taken::default());
        let mut share = room.try_take(&stream, 900).unwrap();
        assert!(room.try_take(&stream, 1).is_none());
        let beyond = room.try_take(&other, 5000).unwrap();
        assert_eq!(*room.free(), -4900);
        assert!(room.try_take(&Taken::default(), 1).is_none(), "nothing is free");
        drop(beyond);
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

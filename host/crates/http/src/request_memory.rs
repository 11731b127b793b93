//! Memory that requests share, with a part reserved for small requests.
//!
//! Memory is reserved before it is used, and released when the [`RequestReservation`] is dropped.
//! No request waits longer than [`HTTP_BUDGET_TIMEOUT`], so requests that hold a part and want more
//! cannot deadlock. Large reservations may only use a part of the memory, so that some is always
//! left for small requests.
//!
//! [`HTTP_BUDGET_TIMEOUT`]: limits::HTTP_BUDGET_TIMEOUT

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::BodyError;
use crate::limits;
use standpipe_core::memory_budget::{MemoryBudget, Reservation, Sharing};

/// Requests that wait at once for the part of large requests. Each of them holds as much as a small
/// request may. Further ones are refused at once.
const HTTP_BUDGET_WAITING_MAX: usize = 32;

/// The memory that all requests of a kind share.
#[derive(Debug, Clone)]
pub struct RequestMemory(Arc<Pools>);

#[derive(Debug)]
struct Pools {
    /// The whole memory.
    all: MemoryBudget,
    /// The part that large reservations may take.
    large: MemoryBudget,
    /// Permits to wait for that part. Each waiting request holds as much as a small one may.
    waiting: Semaphore,
    /// The maximum bytes of a small reservation.
    small_bytes_max: usize,
}

/// A part of the memory. Dropping it releases the bytes.
#[derive(Debug)]
pub struct RequestReservation {
    memory: RequestMemory,
    /// The reservation in the whole memory.
    all: Reservation,
    /// The reservation in the part for large requests. It is empty while the reservation is small.
    large: Reservation,
}

impl RequestMemory {
    /// Creates memory of this number of bytes, all of which a single reservation may use.
    pub fn new(bytes: usize) -> Self {
        Self::with_room_for_small(bytes, bytes, usize::MAX)
    }

    /// Creates memory of this number of bytes. Reservations of more than `small_bytes_max` may use
    /// at most `large_bytes` together. The rest is for small ones.
    pub fn with_room_for_small(bytes: usize, large_bytes: usize, small_bytes_max: usize) -> Self {
        RequestMemory(Arc::new(Pools {
            all: MemoryBudget::new(bytes, Sharing::InOrder),
            large: MemoryBudget::new(large_bytes, Sharing::InOrder),
            waiting: Semaphore::new(HTTP_BUDGET_WAITING_MAX),
            small_bytes_max,
        }))
    }

    /// An empty reservation.
    pub fn reservation(&self) -> RequestReservation {
        let (all, large) = (self.0.all.reservation(), self.0.large.reservation());
        RequestReservation { memory: self.clone(), all, large }
    }

    /// Reserves this number of bytes if they are free now.
    pub fn try_reserve(&self, bytes: usize) -> Option<RequestReservation> {
        let mut reservation = self.reservation();
        reservation.try_grow(bytes).then_some(reservation)
    }
}

impl RequestReservation {
    /// Reserves additional bytes. Waits for some time until they are free.
    ///
    /// # Errors
    ///
    /// Fails if other requests keep the memory.
    pub async fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        if self.try_grow(bytes) {
            return Ok(());
        }
        let pools = &self.memory.0;
        let large_bytes = self.large_bytes_due(bytes);
        // Requests that wait for the part of large ones hold memory of the small ones.
        let _waiting = match large_bytes {
            0 => None,
            _ => Some(pools.waiting.try_acquire().map_err(|_| BodyError::Busy)?),
        };
        // The new reservations stay separate until both are granted: a request that waits in vain
        // keeps what it had.
        let (mut large, mut all) = (pools.large.reservation(), pools.all.reservation());
        let grow = async {
            large.grow(large_bytes).await;
            all.grow(bytes).await;
        };
        timeout(limits::HTTP_BUDGET_TIMEOUT, grow).await.map_err(|_| BodyError::Busy)?;
        self.large.merge(large);
        self.all.merge(all);
        Ok(())
    }

    /// Reserves additional bytes if they are free now.
    pub fn try_grow(&mut self, bytes: usize) -> bool {
        let mut large = self.memory.0.large.reservation();
        let is_grown = large.try_grow(self.large_bytes_due(bytes)) && self.all.try_grow(bytes);
        if is_grown {
            self.large.merge(large);
        }
        is_grown
    }

    /// Releases all but this number of bytes. Does nothing if the reservation is not larger.
    pub fn shrink_to(&mut self, bytes: usize) {
        let is_small = bytes <= self.memory.0.small_bytes_max;
        self.large.shrink_to(if is_small { 0 } else { bytes });
        self.all.shrink_to(bytes);
    }

    /// The number of reserved bytes.
    pub fn bytes(&self) -> usize {
        self.all.bytes()
    }

    /// The bytes missing in the part for large requests, for this number of additional bytes.
    fn large_bytes_due(&self, more_bytes: usize) -> usize {
        let bytes = self.all.bytes() + more_bytes;
        let is_small = bytes <= self.memory.0.small_bytes_max;
        if is_small { 0 } else { bytes - self.large.bytes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    #[tokio::test]
    async fn what_is_reserved_comes_back() {
        let budget = RequestMemory::new(10 * KIB);
        let mut first = budget.try_reserve(6 * KIB).unwrap();
        assert!(budget.try_reserve(5 * KIB).is_none());
        first.shrink_to(KIB + 1);
        assert_eq!(first.bytes(), KIB + 1);
        let second = budget.try_reserve(8 * KIB).unwrap();
        assert!(!first.try_grow(KIB));
        drop(second);
        assert!(first.try_grow(8 * KIB));
        drop(first);
        assert!(budget.try_reserve(10 * KIB).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_in_vain_is_told_so_and_holds_what_it_had() {
        let budget = RequestMemory::new(4 * KIB);
        let mut one = budget.try_reserve(2 * KIB).unwrap();
        let mut other = budget.try_reserve(2 * KIB).unwrap();
        // Each request wants the bytes of the other.
        let (first, second) = tokio::join!(one.grow(KIB), other.grow(KIB));
        assert_eq!((first, second), (Err(BodyError::Busy), Err(BodyError::Busy)));
        assert_eq!(one.bytes(), 2 * KIB);
        let waiting = async {
            let grown = one.grow(KIB).await;
            (grown, one.bytes())
        };
        let (grown, ()) = tokio::join!(waiting, async { other.shrink_to(0) });
        assert_eq!(grown, (Ok(()), 3 * KIB));
    }

    #[tokio::test(start_paused = true)]
    async fn large_ones_leave_room_for_small_ones() {
        let budget = RequestMemory::with_room_for_small(10 * KIB, 6 * KIB, 2 * KIB);
        let mut large = budget.try_reserve(2 * KIB).unwrap();
        assert!(large.try_grow(4 * KIB), "all that large ones may take");
        assert!(budget.try_reserve(3 * KIB).is_none());
        assert_eq!(budget.reservation().grow(3 * KIB).await, Err(BodyError::Busy));
        let small = [budget.try_reserve(2 * KIB).unwrap(), budget.try_reserve(2 * KIB).unwrap()];
        drop(large);
        drop(small);
        let mut shrunk = budget.try_reserve(6 * KIB).unwrap();
        shrunk.shrink_to(2 * KIB);
        assert!(budget.try_reserve(6 * KIB).is_some(), "a small one takes none of it");
    }

    #[tokio::test(start_paused = true)]
    async fn few_may_wait_for_what_large_ones_have() {
        let budget = RequestMemory::with_room_for_small(usize::MAX / 64, KIB, 0);
        let _all = budget.try_reserve(KIB).unwrap();
        let wait = |_| {
            let budget = budget.clone();
            tokio::spawn(async move { budget.reservation().grow(1).await })
        };
        let waiting: Vec<_> = (0..HTTP_BUDGET_WAITING_MAX).map(wait).collect();
        tokio::task::yield_now().await;
        let started = tokio::time::Instant::now();
        assert_eq!(budget.reservation().grow(1).await, Err(BodyError::Busy));
        assert!(started.elapsed() < limits::HTTP_BUDGET_TIMEOUT, "the others are waiting already");
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), Err(BodyError::Busy));
        }
    }
}

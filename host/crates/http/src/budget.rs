//! Memory that requests share.
//!
//! Memory is reserved before it is used, and given back when the [`Reservation`] is
//! dropped. Nobody waits for more than [`HTTP_BUDGET_TIMEOUT`], so that those who hold a
//! part and want more cannot wait for each other for ever. What is large may take a part
//! of the memory only, so that there is always some for small requests.
//!
//! [`HTTP_BUDGET_TIMEOUT`]: limits::HTTP_BUDGET_TIMEOUT

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::BodyError;
use crate::limits;

/// The unit of a [`MemoryBudget`], in bytes.
const UNIT: usize = 1024;

/// The memory that all requests of a kind share.
#[derive(Debug, Clone)]
pub struct MemoryBudget(Arc<Pools>);

#[derive(Debug)]
struct Pools {
    /// All of it.
    all: Arc<Semaphore>,
    /// The part that large reservations may take.
    large: Arc<Semaphore>,
    /// Who may wait for that part: each holds as much as a small one may.
    waiting: Semaphore,
    /// Bytes up to which a reservation is small.
    small_bytes_max: usize,
}

/// A part of the memory, given back when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: MemoryBudget,
    bytes: usize,
    /// Its units of all the memory.
    all: Option<OwnedSemaphorePermit>,
    /// Its units of the part for large ones, none as long as it is small.
    large: Option<OwnedSemaphorePermit>,
}

impl MemoryBudget {
    /// Memory of so many bytes, of which each reservation may take all.
    pub fn new(bytes: usize) -> Self {
        Self::with_room_for_small(bytes, bytes, usize::MAX)
    }

    /// Memory of so many bytes. Reservations of more than `small_bytes_max` together
    /// take no more than `large_bytes`, and the rest is for small ones.
    pub fn with_room_for_small(bytes: usize, large_bytes: usize, small_bytes_max: usize) -> Self {
        let semaphore = |bytes: usize| Arc::new(Semaphore::new(units(bytes)));
        MemoryBudget(Arc::new(Pools {
            all: semaphore(bytes),
            large: semaphore(large_bytes),
            waiting: Semaphore::new(limits::HTTP_BUDGET_WAITING_MAX),
            small_bytes_max,
        }))
    }

    /// A reservation of nothing yet.
    pub fn reservation(&self) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0, all: None, large: None }
    }

    /// A reservation of so many bytes, if there is room for it at once.
    pub fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        let mut reservation = self.reservation();
        reservation.try_grow(bytes).then_some(reservation)
    }
}

impl Reservation {
    /// Reserve so many bytes more, and wait for them for a while.
    ///
    /// # Errors
    ///
    /// Others have taken them, and keep them.
    pub async fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        if self.try_grow(bytes) {
            return Ok(());
        }
        let pools = Arc::clone(&self.budget.0);
        let due = self.due(self.bytes + bytes);
        // Those who wait for the part of the large ones hold memory of the small ones.
        let _waiting = match due.large {
            0 => None,
            _ => Some(pools.waiting.try_acquire().map_err(|_| BodyError::Busy)?),
        };
        let acquire = async {
            let large = acquire(&pools.large, due.large).await?;
            Ok((large, acquire(&pools.all, due.all).await?))
        };
        let acquired = timeout(limits::HTTP_BUDGET_TIMEOUT, acquire).await;
        let (large, all) = acquired.map_err(|_| BodyError::Busy)??;
        merge(&mut self.large, large);
        merge(&mut self.all, all);
        self.bytes += bytes;
        Ok(())
    }

    /// Reserve so many bytes more, if there is room for them at once.
    pub fn try_grow(&mut self, bytes: usize) -> bool {
        let due = self.due(self.bytes + bytes);
        let pools = &self.budget.0;
        let Some(large) = try_acquire(&pools.large, due.large) else { return false };
        let Some(all) = try_acquire(&pools.all, due.all) else { return false };
        merge(&mut self.large, large);
        merge(&mut self.all, all);
        self.bytes += bytes;
        true
    }

    /// Give back all but so many bytes; nothing, if it has no more than that.
    pub fn shrink_to(&mut self, bytes: usize) {
        if bytes >= self.bytes {
            return;
        }
        self.bytes = bytes;
        let is_small = bytes <= self.budget.0.small_bytes_max;
        release(&mut self.large, if is_small { 0 } else { units(bytes) });
        release(&mut self.all, units(bytes));
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The units that are missing for so many bytes.
    fn due(&self, bytes: usize) -> Due {
        let missing = |permit: &Option<OwnedSemaphorePermit>| {
            units(bytes) - permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
        };
        let is_small = bytes <= self.budget.0.small_bytes_max;
        let large = if is_small { 0 } else { missing(&self.large) };
        Due { all: missing(&self.all), large }
    }
}

/// Units that a reservation lacks.
struct Due {
    all: usize,
    large: usize,
}

type Permit = Option<OwnedSemaphorePermit>;

async fn acquire(semaphore: &Arc<Semaphore>, units: usize) -> Result<Permit, BodyError> {
    if units == 0 {
        return Ok(None);
    }
    let units = u32::try_from(units).map_err(|_| BodyError::TooLarge)?;
    let permit = Arc::clone(semaphore).acquire_many_owned(units).await;
    Ok(Some(permit.expect("it is never closed")))
}

/// None if there is no room.
fn try_acquire(semaphore: &Arc<Semaphore>, units: usize) -> Option<Permit> {
    if units == 0 {
        return Some(None);
    }
    let units = u32::try_from(units).ok()?;
    Some(Some(Arc::clone(semaphore).try_acquire_many_owned(units).ok()?))
}

fn merge(own: &mut Permit, other: Permit) {
    match (own.as_mut(), other) {
        (Some(own), Some(other)) => own.merge(other),
        (None, Some(other)) => *own = Some(other),
        (_, None) => {}
    }
}

/// Give back all but so many units.
fn release(permit: &mut Permit, kept: usize) {
    let Some(own) = permit else { return };
    let released = own.num_permits().saturating_sub(kept);
    drop(own.split(released));
    if kept == 0 {
        *permit = None;
    }
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    #[tokio::test]
    async fn what_is_reserved_comes_back() {
        let budget = MemoryBudget::new(10 * KIB);
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
        let budget = MemoryBudget::new(4 * KIB);
        let mut one = budget.try_reserve(2 * KIB).unwrap();
        let mut other = budget.try_reserve(2 * KIB).unwrap();
        // Each wants what the other has.
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
        let budget = MemoryBudget::with_room_for_small(10 * KIB, 6 * KIB, 2 * KIB);
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
        let budget = MemoryBudget::with_room_for_small(usize::MAX / 64, KIB, 0);
        let _all = budget.try_reserve(KIB).unwrap();
        let wait = |_| {
            let budget = budget.clone();
            tokio::spawn(async move { budget.reservation().grow(1).await })
        };
        let waiting: Vec<_> = (0..limits::HTTP_BUDGET_WAITING_MAX).map(wait).collect();
        tokio::task::yield_now().await;
        let started = tokio::time::Instant::now();
        assert_eq!(budget.reservation().grow(1).await, Err(BodyError::Busy));
        assert!(started.elapsed() < limits::HTTP_BUDGET_TIMEOUT, "the others are waiting already");
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), Err(BodyError::Busy));
        }
    }
}

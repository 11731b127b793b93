//! A shared memory budget: memory is reserved before it is used, and released when the
//! [`Reservation`] is dropped.
//!
//! The budget can be shared in two ways ([`Sharing`]). Other limits are built from it: a
//! reservation can count for several budgets, and its holder can be asked to release it.
//!
//! # Why nobody waits for ever
//!
//! Waiting tasks form a queue in the order of arrival. The user that releases enough bytes also
//! passes them on, so no task has to retry at the right moment. A task that stops waiting leaves
//! the queue at once, returns what it received, and the tasks behind it move up. With
//! [`Sharing::InOrder`], the first task of the queue has priority, so small reservations do not
//! starve a large one. With [`Sharing::Evenly`], a user with nothing gets its reservation as soon
//! as any bytes are free, so that each user gets some in turn.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};

/// A number of bytes that several users share.
#[derive(Debug, Clone)]
pub struct MemoryBudget(Arc<SharedBudget>);

#[derive(Debug)]
struct SharedBudget {
    sharing: Sharing,
    state: Mutex<BudgetState>,
}

/// Which user gets free memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// The first user in the queue, as soon as there is enough. No other user gets memory while the
    /// queue is not empty.
    InOrder,
    /// A user that leaves as much to the others as it has: a single user gets half of the budget,
    /// each of two a third. A user with nothing gets its reservation as soon as any bytes are free.
    /// So all together may exceed the budget by less than one such reservation.
    Evenly,
}

#[derive(Debug, Default)]
struct BudgetState {
    /// Free bytes. Negative while the first reservation of a user exceeds the bytes that were free.
    free: i64,
    /// Waiting reservations in the order of arrival, which is that of their tickets.
    waiting: VecDeque<WaitingReservation>,
    next_ticket: u64,
}

/// A reservation that waits for bytes.
#[derive(Debug)]
struct WaitingReservation {
    ticket: u64,
    bytes: usize,
    /// The user of the reservation, if it has several reservations.
    usage: Option<Usage>,
    /// Bytes that the reservation already has.
    own_bytes: usize,
    waker: Waker,
}

/// The bytes of a user in all of its reservations.
#[derive(Debug, Clone, Default)]
pub struct Usage(Arc<AtomicUsize>);

/// A part of a budget. Dropping it releases the bytes.
#[derive(Debug)]
pub struct Reservation {
    budget: MemoryBudget,
    /// The user, if it has several reservations.
    usage: Option<Usage>,
    bytes: usize,
}

impl MemoryBudget {
    /// Creates a budget of this number of bytes, shared in this way.
    pub fn new(bytes: usize, sharing: Sharing) -> Self {
        let state = BudgetState { free: to_signed(bytes), ..BudgetState::default() };
        MemoryBudget(Arc::new(SharedBudget { sharing, state: Mutex::new(state) }))
    }

    /// Creates an empty reservation, as a user of its own.
    pub fn reservation(&self) -> Reservation {
        Reservation { budget: self.clone(), usage: None, bytes: 0 }
    }

    /// Creates an empty reservation of this user.
    pub fn reservation_of(&self, usage: &Usage) -> Reservation {
        Reservation { budget: self.clone(), usage: Some(usage.clone()), bytes: 0 }
    }

    /// Whether no reservation exists.
    pub fn is_unused(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Free bytes, or 0 while more than the whole budget is reserved.
    pub fn free_bytes(&self) -> usize {
        usize::try_from(self.0.state.lock().free).unwrap_or(0)
    }

    /// Returns bytes to the budget, and passes them to waiting reservations.
    fn give_back(&self, usage: Option<&Usage>, bytes: usize) {
        let mut state = self.0.state.lock();
        state.free += to_signed(bytes);
        if let Some(Usage(held)) = usage {
            held.fetch_sub(bytes, Ordering::Relaxed);
        }
        self.grant_waiting(state);
    }

    /// Passes free bytes to waiting reservations.
    fn grant_waiting(&self, mut state: MutexGuard<'_, BudgetState>) {
        let woken = state.grant_free_bytes(self.0.sharing);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl BudgetState {
    /// Takes bytes for all waiting reservations that may have them, and returns their wakers.
    fn grant_free_bytes(&mut self, sharing: Sharing) -> Vec<Waker> {
        let (mut woken, mut at) = (Vec::new(), 0);
        while let Some(first) = self.waiting.get(at) {
            let held = held_bytes(first.usage.as_ref(), first.own_bytes);
            if sharing.admits(self.free, held, first.bytes) {
                let granted = self.waiting.remove(at).expect("it is there");
                self.take_bytes(granted.usage.as_ref(), granted.bytes);
                woken.push(granted.waker);
            } else if sharing == Sharing::InOrder {
                break;
            } else {
                at += 1;
            }
        }
        woken
    }

    fn take_bytes(&mut self, usage: Option<&Usage>, bytes: usize) {
        self.free -= to_signed(bytes);
        if let Some(Usage(held)) = usage {
            held.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// The position of a ticket in the queue. `None` after its bytes were granted.
    fn position_of(&self, ticket: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&ticket, |waiting| waiting.ticket).ok()
    }
}

impl Sharing {
    /// Whether a user with `held` bytes may have this number of additional bytes.
    fn admits(self, free: i64, held: usize, bytes: usize) -> bool {
        match (self, held) {
            (Sharing::InOrder, _) => to_signed(bytes) <= free,
            (Sharing::Evenly, 0) => free > 0,
            (Sharing::Evenly, held) => to_signed(held + bytes) <= free,
        }
    }
}

impl Usage {
    /// The number of bytes.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Returns the bytes of a user: in all of its reservations, or only in this one if the user has no
/// other.
fn held_bytes(usage: Option<&Usage>, own_bytes: usize) -> usize {
    usage.map_or(own_bytes, Usage::bytes)
}

impl Reservation {
    /// The number of bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reserves additional bytes if they are free now.
    pub fn try_grow(&mut self, bytes: usize) -> bool {
        let sharing = self.budget.0.sharing;
        let held = held_bytes(self.usage.as_ref(), self.bytes);
        let mut state = self.budget.0.state.lock();
        let is_first = sharing == Sharing::Evenly || state.waiting.is_empty();
        let may_have = bytes == 0 || is_first && sharing.admits(state.free, held, bytes);
        if may_have {
            state.take_bytes(self.usage.as_ref(), bytes);
            drop(state);
            self.bytes += bytes;
        }
        may_have
    }

    /// Waits for additional bytes and reserves them. If the future is dropped, nothing is reserved.
    pub fn grow(&mut self, bytes: usize) -> Grow<'_> {
        Grow { reservation: self, bytes, ticket: None }
    }

    /// Returns the reservation after it has grown by this number of bytes.
    pub async fn grown(mut self, bytes: usize) -> Self {
        self.grow(bytes).await;
        self
    }

    /// Releases all but this number of bytes. Does nothing if the reservation is not larger.
    pub fn shrink_to(&mut self, bytes: usize) {
        drop(self.split(self.bytes.saturating_sub(bytes)));
    }

    /// Splits off this number of bytes, or all if there are fewer.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Reservation {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Reservation { budget: self.budget.clone(), usage: self.usage.clone(), bytes }
    }

    /// Merges another reservation of the same budget and user.
    pub fn merge(&mut self, mut other: Reservation) {
        debug_assert!(Arc::ptr_eq(&self.budget.0, &other.budget.0), "it is of another budget");
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(self.usage.as_ref(), self.bytes);
        }
    }
}

/// Waits until a reservation has grown.
#[must_use = "nothing is reserved unless it is awaited"]
#[derive(Debug)]
pub struct Grow<'a> {
    reservation: &'a mut Reservation,
    bytes: usize,
    /// The ticket in the queue, from the first poll until the bytes are granted.
    ticket: Option<u64>,
}

impl Future for Grow<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Grow { reservation, bytes, ticket } = &mut *self;
        let Some(waiting) = *ticket else {
            if reservation.try_grow(*bytes) {
                return Poll::Ready(());
            }
            *ticket = Some(reservation.queue_up(*bytes, context.waker()));
            return self.poll(context);
        };
        let mut state = reservation.budget.0.state.lock();
        match state.position_of(waiting) {
            Some(place) => {
                state.waiting[place].waker.clone_from(context.waker());
                Poll::Pending
            }
            None => {
                drop(state);
                reservation.bytes += *bytes;
                *ticket = None;
                Poll::Ready(())
            }
        }
    }
}

impl Reservation {
    /// Enters the queue for this number of bytes. They may be granted at once, because missing
    /// bytes may have been released meanwhile.
    fn queue_up(&self, bytes: usize, waker: &Waker) -> u64 {
        let mut state = self.budget.0.state.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let (usage, own_bytes) = (self.usage.clone(), self.bytes);
        let waiting = WaitingReservation { ticket, bytes, usage, own_bytes, waker: waker.clone() };
        state.waiting.push_back(waiting);
        self.budget.grant_waiting(state);
        ticket
    }
}

impl Drop for Grow<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let Reservation { budget, usage, .. } = &*self.reservation;
        let mut state = budget.0.state.lock();
        match state.position_of(ticket) {
            Some(place) => {
                state.waiting.remove(place);
                // Reservations behind it may have waited only for this one.
                budget.grant_waiting(state);
            }
            None => {
                drop(state);
                budget.give_back(usage.as_ref(), self.bytes);
            }
        }
    }
}

fn to_signed(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("memory has fewer bytes")
}

//! Memory that many share: taken before it is used, and given back when the
//! [`Reservation`] is dropped.
//!
//! One mechanism, two ways to share ([`Sharing`]). What else bounds a part of a program is
//! made of it: a reservation may count for several budgets, and its holder may be asked to
//! give it back.
//!
//! # Why nobody waits for ever
//!
//! Who waits stands in a queue, in the order of coming, and is given what it waits for by
//! the user that gives enough back: nobody has to come at the right moment. Who stops waiting
//! leaves the queue at once, and gives back what it was given meanwhile; those behind it
//! move up. By [`Sharing::InOrder`] the first in the queue stands before everybody, so that
//! a large reservation is not starved by small ones. By [`Sharing::Evenly`] a user that holds
//! nothing is given what it wants as soon as anything is free, so that each holds something
//! in turn.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};

/// A number of bytes that many share.
#[derive(Debug, Clone)]
pub struct MemoryBudget(Arc<SharedBudget>);

#[derive(Debug)]
struct SharedBudget {
    sharing: Sharing,
    state: Mutex<BudgetState>,
}

/// Who is given memory that is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// The user that asked first, once there is enough of it. Nobody else is given any as long as
    /// somebody waits.
    InOrder,
    /// A user that leaves to the others as much as it has: one user alone gets half of the
    /// whole, of two each gets a third. A user that has nothing is given what it wants as
    /// soon as anything is free, so that all together may exceed the budget by less than
    /// one such reservation.
    Evenly,
}

#[derive(Debug, Default)]
struct BudgetState {
    /// Bytes; below zero while the first reservation of a user is larger than what was left.
    free: i64,
    /// In the order of coming, and so by their tickets.
    waiting: VecDeque<WaitingReservation>,
    next_ticket: u64,
}

/// Somebody who waits for bytes.
#[derive(Debug)]
struct WaitingReservation {
    ticket: u64,
    bytes: usize,
    /// Whose it is, where that user has several reservations.
    usage: Option<Usage>,
    /// Bytes of the reservation that is to grow.
    own_bytes: usize,
    waker: Waker,
}

/// What a user of a budget holds in all its reservations.
#[derive(Debug, Clone, Default)]
pub struct Usage(Arc<AtomicUsize>);

/// A part of a budget, given back when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: MemoryBudget,
    /// Whose it is, where that user has several.
    usage: Option<Usage>,
    bytes: usize,
}

impl MemoryBudget {
    /// So many bytes, shared in this way.
    pub fn new(bytes: usize, sharing: Sharing) -> Self {
        let state = BudgetState { free: to_signed(bytes), ..BudgetState::default() };
        MemoryBudget(Arc::new(SharedBudget { sharing, state: Mutex::new(state) }))
    }

    /// A reservation of nothing yet, which is a user of its own.
    pub fn reservation(&self) -> Reservation {
        Reservation { budget: self.clone(), usage: None, bytes: 0 }
    }

    /// A reservation of nothing yet, for this user.
    pub fn reservation_of(&self, usage: &Usage) -> Reservation {
        Reservation { budget: self.clone(), usage: Some(usage.clone()), bytes: 0 }
    }

    /// Whether nothing is reserved, and nobody has a reservation at hand.
    pub fn is_unused(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Bytes that are free; none while more than all are reserved.
    pub fn free_bytes(&self) -> usize {
        usize::try_from(self.0.state.lock().free).unwrap_or(0)
    }

    /// Returns bytes to the budget, and gives them to those who wait.
    fn give_back(&self, usage: Option<&Usage>, bytes: usize) {
        let mut state = self.0.state.lock();
        state.free += to_signed(bytes);
        if let Some(Usage(held)) = usage {
            held.fetch_sub(bytes, Ordering::Relaxed);
        }
        self.grant_waiting(state);
    }

    /// Gives what is free to those who wait.
    fn grant_waiting(&self, mut state: MutexGuard<'_, BudgetState>) {
        let woken = state.grant_free_bytes(self.0.sharing);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl BudgetState {
    /// Takes bytes for all who wait and may have them, and returns their wakers.
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

    /// Where somebody waits; none once it was given what it waits for.
    fn position_of(&self, ticket: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&ticket, |waiting| waiting.ticket).ok()
    }
}

impl Sharing {
    /// Whether somebody with `held` bytes may have so many more.
    fn admits(self, free: i64, held: usize, bytes: usize) -> bool {
        match (self, held) {
            (Sharing::InOrder, _) => to_signed(bytes) <= free,
            (Sharing::Evenly, 0) => free > 0,
            (Sharing::Evenly, held) => to_signed(held + bytes) <= free,
        }
    }
}

impl Usage {
    /// How many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Returns what a user holds: in all its reservations, or in this one if it has no other.
fn held_bytes(usage: Option<&Usage>, own_bytes: usize) -> usize {
    usage.map_or(own_bytes, Usage::bytes)
}

impl Reservation {
    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reserves so many bytes more, if they are free at once.
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

    /// Reserve so many bytes more, and wait for them. What is not awaited to the end has
    /// reserved nothing.
    pub fn grow(&mut self, bytes: usize) -> Grow<'_> {
        Grow { reservation: self, bytes, ticket: None }
    }

    /// The reservation with so many bytes more, once they are there.
    pub async fn grown(mut self, bytes: usize) -> Self {
        self.grow(bytes).await;
        self
    }

    /// Give back all but so many bytes; nothing, if it has no more than that.
    pub fn shrink_to(&mut self, bytes: usize) {
        drop(self.split(self.bytes.saturating_sub(bytes)));
    }

    /// Part with so many bytes of it, or with all that there are.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Reservation {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Reservation { budget: self.budget.clone(), usage: self.usage.clone(), bytes }
    }

    /// Take another one of the same budget and user in.
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
    /// Its place in the queue, once it has one and until it has its bytes.
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
    /// Stand in the queue for so many bytes. They may be given at once: what was missing
    /// may have come back meanwhile.
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
                // Those behind it may have waited for it alone.
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

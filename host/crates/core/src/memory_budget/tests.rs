//! Tests memory budgets under random use: reserved bytes equal held bytes, the limit holds, and
//! nothing waits for free bytes.

use std::task::Wake;

use proptest::prelude::*;

use super::*;

fn evenly(bytes: usize) -> MemoryBudget {
    MemoryBudget::new(bytes, Sharing::Evenly)
}

fn in_order(bytes: usize) -> MemoryBudget {
    MemoryBudget::new(bytes, Sharing::InOrder)
}

fn reserve(budget: &MemoryBudget, usage: &Usage, bytes: usize) -> Option<Reservation> {
    let mut reservation = budget.reservation_of(usage);
    reservation.try_grow(bytes).then_some(reservation)
}

#[test]
fn a_user_takes_what_it_leaves_to_the_others() {
    let budget = evenly(1000);
    let users: Vec<Usage> = (0..4).map(|_| Usage::default()).collect();
    let mut reservations = Vec::new();
    for user in &users {
        reservations.extend(std::iter::from_fn(|| reserve(&budget, user, 10)));
    }
    let taken: Vec<_> = users.iter().map(Usage::bytes).collect();
    assert_eq!(taken, [500, 250, 130, 60]);
    drop(reservations);
    assert_eq!(budget.0.state.lock().free, 1000);
    assert_eq!(users[0].bytes(), 0);
}

#[test]
fn a_first_reservation_needs_nothing_but_that_something_is_free() {
    let (budget, user, other) = (evenly(1000), Usage::default(), Usage::default());
    let mut reservation = reserve(&budget, &user, 900).unwrap();
    assert!(reserve(&budget, &user, 1).is_none());
    let beyond = reserve(&budget, &other, 5000).unwrap();
    assert_eq!(budget.0.state.lock().free, -4900);
    assert!(reserve(&budget, &Usage::default(), 1).is_none(), "nothing is free");
    drop(beyond);
    reservation.shrink_to(300);
    let mut other = reserve(&budget, &user, 200).unwrap();
    other.merge(reservation.split(100));
    drop(reservation);
    assert_eq!((budget.0.state.lock().free, other.bytes()), (700, 300));
}

#[tokio::test]
async fn whoever_waits_gets_what_is_given_back() {
    let (budget, user) = (evenly(10), Usage::default());
    let mut reservation = budget.reservation_of(&user);
    reservation.grow(10).await;
    let wait = tokio::spawn({
        let mut other = budget.reservation_of(&Usage::default());
        async move {
            other.grow(10).await;
            other.bytes()
        }
    });
    tokio::task::yield_now().await;
    drop(reservation);
    assert_eq!(wait.await.unwrap(), 10);
    assert!(budget.is_unused());
}

#[tokio::test]
async fn a_large_reservation_is_not_starved_by_small_ones() {
    let budget = in_order(10);
    let mut small = budget.reservation();
    assert!(small.try_grow(4));
    let mut large = budget.reservation();
    let mut growing = Box::pin(large.grow(8));
    assert!(poll(&mut growing).is_pending());
    let mut late = budget.reservation();
    assert!(!late.try_grow(1), "somebody waits, though there is enough for this one");
    let mut waiting = Box::pin(late.grow(1));
    assert!(poll(&mut waiting).is_pending());
    drop(small);
    assert!(poll(&mut growing).is_ready());
    assert!(poll(&mut waiting).is_ready());
}

#[test]
fn who_stops_waiting_lets_those_behind_it_move_up() {
    let budget = in_order(10);
    let mut held = budget.reservation();
    assert!(held.try_grow(5));
    let (mut first, mut second) = (budget.reservation(), budget.reservation());
    let mut large = Box::pin(first.grow(6));
    let mut small = Box::pin(second.grow(5));
    assert!(poll(&mut large).is_pending() && poll(&mut small).is_pending());
    drop(large);
    assert!(poll(&mut small).is_ready());
    drop(small);
    // Bytes that were granted to a dropped future return to the budget.
    let mut large = Box::pin(first.grow(5));
    assert!(poll(&mut large).is_pending());
    held.shrink_to(0);
    assert_eq!(budget.free_bytes(), 0);
    drop(large);
    assert_eq!((budget.free_bytes(), first.bytes(), second.bytes()), (5, 0, 5));
}

fn poll(grow: &mut Pin<Box<Grow<'_>>>) -> Poll<()> {
    grow.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Records whether it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(1, Ordering::SeqCst);
    }
}

/// What a user does with a budget.
#[derive(Debug, Clone)]
enum Step {
    TryGrow(usize),
    Grow(usize),
    ShrinkTo(usize),
    SplitAndMerge(usize),
    /// Also possible while the user waits.
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..60_usize).prop_map(Step::TryGrow),
        (0..60_usize).prop_map(Step::Grow),
        (0..60_usize).prop_map(Step::ShrinkTo),
        (0..60_usize).prop_map(Step::SplitAndMerge),
        Just(Step::Drop),
    ]
}

const USERS: usize = 6;
const BYTES: usize = 100;

type Growing = Pin<Box<dyn Future<Output = Reservation>>>;

/// A user with one reservation, who may wait for more bytes.
struct User {
    usage: Usage,
    has: Has,
}

enum Has {
    Reservation(Reservation),
    /// The future owns the reservation, and returns it with the additional bytes.
    Growing(Growing, Arc<Woken>),
}

impl User {
    fn new(budget: &MemoryBudget) -> Self {
        let usage = Usage::default();
        let has = Has::Reservation(budget.reservation_of(&usage));
        User { usage, has }
    }

    /// Starts to wait if necessary.
    fn grow(self, bytes: usize) -> Self {
        let Has::Reservation(mut reservation) = self.has else { return self };
        let growing = Box::pin(async move {
            reservation.grow(bytes).await;
            reservation
        });
        let mut user = User { has: Has::Growing(growing, Arc::default()), ..self };
        user.poll();
        user
    }

    /// Takes the bytes if they have been granted.
    fn poll(&mut self) {
        let Has::Growing(growing, woken) = &mut self.has else { return };
        woken.0.store(0, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(woken));
        if let Poll::Ready(reservation) = growing.as_mut().poll(&mut Context::from_waker(&waker)) {
            self.has = Has::Reservation(reservation);
        }
    }

    fn is_waiting(&self) -> bool {
        matches!(self.has, Has::Growing(..))
    }

    fn is_woken(&self) -> bool {
        matches!(&self.has, Has::Growing(_, woken) if woken.0.load(Ordering::SeqCst) == 1)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// For any actions of the users: reserved bytes equal held bytes, the limit holds, a waiting
    /// user is woken in order when its bytes are available, and in the end all bytes are free.
    #[test]
    fn what_is_taken_is_bounded_and_comes_back(
        sharing in prop::sample::select(vec![Sharing::InOrder, Sharing::Evenly]),
        steps in prop::collection::vec((0..USERS, step()), 1..80),
    ) {
        let budget = MemoryBudget::new(BYTES, sharing);
        let mut users: Vec<_> = (0..USERS).map(|_| User::new(&budget)).collect();
        let mut queue = Vec::new();
        for (number, step) in steps {
            let user = &mut users[number];
            match (step, &mut user.has) {
                (Step::Drop, _) => {
                    *user = User::new(&budget);
                    queue.retain(|&waiting| waiting != number);
                }
                (Step::Grow(bytes), Has::Reservation(_)) => {
                    let own = std::mem::replace(user, User::new(&budget));
                    *user = own.grow(bytes);
                    if user.is_waiting() {
                        queue.push(number);
                    }
                }
                (Step::TryGrow(bytes), Has::Reservation(reservation)) => {
                    reservation.try_grow(bytes);
                }
                (Step::ShrinkTo(bytes), Has::Reservation(reservation)) => {
                    reservation.shrink_to(bytes);
                }
                (Step::SplitAndMerge(bytes), Has::Reservation(reservation)) => {
                    let before = reservation.bytes();
                    let part = reservation.split(bytes);
                    reservation.merge(part);
                    prop_assert_eq!(reservation.bytes(), before);
                }
                (_, Has::Growing(..)) => {}
            }
            // The users whose bytes were granted, which happens in the order of arrival.
            let given: Vec<_> = queue.iter().copied().filter(|&at| users[at].is_woken()).collect();
            if sharing == Sharing::InOrder {
                prop_assert_eq!(&given[..], &queue[..given.len()]);
            }
            for number in given {
                users[number].poll();
                prop_assert!(!users[number].is_waiting(), "who is woken has its bytes");
                queue.retain(|&waiting| waiting != number);
            }
            let held: usize = users.iter().map(|user| user.usage.bytes()).sum();
            let state = budget.0.state.lock();
            prop_assert_eq!(state.free, signed(BYTES) - signed(held));
            prop_assert_eq!(state.waiting.len(), queue.len());
            let largest = 60;
            match sharing {
                Sharing::InOrder => prop_assert!(state.free >= 0),
                Sharing::Evenly => prop_assert!(state.free > -largest),
            }
            // No user waits for bytes that are available.
            let may_have = |waiting: &WaitingReservation| {
                sharing.admits(state.free, waiting.held.bytes(), waiting.bytes)
            };
            let is_overlooked = match sharing {
                Sharing::InOrder => state.waiting.front().is_some_and(may_have),
                Sharing::Evenly => state.waiting.iter().any(may_have),
            };
            prop_assert!(!is_overlooked);
        }
        drop(users);
        prop_assert_eq!(budget.0.state.lock().free, signed(BYTES));
        prop_assert!(budget.is_unused());
    }
}

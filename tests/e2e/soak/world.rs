//! State that all threads of the soak test share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use standpipe_tests::stub::{BehaviorSwitches, PutRequest};
use standpipe_tests::{Stub, StubResponse};

use super::findings::Findings;
use super::incarnations::Incarnations;
use super::ledger::Ledger;
use super::place::Place;
use super::recipes::{Recipes, SENDERS, mix_bits};

/// How often a paused sender checks whether it may continue.
const PAUSE_POLL: Duration = Duration::from_millis(5);

/// State that all threads share.
#[derive(Debug)]
pub(super) struct SoakWorld {
    pub(super) started: Instant,
    pub(super) place: Arc<Place>,
    pub(super) recipes: Arc<Recipes>,
    pub(super) findings: Arc<Findings>,
    pub(super) incarnations: Arc<Incarnations>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) switches: BehaviorSwitches,
    pub(super) traffic: Traffic,
    pub(super) gate: Gate,
    /// The running process; 0 if there is none.
    pid: AtomicU32,
    /// Whether the program should respond.
    is_serving: AtomicBool,
}

/// The counts of clients, since the start or the last read.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// Responses with 429 and 503 to honest senders.
    pub(super) refused: AtomicU64,
    pub(super) unavailable: AtomicU64,
    /// Requests without a response, which are posted again.
    pub(super) unanswered: AtomicU64,
    /// The slowest response with 200 since the last read.
    pub(super) slowest_answer_ms: AtomicU64,
    /// The slowest response of `/health/live` since the last read.
    pub(super) slowest_health_ms: AtomicU64,
    /// Requests of hostile clients that got any response.
    pub(super) hostile: AtomicU64,
}

/// Lets senders post one block after the other, or pauses them.
#[derive(Debug, Default)]
pub(super) struct Gate {
    is_paused: AtomicBool,
    is_over: AtomicBool,
    /// Senders that are posting a block.
    busy: AtomicUsize,
    /// The next turn of each sender.
    turns: [AtomicU64; SENDERS as usize],
}

impl SoakWorld {
    pub(super) fn new(seed: u64, misbehaving_digest: String) -> Self {
        let started = Instant::now();
        let (recipes, findings) = (Arc::new(Recipes::new(seed)), Arc::new(Findings::new(started)));
        let incarnations = Arc::<Incarnations>::default();
        let parts = (Arc::clone(&recipes), Arc::clone(&findings), Arc::clone(&incarnations));
        let ledger = Arc::new(Ledger::new(parts.0, parts.1, parts.2, misbehaving_digest));
        SoakWorld {
            started,
            place: Arc::new(Place::new()),
            recipes,
            findings,
            incarnations,
            ledger,
            switches: BehaviorSwitches::default(),
            traffic: Traffic::default(),
            gate: Gate::default(),
            pid: AtomicU32::new(0),
            is_serving: AtomicBool::new(false),
        }
    }

    /// Starts a Firehose whose streams behave as switched. It records accepted events in the ledger
    /// before it responds.
    pub(super) fn start_firehose(&self, seed: u64) -> Stub {
        let (switches, ledger) = (self.switches.clone(), Arc::clone(&self.ledger));
        let number = AtomicU64::new(0);
        Stub::start_forgetful(move |put| {
            let number = number.fetch_add(1, Ordering::Relaxed);
            let mut random = fastrand::Rng::with_seed(mix_bits(seed ^ number));
            let fate = switches.behavior_of(&put.stream).respond_to(put, &mut random);
            account_put(&ledger, put, &fate);
            fate
        })
    }

    pub(super) fn set_pid(&self, pid: u32) {
        self.pid.store(pid, Ordering::SeqCst);
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.load(Ordering::SeqCst)
    }

    pub(super) fn set_serving(&self, is_serving: bool) {
        self.is_serving.store(is_serving, Ordering::SeqCst);
    }

    pub(super) fn is_serving(&self) -> bool {
        self.is_serving.load(Ordering::SeqCst)
    }
}

fn account_put(ledger: &Ledger, put: &PutRequest, fate: &StubResponse) {
    let token = put.headers.get("x-amz-security-token").and_then(|token| token.parse().ok());
    let incarnation: u8 = token.expect("the program signs with its session token");
    let mut scratch = Vec::new();
    for (position, record) in put.records.iter().enumerate() {
        if fate.accepts_record(position) {
            let is_answered = fate.accounts_for_all();
            ledger.record_accepted(&put.stream, record, incarnation, is_answered, &mut scratch);
        } else {
            ledger.record_refused(record);
        }
    }
}

impl Gate {
    /// Returns the next turn of a sender once it may continue, or `None` at the end. The sender is
    /// busy until it calls [`Gate::leave_block`].
    pub(super) fn enter_block(&self, sender: u64) -> Option<u64> {
        loop {
            if self.is_over() {
                return None;
            }
            self.busy.fetch_add(1, Ordering::SeqCst);
            if !self.is_paused.load(Ordering::SeqCst) {
                return Some(self.turns[sender as usize].fetch_add(1, Ordering::SeqCst));
            }
            self.leave_block();
            thread::sleep(PAUSE_POLL);
        }
    }

    pub(super) fn leave_block(&self) {
        self.busy.fetch_sub(1, Ordering::SeqCst);
    }

    /// Prevents senders from starting another block.
    pub(super) fn pause_senders(&self) {
        self.is_paused.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.busy.load(Ordering::SeqCst) == 0
    }

    /// Gives all senders the same turn, and returns it. No sender may be busy.
    pub(super) fn align_turns(&self) -> u64 {
        let turns = self.turns.iter().map(|turn| turn.load(Ordering::SeqCst));
        let next = turns.max().unwrap_or_default();
        self.turns.iter().for_each(|turn| turn.store(next, Ordering::SeqCst));
        next
    }

    pub(super) fn resume_senders(&self) {
        self.is_paused.store(false, Ordering::SeqCst);
    }

    /// Ends all threads when the returned guard is dropped.
    pub(super) fn close_at_end(&self) -> Closing<'_> {
        Closing(self)
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

/// Ends all threads when it is dropped.
#[derive(Debug)]
pub(super) struct Closing<'a>(&'a Gate);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
    }
}

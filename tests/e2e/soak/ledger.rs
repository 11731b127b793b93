//! Tracks every id. An id that got a response with 200 must reach a stream, be dropped by a rule,
//! or become a dead letter.
//!
//! Each id takes four bytes between two checkpoints. At a checkpoint everything must be settled.
//! Anything that happens to older ids afterwards is a finding.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::dead_letters::SoakDeadLetter;
use super::findings::Findings;
use super::incarnations::{Ending, Incarnations};
use super::recipes::{EventKind, Recipes, STREAM_OF_MISBEHAVING, id_of};

// The state of an id. The upper bits hold the number of the process that delivered or dead-lettered
// it last, and the number of the phase in which a stream last rejected it.
const POSTED: u32 = 1;
const ACKNOWLEDGED: u32 = 2;
const DELIVERED: u32 = 4;
const DEAD: u32 = 8;
/// A stream accepted the event, but the response was lost or incomplete.
const ANSWER_LOST: u32 = 16;
/// The event was posted without a response, so the sender posts it again.
const POST_UNANSWERED: u32 = 32;
/// A stream rejected the event, or the request failed.
const REFUSED: u32 = 64;
const INCARNATION_SHIFT: u32 = 8;
const INCARNATION: u32 = 0xFF << INCARNATION_SHIFT;
const PHASE_SHIFT: u32 = 16;
const PHASE: u32 = 0xFFFF << PHASE_SHIFT;

const CHUNK_IDS: u64 = 1 << 16;

/// Maximum number of missing ids in a finding.
const MISSING_SHOWN: usize = 5;

/// The state of all ids since the last checkpoint.
#[derive(Debug)]
pub(super) struct Ledger {
    recipes: Arc<Recipes>,
    findings: Arc<Findings>,
    incarnations: Arc<Incarnations>,
    misbehaving_digest: String,
    /// Whether the misbehaving plugin has been active since the last checkpoint.
    misbehaves: AtomicBool,
    window: RwLock<Window>,
    /// The number of the phase.
    phase: AtomicU16,
    /// Number of dead letters by reason.
    reasons: Mutex<BTreeMap<String, u64>>,
    /// The counts so far.
    pub(super) counts: Counts,
}

#[derive(Debug, Default)]
struct Window {
    /// The first id of the window.
    base: u64,
    chunks: Vec<Box<[AtomicU32]>>,
}

/// Counts over the whole run.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Events whose request got a response with 200.
    pub(super) acknowledged: AtomicU64,
    /// Acknowledged events that a rule drops.
    pub(super) filtered: AtomicU64,
    /// Events that a stream accepted. Each counts once.
    pub(super) delivered: AtomicU64,
    /// Events with a dead letter that were not delivered. Each counts once.
    pub(super) dead: AtomicU64,
    /// Events that were missing at a checkpoint.
    pub(super) lost: AtomicU64,
    /// Dead letters of events from the hostile source.
    pub(super) dead_of_hostile: AtomicU64,
    /// Repeated deliveries and dead letters of an event, by the cause that permits them.
    pub(super) duplicates: Duplicates,
}

/// Repeated deliveries and dead letters.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    /// The stream's response was lost.
    pub(super) answer_lost: AtomicU64,
    /// The collector's response was lost, and the sender posted the event again.
    pub(super) posted_again: AtomicU64,
    /// The process was killed in between.
    pub(super) killed: AtomicU64,
    /// The process was stopped while requests had no response yet.
    pub(super) stopped: AtomicU64,
}

impl Counts {
    /// Events that must still reach a stream or become dead letters.
    pub(super) fn waiting(&self) -> u64 {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let settled = [&self.filtered, &self.delivered, &self.dead, &self.lost].map(load);
        load(&self.acknowledged).saturating_sub(settled.iter().sum())
    }
}

impl Duplicates {
    /// The sum of all counts.
    pub(super) fn sum(&self) -> u64 {
        let all = [&self.answer_lost, &self.posted_again, &self.killed, &self.stopped];
        all.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl Ledger {
    pub(super) fn new(
        recipes: Arc<Recipes>,
        findings: Arc<Findings>,
        incarnations: Arc<Incarnations>,
        misbehaving_digest: String,
    ) -> Self {
        Ledger {
            recipes,
            findings,
            incarnations,
            misbehaving_digest,
            misbehaves: AtomicBool::new(false),
            window: RwLock::default(),
            phase: AtomicU16::new(0),
            reasons: Mutex::default(),
            counts: Counts::default(),
        }
    }

    /// Starts a phase.
    pub(super) fn enter_phase(&self, phase: &str) {
        self.phase.store(self.findings.enter_phase(phase), Ordering::SeqCst);
    }

    /// Number of dead letters by reason.
    pub(super) fn dead_letter_reasons(&self) -> BTreeMap<String, u64> {
        self.reasons.lock().clone()
    }

    /// Expects decisions of the misbehaving plugin, whose stream is valid until the next
    /// checkpoint.
    pub(super) fn expect_misbehaving(&self) {
        self.misbehaves.store(true, Ordering::SeqCst);
    }

    /// Records that these ids are about to be posted.
    pub(super) fn record_posted(&self, ids: std::ops::Range<u64>) {
        self.make_room(ids.end);
        self.mark_all(ids, POSTED);
    }

    /// Records that these ids got no response.
    pub(super) fn record_unanswered(&self, ids: std::ops::Range<u64>) {
        self.mark_all(ids, POST_UNANSWERED);
    }

    /// Records that these ids got a response with 200.
    pub(super) fn record_acknowledged(&self, ids: std::ops::Range<u64>) {
        let filtered = ids.clone().filter(|id| self.recipes.kind_of(*id) == EventKind::Filtered);
        self.counts.filtered.fetch_add(filtered.count() as u64, Ordering::SeqCst);
        self.counts.acknowledged.fetch_add(ids.end - ids.start, Ordering::SeqCst);
        self.mark_all(ids, ACKNOWLEDGED);
    }

    /// Records that a stream accepted a record of one or several events. If the response is lost,
    /// the process does not know it.
    pub(super) fn record_accepted(
        &self,
        stream: &str,
        record: &[u8],
        incarnation: u8,
        is_answered: bool,
        scratch: &mut Vec<u8>,
    ) {
        for line in record.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let lost = if is_answered { 0 } else { ANSWER_LOST };
            if let Some(id) = self.check_record(stream, line, scratch) {
                self.settle_event(id, DELIVERED | lost, incarnation);
            }
        }
    }

    /// Records that a stream did not accept a record, with or without a response.
    pub(super) fn record_refused(&self, record: &[u8]) {
        let phase = u32::from(self.phase.load(Ordering::SeqCst)) << PHASE_SHIFT;
        for id in record.split(|&byte| byte == b'\n').filter_map(id_of) {
            // Unknown records are reported when they are accepted.
            let _ = self.update_state(id, |old| (old & !PHASE) | REFUSED | phase);
        }
    }

    /// The id of a delivered event, if the event was posted with these contents and belongs to this
    /// stream.
    fn check_record(&self, stream: &str, line: &[u8], scratch: &mut Vec<u8>) -> Option<u64> {
        let shown = || String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
        let Some(id) = id_of(line) else {
            self.findings.add("a record that nobody sent", || format!("{stream}: {}", shown()));
            return None;
        };
        scratch.clear();
        self.recipes.write_event(id, scratch);
        // Added members are at the end.
        if !line.starts_with(&scratch[..scratch.len() - 1]) {
            self.findings.add("a record with another text than its event", shown);
        }
        let of_misbehaving =
            stream == STREAM_OF_MISBEHAVING && self.misbehaves.load(Ordering::SeqCst);
        let expected = self.recipes.stream_of(id);
        if expected.is_none() || (expected != Some(stream) && !of_misbehaving) {
            self.findings.add("an event in a stream that is not its own", || {
                format!("{id}, {:?}, in {stream} and not in {expected:?}", self.recipes.kind_of(id))
            });
        }
        Some(id)
    }

    /// Records a dead letter that was read.
    pub(super) fn record_dead_letter(&self, dead_letter: &SoakDeadLetter, incarnation: u8) {
        let id = id_of(&dead_letter.event);
        let mut reasons = self.reasons.lock();
        *reasons.entry(dead_letter.reason.clone()).or_default() += 1;
        drop(reasons);
        if dead_letter.source == super::hostile::SOURCE && id.is_none() {
            self.counts.dead_of_hostile.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let Some(id) = id else {
            self.findings
                .add("a dead letter about what nobody sent", || format!("{dead_letter:?}"));
            return;
        };
        let kind = self.recipes.kind_of(id);
        if !self.permits_dead_letter(kind, dead_letter) {
            self.findings.add("a dead letter that no fault explains", || {
                let SoakDeadLetter { reason, detail, source, plugin, .. } = dead_letter;
                format!("{id}, {kind:?} of {source}: {reason}: {detail}, plugin {plugin:?}")
            });
        }
        self.settle_event(id, DEAD, incarnation);
    }

    fn permits_dead_letter(&self, kind: EventKind, dead_letter: &SoakDeadLetter) -> bool {
        let of_misbehaving = dead_letter.plugin.as_ref() == Some(&self.misbehaving_digest)
            && self.misbehaves.load(Ordering::SeqCst);
        match kind {
            EventKind::Good | EventKind::Filtered => false,
            EventKind::Trap => dead_letter.reason == "plugin_trapped" && of_misbehaving,
            EventKind::Loop => dead_letter.reason == "plugin_deadline" && of_misbehaving,
            EventKind::NotAnObject => dead_letter.reason == "not_an_object",
            EventKind::NoIdentity => dead_letter.reason == "no_identity",
            EventKind::NoType => dead_letter.reason == "no_type",
            EventKind::NoName => dead_letter.reason == "no_event_name",
            EventKind::TooLarge => dead_letter.reason == "record_too_large",
        }
    }

    fn settle_event(&self, id: u64, marks: u32, incarnation: u8) {
        let by = u32::from(incarnation) << INCARNATION_SHIFT;
        let with = |old: u32| (old & !INCARNATION) | marks | by;
        let Some(old) = self.update_state(id, with) else {
            self.findings.add("settled once more after a checkpoint, or never sent", || {
                format!("{id}, by process {incarnation}, marks {marks:#x}")
            });
            return;
        };
        if old & POSTED == 0 {
            self.findings.add("an event that nobody sent", || format!("{id}"));
        }
        let count = if marks & DELIVERED > 0 { &self.counts.delivered } else { &self.counts.dead };
        match old & (DELIVERED | DEAD) {
            0 => {
                count.fetch_add(1, Ordering::SeqCst);
            }
            _ => self.count_duplicate(id, old, marks, incarnation),
        }
    }

    fn count_duplicate(&self, id: u64, old: u32, marks: u32, incarnation: u8) {
        let duplicates = &self.counts.duplicates;
        let before = (old >> INCARNATION_SHIFT) as u8;
        let ending = self.incarnations.ending_of(before.min(incarnation));
        let count = match () {
            () if old & ANSWER_LOST > 0 => &duplicates.answer_lost,
            () if old & POST_UNANSWERED > 0 => &duplicates.posted_again,
            () if before != incarnation && ending == Ending::Killed => &duplicates.killed,
            () if before != incarnation && ending == Ending::StoppedWithRest => &duplicates.stopped,
            () => {
                self.findings.add("a duplicate without a cause", || {
                    format!(
                        "{id}, {:?}: marks {old:#06x}, now {marks:#x} by process {incarnation}; {before} {ending:?}",
                        self.recipes.kind_of(id)
                    )
                });
                return;
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Fails unless all earlier ids are settled, then starts a new window.
    pub(super) fn close_window(&self, first_of_next: u64) {
        let mut window = self.window.write();
        let (mut missing, mut unanswered) = (Vec::new(), 0);
        let states = window.chunks.iter().flat_map(|chunk| chunk.iter());
        for (id, state) in (window.base..).zip(states.map(|state| state.load(Ordering::SeqCst))) {
            let is_settled = state & (DELIVERED | DEAD) > 0;
            match state & (POSTED | ACKNOWLEDGED) {
                0 => {}
                POSTED => unanswered += 1,
                _ if is_settled || self.recipes.kind_of(id) == EventKind::Filtered => {}
                _ => missing.push((id, state)),
            }
        }
        if unanswered > 0 {
            self.findings.add("events that were never answered", || format!("{unanswered}"));
        }
        if !missing.is_empty() {
            // The text is created without the lock, because it needs the names of phases.
            let text = self.describe_missing(&missing);
            self.findings.add("acknowledged events that are lost", || text);
            self.counts.lost.fetch_add(missing.len() as u64, Ordering::SeqCst);
        }
        *window = Window { base: first_of_next, chunks: Vec::new() };
        self.misbehaves.store(false, Ordering::SeqCst);
    }

    /// Describes the first missing ids, and when streams last rejected them.
    fn describe_missing(&self, missing: &[(u64, u32)]) -> String {
        let first = missing.iter().take(MISSING_SHOWN);
        let describe = |(id, _): &(u64, u32)| {
            format!("{id} ({:?} to {:?})", self.recipes.kind_of(*id), self.recipes.stream_of(*id))
        };
        let first: Vec<_> = first.map(describe).collect();
        let mut phases = BTreeMap::<String, u64>::new();
        for (_, state) in missing {
            let phase = match state & REFUSED {
                0 => "no stream was asked".to_owned(),
                _ => self.findings.phase_name((state >> PHASE_SHIFT) as u16),
            };
            *phases.entry(phase).or_default() += 1;
        }
        format!(
            "{} are missing: {}, ...; last refused in {phases:?}",
            missing.len(),
            first.join(", ")
        )
    }

    fn make_room(&self, end: u64) {
        let chunks = |window: &Window| (end - window.base).div_ceil(CHUNK_IDS) as usize;
        let window = self.window.read();
        if window.chunks.len() >= chunks(&window) {
            return;
        }
        drop(window);
        let mut window = self.window.write();
        while window.chunks.len() < chunks(&window) {
            window.chunks.push((0..CHUNK_IDS).map(|_| AtomicU32::new(0)).collect());
        }
    }

    fn mark_all(&self, ids: std::ops::Range<u64>, mark: u32) {
        for id in ids {
            if self.update_state(id, |old| old | mark).is_none() {
                self.findings.add("a post that a checkpoint did not wait for", || format!("{id}"));
            }
        }
    }

    /// Changes the state of an id. Returns the old state, or `None` if the id is not in the window.
    fn update_state(&self, id: u64, with: impl Fn(u32) -> u32) -> Option<u32> {
        let window = self.window.read();
        let place = id.checked_sub(window.base)?;
        let chunk = window.chunks.get((place / CHUNK_IDS) as usize)?;
        let state = &chunk[(place % CHUNK_IDS) as usize];
        state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |old| Some(with(old))).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::recipes::{BLOCK_EVENTS, SENDERS, STREAMS};
    use super::*;

    const MISBEHAVING: &str = "digest";

    /// A ledger whose first block of the first sender was posted with a response.
    struct TestLedger {
        ledger: Ledger,
        findings: Arc<Findings>,
        incarnations: Arc<Incarnations>,
        recipes: Arc<Recipes>,
    }

    impl TestLedger {
        fn new() -> Self {
            let recipes = Arc::new(Recipes::new(1));
            let (findings, incarnations) =
                (Arc::new(Findings::new(Instant::now())), Arc::<Incarnations>::default());
            incarnations.begin_process(10);
            let parts = (Arc::clone(&recipes), Arc::clone(&findings), Arc::clone(&incarnations));
            let ledger = Ledger::new(parts.0, parts.1, parts.2, MISBEHAVING.to_owned());
            ledger.record_posted(0..BLOCK_EVENTS);
            ledger.record_acknowledged(0..BLOCK_EVENTS);
            TestLedger { ledger, findings, incarnations, recipes }
        }

        fn event_text(&self, id: u64) -> Vec<u8> {
            let mut text = Vec::new();
            self.recipes.write_event(id, &mut text);
            text
        }

        fn deliver_event(&self, id: u64, incarnation: u8, is_answered: bool) {
            let stream = self.recipes.stream_of(id).unwrap_or(STREAMS[0]);
            let line = [&self.event_text(id)[..], b"\n"].concat();
            self.ledger.record_accepted(stream, &line, incarnation, is_answered, &mut Vec::new());
        }

        fn dead_letter_event(&self, id: u64, reason: &str, plugin: Option<&str>) {
            let (reason, plugin) = (reason.to_owned(), plugin.map(str::to_owned));
            let (detail, source, event) = (String::new(), "web".to_owned(), self.event_text(id));
            self.ledger
                .record_dead_letter(&SoakDeadLetter { reason, detail, source, plugin, event }, 0);
        }

        /// Settles all ids correctly, except this one.
        fn settle_but(&self, left_out: Option<u64>) {
            for id in (0..BLOCK_EVENTS).filter(|id| Some(*id) != left_out) {
                match self.recipes.kind_of(id) {
                    EventKind::Filtered => {}
                    EventKind::Good | EventKind::Trap | EventKind::Loop => {
                        self.deliver_event(id, 0, true);
                    }
                    EventKind::NotAnObject => self.dead_letter_event(id, "not_an_object", None),
                    EventKind::NoIdentity => self.dead_letter_event(id, "no_identity", None),
                    EventKind::NoType => self.dead_letter_event(id, "no_type", None),
                    EventKind::NoName => self.dead_letter_event(id, "no_event_name", None),
                    EventKind::TooLarge => self.dead_letter_event(id, "record_too_large", None),
                }
            }
        }

        fn findings_text(&self) -> String {
            self.findings.to_text().unwrap_or_default()
        }

        fn first_of_kind(&self, kind: EventKind) -> u64 {
            let ids = 0..BLOCK_EVENTS;
            ids.into_iter().find(|id| self.recipes.kind_of(*id) == kind).expect("there is one")
        }
    }

    #[test]
    fn a_balanced_ledger_has_no_findings() {
        let book = TestLedger::new();
        book.settle_but(None);
        assert_eq!(book.ledger.counts.waiting(), 0);
        book.ledger.close_window(SENDERS * BLOCK_EVENTS);
        assert_eq!(book.findings_text(), "");
    }

    #[test]
    fn missing_unknown_and_changed_events_are_found() {
        let book = TestLedger::new();
        let good = book.first_of_kind(EventKind::Good);
        book.settle_but(Some(good));
        book.ledger.close_window(SENDERS * BLOCK_EVENTS);
        assert!(book.findings_text().starts_with("1 x acknowledged events that are lost"));
        // An event after the checkpoint is also a finding.
        book.deliver_event(good, 0, true);
        assert!(book.findings_text().contains("1 x settled once more after a checkpoint"));

        let book = TestLedger::new();
        let good = book.first_of_kind(EventKind::Good);
        let stream = book.recipes.stream_of(good).unwrap();
        let accept = |stream: &str, record: &[u8]| {
            book.ledger.record_accepted(stream, record, 0, true, &mut Vec::new());
        };
        accept(stream, b"{\"messageId\":\"another\"}\n");
        let mut changed = book.event_text(good);
        let middle = changed.len() - 3;
        changed[middle] ^= 1;
        accept(stream, &changed);
        accept("elsewhere", &book.event_text(good + 1));
        book.deliver_event(book.first_of_kind(EventKind::Filtered), 0, true);
        let findings = book.findings_text();
        for kind in [
            "1 x a record that nobody sent",
            "1 x a record with another text than its event",
            "2 x an event in a stream that is not its own",
        ] {
            assert!(findings.contains(kind), "no {kind:?} in {findings}");
        }
    }

    #[test]
    fn a_duplicate_needs_a_cause() {
        let book = TestLedger::new();
        let good = book.first_of_kind(EventKind::Good);
        book.deliver_event(good, 0, true);
        book.deliver_event(good, 0, true);
        assert!(book.findings_text().starts_with("1 x a duplicate without a cause"));

        let book = TestLedger::new();
        let good = book.first_of_kind(EventKind::Good);
        book.deliver_event(good, 0, false);
        book.deliver_event(good, 0, true);
        book.ledger.record_unanswered(good + 1..good + 2);
        (0..2).for_each(|_| book.deliver_event(good + 1, 0, true));
        book.deliver_event(good + 2, 0, true);
        book.incarnations.end_process(Ending::Killed);
        book.incarnations.begin_process(11);
        book.deliver_event(good + 2, 1, true);
        assert_eq!((book.findings_text().as_str(), book.ledger.counts.duplicates.sum()), ("", 3));
        // After an orderly stop with nothing left, nothing permits a duplicate.
        book.deliver_event(good + 3, 1, true);
        book.incarnations.end_process(Ending::Stopped);
        book.incarnations.begin_process(12);
        book.deliver_event(good + 3, 2, true);
        assert!(book.findings_text().starts_with("1 x a duplicate without a cause"));
    }

    #[test]
    fn a_dead_letter_needs_the_reason_of_its_event() {
        let book = TestLedger::new();
        let good = book.first_of_kind(EventKind::Good);
        book.dead_letter_event(good, "given_up", None);
        assert!(book.findings_text().starts_with("1 x a dead letter that no fault explains"));

        let ids = 0..100 * BLOCK_EVENTS * SENDERS;
        let book = TestLedger::new();
        let trap = ids.into_iter().find(|id| book.recipes.kind_of(*id) == EventKind::Trap).unwrap();
        book.ledger.record_posted(trap..trap + 1);
        book.ledger.expect_misbehaving();
        book.dead_letter_event(trap, "plugin_trapped", Some(MISBEHAVING));
        assert_eq!(book.findings_text(), "");
        book.dead_letter_event(trap, "plugin_trapped", Some("another"));
        assert!(book.findings_text().contains("1 x a dead letter that no fault explains"));
    }
}

//! Which event stands behind an id: worked out anew wherever it is needed, so that
//! nobody has to remember millions of events.

use std::io::Write;

/// Events of a block, which is what one request of a sender takes along.
pub(super) const BLOCK_EVENTS: u64 = 50;

/// Honest senders. Blocks belong to them in turn.
pub(super) const SENDERS: u64 = 8;

/// The sender that posts its events one by one. An event that is none would have its
/// whole request refused there.
pub(super) const SINGLE_SENDER: u64 = 3;

/// The senders whose source speaks RudderStack's dialect, which takes more events.
const RUDDERSTACK_SENDERS: std::ops::Range<u64> = 4..7;

/// The streams that the built-in plugin chooses.
pub(super) const STREAMS: [&str; 6] = ["soak-0", "soak-1", "soak-2", "soak-3", "soak-4", "soak-5"];

/// The stream that the misbehaving plugin chooses for everything.
pub(super) const STREAM_OF_MISBEHAVING: &str = "good";

const EVENT_BYTES_MIN: f64 = 100.0;
const EVENT_BYTES_MAX: f64 = 20_000.0;

/// More than a record may have.
const TOO_LARGE_BYTES: usize = 1_030_000;

/// Where the filler of an event begins in the pattern; a prime.
const PATTERN_OFFSETS: usize = 65_521;

/// Digits of an id.
const ID_DIGITS: usize = 12;
const ID_MARK: &[u8] = b"\"soak-";
/// Within how many bytes of an event its id is found.
const ID_WITHIN_BYTES: usize = 64;

/// The kind of an event, which decides where it may end up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventKind {
    /// Goes to a stream.
    Good,
    /// No row of the mapping matches, and the misbehaving plugin drops it too.
    Filtered,
    /// The misbehaving plugin traps on it; goes to a stream otherwise.
    Trap,
    /// The misbehaving plugin never comes back from it; likewise.
    Loop,
    /// A JSON text, but no object.
    NotAnObject,
    /// Has no `userId`.
    NoIdentity,
    /// Has no `type`.
    NoType,
    /// A `track` without `event`.
    NoName,
    /// Fits into a request, but not into a record.
    TooLarge,
}

impl EventKind {
    /// Whether it never gets to a stream, and has a dead letter for certain.
    pub(super) fn is_poison(self) -> bool {
        use EventKind::{NoIdentity, NoName, NoType, NotAnObject, TooLarge};
        matches!(self, NotAnObject | NoIdentity | NoType | NoName | TooLarge)
    }
}

/// Every event of a seed.
#[derive(Debug)]
pub(super) struct Recipes {
    seed: u64,
    pattern: Vec<u8>,
}

impl Recipes {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let pattern = (0..PATTERN_OFFSETS + TOO_LARGE_BYTES).map(|_| random.alphanumeric() as u8);
        Recipes { seed, pattern: pattern.collect() }
    }

    /// The ids of a sender's block, by its turn.
    pub(super) fn block_ids(sender: u64, turn: u64) -> std::ops::Range<u64> {
        let first = (turn * SENDERS + sender) * BLOCK_EVENTS;
        first..first + BLOCK_EVENTS
    }

    /// A block has at most one event of each kind beside the good ones.
    pub(super) fn kind_of(&self, id: u64) -> EventKind {
        let (block, position) = (id / BLOCK_EVENTS, id % BLOCK_EVENTS);
        let drawn = mix_bits(self.seed ^ block.wrapping_mul(0x9E37_79B9));
        // 7 and the length of a block have no common factor, so that these are
        // different positions.
        let is_at = |number: u64| (drawn % BLOCK_EVENTS + 7 * number) % BLOCK_EVENTS == position;
        let one_in = |blocks: u64, shift: u32| (drawn >> shift).is_multiple_of(blocks);
        let poison = self.draw_poison(block % SENDERS, drawn);
        match () {
            () if is_at(0) => EventKind::Filtered,
            () if is_at(1) && one_in(10, 8) => EventKind::Trap,
            () if is_at(2) && one_in(800, 16) => EventKind::Loop,
            () if is_at(3) && one_in(8, 24) => poison.unwrap_or(EventKind::Good),
            () if is_at(4) && one_in(4000, 32) && poison.is_some() => EventKind::TooLarge,
            () => EventKind::Good,
        }
    }

    fn draw_poison(&self, sender: u64, drawn: u64) -> Option<EventKind> {
        let kinds: &[EventKind] = match sender {
            SINGLE_SENDER => &[],
            _ if RUDDERSTACK_SENDERS.contains(&sender) => {
                &[EventKind::NotAnObject, EventKind::NoIdentity]
            }
            _ => &[
                EventKind::NotAnObject,
                EventKind::NoIdentity,
                EventKind::NoType,
                EventKind::NoName,
            ],
        };
        kinds.get((drawn >> 40) as usize % kinds.len().max(1)).copied()
    }

    /// The stream of an event, where the built-in plugin decides; none if it has none.
    pub(super) fn stream_of(&self, id: u64) -> Option<&'static str> {
        match self.kind_of(id) {
            EventKind::Good | EventKind::Trap | EventKind::Loop => Some(STREAMS[self.route_of(id)]),
            _ => None,
        }
    }

    fn route_of(&self, id: u64) -> usize {
        match self.kind_of(id) {
            EventKind::Trap => 0,
            EventKind::Loop => 1,
            // Streams differ in how much they get.
            _ => (mix_bits(self.seed ^ id) % 9).min(STREAMS.len() as u64 - 1) as usize,
        }
    }

    /// Write an event as it is sent.
    pub(super) fn write_event(&self, id: u64, out: &mut Vec<u8>) {
        let kind = self.kind_of(id);
        if kind == EventKind::NotAnObject {
            let _ = write!(out, "[\"soak-{id:0ID_DIGITS$}\"]");
            return;
        }
        let (start, user) = (out.len(), id % 1000);
        let _ = write!(out, "{{\"messageId\":\"soak-{id:0ID_DIGITS$}\"");
        if kind != EventKind::NoType {
            out.extend_from_slice(b",\"type\":\"track\"");
        }
        let _ = match kind {
            EventKind::NoName => Ok(()),
            EventKind::Filtered => write!(out, ",\"event\":\"filter\""),
            EventKind::Trap => write!(out, ",\"event\":\"trap\""),
            EventKind::Loop => write!(out, ",\"event\":\"loop\""),
            _ => write!(out, ",\"event\":\"soak {}\"", self.route_of(id)),
        };
        if kind != EventKind::NoIdentity {
            let _ = write!(out, ",\"userId\":\"u{user}\"");
        }
        out.extend_from_slice(b",\"filler\":\"");
        let filler_bytes = self.draw_bytes(id, kind).saturating_sub(out.len() - start + 2);
        let offset = (id as usize).wrapping_mul(7919) % PATTERN_OFFSETS;
        out.extend_from_slice(&self.pattern[offset..offset + filler_bytes]);
        out.extend_from_slice(b"\"}");
    }

    /// As many events are between 100 and 200 bytes as between 10 and 20 kB.
    fn draw_bytes(&self, id: u64, kind: EventKind) -> usize {
        match kind {
            EventKind::TooLarge => TOO_LARGE_BYTES,
            // Dead dead letters are to be many rather than large.
            _ if kind.is_poison() => 200,
            _ => {
                let unit = (mix_bits(self.seed ^ id ^ 0xB17E) >> 11) as f64 / (1_u64 << 53) as f64;
                (EVENT_BYTES_MIN * (EVENT_BYTES_MAX / EVENT_BYTES_MIN).powf(unit)) as usize
            }
        }
    }
}

/// The id of an event, from its text with whatever has been added to it.
pub(super) fn id_of(text: &[u8]) -> Option<u64> {
    let start = &text[..text.len().min(ID_WITHIN_BYTES)];
    let at = start.windows(ID_MARK.len()).position(|window| window == ID_MARK)? + ID_MARK.len();
    std::str::from_utf8(text.get(at..at + ID_DIGITS)?).ok()?.parse().ok()
}

/// A number that looks drawn, the same for the same one (the finalizer of SplitMix64).
pub(super) fn mix_bits(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

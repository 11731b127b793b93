//! The event for each id. It is computed wherever it is needed, so that the test does not have to
//! store millions of events.

use std::io::Write;

/// Events of a block, which one request of a sender contains.
pub(super) const BLOCK_EVENTS: u64 = 50;

/// The number of honest senders. Blocks belong to them in turn.
pub(super) const SENDERS: u64 = 8;

/// The sender that posts single events. An invalid event would cause its whole request to be
/// refused there.
pub(super) const SINGLE_SENDER: u64 = 3;

/// The senders whose source uses RudderStack's dialect, which accepts more events.
const RUDDERSTACK_SENDERS: std::ops::Range<u64> = 4..7;

/// The streams of the built-in plugin.
pub(super) const STREAMS: [&str; 6] = ["soak-0", "soak-1", "soak-2", "soak-3", "soak-4", "soak-5"];

/// The stream to which the misbehaving plugin sends everything.
pub(super) const STREAM_OF_MISBEHAVING: &str = "good";

const EVENT_BYTES_MIN: f64 = 100.0;
const EVENT_BYTES_MAX: f64 = 20_000.0;

/// Larger than a record may be.
const TOO_LARGE_BYTES: usize = 1_030_000;

/// The start of an event's padding in the pattern is below this prime.
const PATTERN_OFFSETS: usize = 65_521;

/// Digits of an id.
const ID_DIGITS: usize = 12;
const ID_MARK: &[u8] = b"\"soak-";
/// The id is within this number of bytes of an event.
const ID_WITHIN_BYTES: usize = 64;

/// The kind of an event, which determines where it may be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventKind {
    /// The event goes to a stream.
    Good,
    /// The event matches no mapping, and the misbehaving plugin drops it too.
    Filtered,
    /// The misbehaving plugin traps on the event. Otherwise it goes to a stream.
    Trap,
    /// The misbehaving plugin loops on the event. Otherwise it goes to a stream.
    Loop,
    /// The event is JSON, but not an object.
    NotAnObject,
    /// The event has no `userId`.
    NoIdentity,
    /// The event has no `type`.
    NoType,
    /// The event is a `track` without `event`.
    NoName,
    /// The event fits into a request, but not into a record.
    TooLarge,
}

impl EventKind {
    /// Whether the event never reaches a stream, and always becomes a dead letter.
    pub(super) fn is_poison(self) -> bool {
        use EventKind::{NoIdentity, NoName, NoType, NotAnObject, TooLarge};
        matches!(self, NotAnObject | NoIdentity | NoType | NoName | TooLarge)
    }
}

/// All events of a seed.
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

    /// The kind of an event. A block has at most one event of each kind, besides good ones.
    pub(super) fn kind_of(&self, id: u64) -> EventKind {
        let (block, position) = (id / BLOCK_EVENTS, id % BLOCK_EVENTS);
        let drawn = mix_bits(self.seed ^ block.wrapping_mul(0x9E37_79B9));
        // 7 and the length of a block have no common factor, so these are different positions.
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

    /// The stream of an event under the built-in plugin, or `None` if it has none.
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
            // Streams get different numbers of events.
            _ => (mix_bits(self.seed ^ id) % 9).min(STREAMS.len() as u64 - 1) as usize,
        }
    }

    /// Writes an event as it is sent.
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

    /// Draws the size of an event. There are as many events between 100 and 200 bytes as between 10
    /// and 20 kB.
    fn draw_bytes(&self, id: u64, kind: EventKind) -> usize {
        match kind {
            EventKind::TooLarge => TOO_LARGE_BYTES,
            // Many small dead letters are a better test than a few large ones.
            _ if kind.is_poison() => 200,
            _ => {
                let unit = (mix_bits(self.seed ^ id ^ 0xB17E) >> 11) as f64 / (1_u64 << 53) as f64;
                (EVENT_BYTES_MIN * (EVENT_BYTES_MAX / EVENT_BYTES_MIN).powf(unit)) as usize
            }
        }
    }
}

/// The id of an event, from its text with any additions.
pub(super) fn id_of(text: &[u8]) -> Option<u64> {
    let start = &text[..text.len().min(ID_WITHIN_BYTES)];
    let at = start.windows(ID_MARK.len()).position(|window| window == ID_MARK)? + ID_MARK.len();
    std::str::from_utf8(text.get(at..at + ID_DIGITS)?).ok()?.parse().ok()
}

/// Maps a number to one that looks random (the finalizer of SplitMix64).
pub(super) fn mix_bits(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

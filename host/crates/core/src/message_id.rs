//! Ids for events without one: random UUIDs as JSON strings.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// A UUID between quotation marks.
pub type QuotedUuid = [u8; 38];

/// Generates random UUIDs of version 4.
///
/// The ids are a keyed hash of a counter. The keys have 128 bits from the operating system, which
/// each thread requests once, and no two generators have the same keys. A common random number
/// generator with 64 bits of state would repeat itself after some billions of events.
#[derive(Debug)]
pub struct MessageIds {
    halves: [RandomState; 2],
    count: AtomicU64,
}

impl MessageIds {
    /// Creates a generator with its own random keys.
    #[expect(clippy::new_without_default, reason = "each has keys of its own")]
    pub fn new() -> Self {
        MessageIds { halves: [RandomState::new(), RandomState::new()], count: AtomicU64::new(0) }
    }

    /// Returns an id that this generator has not returned before.
    pub fn next(&self) -> QuotedUuid {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let half = |at: usize| u128::from(self.halves[at].hash_one(count));
        quoted_uuid((half(0) << 64 | half(1)).to_be_bytes())
    }
}

/// Formats arbitrary bytes as a UUID of version 4 in quotes.
pub fn quoted_uuid(mut bytes: [u8; 16]) -> QuotedUuid {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = *b"\"00000000-0000-0000-0000-000000000000\"";
    for (n, byte) in bytes.into_iter().enumerate() {
        // There is a hyphen before the bytes 4, 6, 8 and 10.
        let at = 1 + 2 * n + (n.clamp(2, 10) - 2) / 2;
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

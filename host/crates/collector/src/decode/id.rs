//! Ids: made, cleaned, and derived from others.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use md5::{Digest, Md5};

use standpipe_core::event::string;

/// A UUID between quotes.
pub(crate) type Quoted = [u8; 38];

/// Makes random UUIDs, of version 4.
///
/// They are a keyed hash of a counter. Its keys have 128 bits from the operating
/// system, which are asked for once in each thread, and no two makers have the
/// same keys. A common random number generator with 64 bits of state would repeat
/// itself after some billions of events.
#[derive(Debug)]
pub struct Ids {
    halves: [RandomState; 2],
    count: AtomicU64,
}

impl Ids {
    /// Creates a source of ids with random keys of its own.
    pub fn new() -> Self {
        Ids { halves: [RandomState::new(), RandomState::new()], count: AtomicU64::new(0) }
    }

    /// Returns an id that this source has not returned before.
    pub fn next(&self) -> Quoted {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let half = |at: usize| u128::from(self.halves[at].hash_one(count));
        quoted((half(0) << 64 | half(1)).to_be_bytes())
    }
}

/// RudderStack's id of whoever an event is about: the MD5 of both ids, with the
/// bits set that make a UUID of version 4. The ids are cleaned.
#[derive(Debug, Default)]
pub(super) struct RudderIds {
    /// The ids of the last one, since requests are often about one user.
    ids: Vec<u8>,
    next_ids: Vec<u8>,
    last: Option<Quoted>,
}

impl RudderIds {
    pub(super) fn of(&mut self, user_id: &str, anonymous_id: &str) -> Quoted {
        self.next_ids.clear();
        self.next_ids.extend_from_slice(user_id.as_bytes());
        self.next_ids.push(b':');
        self.next_ids.extend_from_slice(anonymous_id.as_bytes());
        if let Some(last) = self.last.filter(|_| self.ids == self.next_ids) {
            return last;
        }
        let id = quoted(Md5::digest(&self.next_ids).into());
        std::mem::swap(&mut self.ids, &mut self.next_ids);
        self.last = Some(id);
        id
    }
}

/// Bytes as a UUID of version 4, whatever they are.
fn quoted(mut bytes: [u8; 16]) -> Quoted {
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

/// What a value stands for as an id: without invisible characters, and without
/// spaces around it. What is no string stands for its text, null for nothing.
pub(super) fn cleaned(value: Option<&str>) -> Cow<'_, str> {
    let Some(value) = value.filter(|value| *value != "null") else { return Cow::Borrowed("") };
    let Some(string) = string(value) else { return Cow::Borrowed(value) };
    // Without an early end, so that it is done for many bytes at once.
    if string.bytes().fold(true, |all, byte| all & byte.is_ascii_graphic()) {
        return string;
    }
    let visible: String = string.chars().filter(|it| !is_invisible(*it)).collect();
    Cow::Owned(visible.trim_matches(' ').to_owned())
}

/// Characters that show nothing, save for the space. RudderStack also drops those
/// that Unicode has not assigned yet; that takes tables, and is not done here.
fn is_invisible(character: char) -> bool {
    let code = u32::from(character);
    character.is_control()
        || character != ' ' && character.is_whitespace()
        || matches!(
            code,
            0xad | 0x34f
                | 0x600..=0x605
                | 0x61c
                | 0x6dd
                | 0x70f
                | 0x890..=0x891
                | 0x8e2
                | 0x115f..=0x1160
                | 0x17b4..=0x17b5
                | 0x180e
                | 0x200b..=0x200f
                | 0x202a..=0x202e
                | 0x2060..=0x206f
                | 0x2800
                | 0x3164
                | 0xe000..=0xf8ff
                | 0xfeff
                | 0xffa0
                | 0xfff9..=0xfffb
                | 0x110bd
                | 0x110cd
                | 0x13430..=0x1343f
                | 0x1bca0..=0x1bca3
                | 0x1d173..=0x1d17a
                | 0xe0001..=0xe007f
                | 0xf_0000..=0x10_ffff
        )
        || code & 0xfffe == 0xfffe
}

//! Finds the ends of the parts of a JSON text, many bytes at a time.
//!
//! The host has validated every event's text, so nothing is validated here. In a text that is not
//! JSON, the positions are meaningless, but each of them is within the text or at its end, and
//! after a whole character.

use wide::u8x16;

/// The number of bits in a mask.
const BLOCK_BYTES: usize = u64::BITS as usize;

/// The position after the whitespace at this position.
#[inline(always)]
pub(crate) fn after_whitespace(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// The position of a string's closing quote, and whether the string has escapes. `at` is the
/// position after its opening quote.
#[inline(always)]
pub(crate) fn string_end(bytes: &[u8], mut at: usize) -> (usize, bool) {
    let mut has_escapes = false;
    loop {
        let place = quote_or_escape(bytes, at);
        match bytes.get(place) {
            None => return (bytes.len(), has_escapes),
            Some(b'"') => return (place, has_escapes),
            Some(_) => at = (place + 2).min(bytes.len()),
        }
        has_escapes = true;
    }
}

#[inline(always)]
fn quote_or_escape(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes[at..].first_chunk::<16>() {
        let chunk = u8x16::from(*chunk);
        let found = chunk.simd_eq(u8x16::splat(b'"')) | chunk.simd_eq(u8x16::splat(b'\\'));
        let found = found.to_bitmask();
        if found != 0 {
            return at + found.trailing_zeros() as usize;
        }
        at += 16;
    }
    while !matches!(bytes.get(at), None | Some(b'"' | b'\\')) {
        at += 1;
    }
    at
}

/// The position after the value at this position.
#[inline(always)]
pub(crate) fn after_value(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b'"') => (string_end(bytes, at + 1).0 + 1).min(bytes.len()),
        Some(&bracket @ (b'{' | b'[')) => after_brackets(bytes, at, bracket),
        _ => after_scalar(bytes, at),
    }
}

/// The key of a member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemberKey<'a> {
    /// The position of its opening quote.
    pub(crate) start: usize,
    /// The key as written, between its quotes.
    pub(crate) name: &'a str,
    /// Whether the key contains escapes.
    pub(crate) has_escapes: bool,
    /// The start of the member's value.
    pub(crate) value: usize,
}

/// Iterates over the members of an object, or over the elements of an array.
#[derive(Debug)]
pub(crate) struct PartScanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> PartScanner<'a> {
    /// Creates a scanner of the object or array at this position.
    #[inline(always)]
    pub(crate) fn new(text: &'a str, start: usize) -> Self {
        PartScanner { text, at: start + 1 }
    }

    /// Returns the next member's key. The caller passes its value's end to
    /// [`finish_part`](PartScanner::finish_part) before it asks for the next one.
    #[inline(always)]
    pub(crate) fn next_key(&mut self) -> Option<MemberKey<'a>> {
        let bytes = self.text.as_bytes();
        let start = after_whitespace(bytes, self.at);
        if bytes.get(start) != Some(&b'"') {
            return None;
        }
        let (key_end, has_escapes) = string_end(bytes, start + 1);
        let name = &self.text[start + 1..key_end];
        let colon = after_whitespace(bytes, key_end + 1);
        if bytes.get(colon) != Some(&b':') {
            return None;
        }
        let value = after_whitespace(bytes, colon + 1);
        Some(MemberKey { start, name, has_escapes, value })
    }

    /// Returns the start of the next element. The caller passes its end to
    /// [`finish_part`](PartScanner::finish_part) before it asks for the next one.
    #[inline(always)]
    pub(crate) fn next_element(&mut self) -> Option<usize> {
        let start = after_whitespace(self.text.as_bytes(), self.at);
        let is_one = !matches!(self.text.as_bytes().get(start), None | Some(b']'));
        is_one.then_some(start)
    }

    /// Ends a value at this position. The next one starts after the comma, if there is one.
    #[inline(always)]
    pub(crate) fn finish_part(&mut self, end: usize) {
        let bytes = self.text.as_bytes();
        let comma = after_whitespace(bytes, end);
        let is_comma = bytes.get(comma) == Some(&b',');
        self.at = if is_comma { comma + 1 } else { comma };
        if !is_comma && !matches!(bytes.get(comma), Some(b'}' | b']')) {
            // The text is not JSON, so the iteration ends.
            self.at = bytes.len();
        }
    }

    /// The position after the closing bracket, once the iteration has ended.
    #[inline(always)]
    pub(crate) fn end(&self) -> usize {
        let bytes = self.text.as_bytes();
        (after_whitespace(bytes, self.at) + 1).min(bytes.len())
    }
}

/// The position after the number or literal at this position.
#[inline(always)]
fn after_scalar(bytes: &[u8], mut at: usize) -> usize {
    let ends = |byte| matches!(byte, b',' | b'}' | b']' | b':' | b' ' | b'\n' | b'\r' | b'\t');
    while bytes.get(at).is_some_and(|&byte| !ends(byte)) {
        at += 1;
    }
    at
}

/// The position after the object or array at this position. In JSON it is sufficient to count the
/// brackets of the same kind outside of strings.
fn after_brackets(bytes: &[u8], mut at: usize, opening: u8) -> usize {
    // In ASCII, each closing bracket is 2 above its opening bracket.
    let closing = opening + 2;
    let (mut depth, mut in_string, mut escaped) = (0, 0, 0);
    while at < bytes.len() {
        let masks = Masks::load_block(bytes, at, opening, closing);
        let quotes = masks.quotes & !escaped_places(masks.backslashes, &mut escaped);
        let string = prefix_xor(quotes) ^ in_string;
        in_string = (string >> 63).wrapping_neg();
        let (openings, mut closings) = (masks.openings & !string, masks.closings & !string);
        if closings.count_ones() >= depth {
            let mut closed = 0;
            while closings != 0 {
                let before = (closings & closings.wrapping_neg()) - 1;
                closed += 1;
                if depth + (openings & before).count_ones() <= closed {
                    return at + closings.trailing_zeros() as usize + 1;
                }
                closings &= closings - 1;
            }
            depth = depth + openings.count_ones() - closed;
        } else {
            depth = depth + openings.count_ones() - closings.count_ones();
        }
        at += BLOCK_BYTES;
    }
    bytes.len()
}

/// The possible meaning of a block's bytes: one bit per byte, the first byte in the lowest bit.
/// Bits after the end of the text are zero.
struct Masks {
    quotes: u64,
    backslashes: u64,
    openings: u64,
    closings: u64,
}

impl Masks {
    #[inline(always)]
    fn load_block(bytes: &[u8], at: usize, opening: u8, closing: u8) -> Self {
        if let Some(block) = bytes[at..].first_chunk() {
            return Masks::of_block(block, opening, closing);
        }
        // The last block of the text contains the rest of the text, shifted.
        let (block, behind) = match bytes.last_chunk::<BLOCK_BYTES>() {
            Some(block) => (*block, BLOCK_BYTES - (bytes.len() - at)),
            None => {
                let mut block = [b' '; BLOCK_BYTES];
                block[..bytes.len()].copy_from_slice(bytes);
                (block, at)
            }
        };
        let Masks { quotes, backslashes, openings, closings } =
            Masks::of_block(&block, opening, closing);
        Masks {
            quotes: quotes >> behind,
            backslashes: backslashes >> behind,
            openings: openings >> behind,
            closings: closings >> behind,
        }
    }

    #[inline(always)]
    fn of_block(block: &[u8; BLOCK_BYTES], opening: u8, closing: u8) -> Self {
        let (quarters, _) = block.as_chunks::<16>();
        let quarters = [0, 1, 2, 3].map(|n: usize| u8x16::from(quarters[n]));
        let mask = |byte| {
            let [a, b, c, d] =
                quarters.map(|quarter| u64::from(quarter.simd_eq(u8x16::splat(byte)).to_bitmask()));
            a | b << 16 | c << 32 | d << 48
        };
        Masks {
            quotes: mask(b'"'),
            backslashes: mask(b'\\'),
            openings: mask(opening),
            closings: mask(closing),
        }
    }
}

/// The bytes that a backslash escapes. `carry` is 1 if the block's first byte is one of them.
#[inline(always)]
fn escaped_places(mut backslashes: u64, carry: &mut u64) -> u64 {
    let mut escaped = std::mem::take(carry);
    backslashes &= !escaped;
    while backslashes != 0 {
        let escape = backslashes & backslashes.wrapping_neg();
        escaped |= escape << 1;
        *carry = escape >> 63;
        backslashes &= !(escape | escape << 1);
    }
    escaped
}

/// Sets a bit if the number of ones up to its position is odd.
#[inline(always)]
fn prefix_xor(mut mask: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        mask ^= mask << shift;
    }
    mask
}

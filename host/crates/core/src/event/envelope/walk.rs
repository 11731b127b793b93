//! Validates that a text is one JSON object or array, and shows its blocks to [`Notes`], which
//! store the relevant parts.
//!
//! The text is processed in blocks of 64 bytes, like in simdjson: each kind of byte becomes a mask
//! with one bit per byte, and JSON's grammar becomes arithmetic on masks. Only brackets, numbers,
//! literals, escapes and strings as long as the keys are examined one by one. Nothing recurses, so
//! deep nesting costs no stack, and usual events need no allocation.
//!
//! After the first fault of a text, its masks have no meaning. Therefore a block makes all of its
//! checks and then reports the lowest fault.

use super::block::{self, Classes};
use super::nesting::Nesting;
use super::token;

/// What is stored about a text while it is validated.
pub(super) trait Notes {
    /// Whether [`BlockMarks::items`] is needed, which costs time.
    const ITEMS: bool;

    /// Processes the block at this position. Everything before its end is the valid start of a JSON
    /// text.
    fn note_block(&mut self, text: &str, at: usize, marks: &BlockMarks);
}

/// The masks of a validated block. Level 1 is inside the outermost object or array. An opening
/// bracket belongs to the level that it opens, a closing bracket does not belong to the level that
/// it closes.
pub(super) struct BlockMarks {
    /// Opening quotes.
    pub(super) string_starts: u64,
    /// Closing quotes.
    pub(super) string_ends: u64,
    /// Commas, colons and brackets.
    pub(super) structure: u64,
    /// The bytes at the two outermost levels, 0 and 1.
    pub(super) top: u64,
    /// The bytes inside an array that is a member of the outermost object, and inside the objects
    /// that are its items.
    pub(super) items: u64,
    /// Tabs and line ends between tokens.
    pub(super) blanks: u64,
    /// Whether an escape so far encodes a letter, which may belong to a key.
    pub(super) spells: bool,
}

/// Validates a whole text, and returns the notes.
///
/// # Errors
///
/// Fails if the text is not a JSON object or array, or is nested too deeply. The error contains the
/// position of the token that shows this, or the end of an incomplete text.
pub(super) fn walk<N: Notes>(text: &str, levels_max: usize, notes: N) -> Result<N, usize> {
    let bytes = text.as_bytes();
    let root = token::after_whitespace(bytes);
    if !matches!(root, [b'{' | b'[', ..]) {
        return Err(bytes.len() - root.len());
    }
    let mut walk = Walk::new(text, levels_max, notes);
    let (blocks, rest) = bytes.as_chunks();
    for (at, block) in (0..).step_by(block::BYTES).zip(blocks) {
        walk.check_block(at, block)?;
    }
    if !rest.is_empty() {
        let mut block = [b' '; block::BYTES];
        block[..rest.len()].copy_from_slice(rest);
        walk.check_block(bytes.len() - rest.len(), &block)?;
    }
    walk.finish_walk()
}

/// The state that one block passes to the next one. Masks are all ones or all zeros.
struct Walk<'a, N> {
    text: &'a str,
    levels_max: usize,
    nesting: Nesting,
    notes: N,
    in_string: u64,
    /// Whether the outermost level has been closed.
    ended: u64,
    /// Whether an escape so far encodes a letter.
    spells: bool,
    /// 1 if the block's first byte is escaped.
    escaped: u64,
    /// 1 if the block's first byte may continue a number or literal.
    in_scalar: u64,
    after_separator: Follow,
    after_opening: Follow,
    after_key_place: Follow,
}

impl<'a, N: Notes> Walk<'a, N> {
    fn new(text: &'a str, levels_max: usize, notes: N) -> Self {
        Walk {
            text,
            levels_max,
            nesting: Nesting::default(),
            notes,
            in_string: 0,
            ended: 0,
            spells: false,
            escaped: 0,
            in_scalar: 0,
            after_separator: Follow::default(),
            // The text may start like an array: with a value.
            after_opening: Follow { carry: 1 },
            after_key_place: Follow::default(),
        }
    }

    #[inline(always)]
    fn check_block(&mut self, at: usize, block: &[u8; block::BYTES]) -> Result<(), usize> {
        let classes = Classes::of(block);
        let escapes = self.find_escapes(classes.backslashes);
        let quotes = classes.quotes & !escapes.escaped;
        // From each opening quote to the byte before its closing quote.
        let in_string = prefix_xor(quotes) ^ self.in_string;
        self.in_string = all_if(in_string >> 63 == 1);
        let string_starts = quotes & in_string;
        let string_ends = quotes & !in_string;

        let commas = classes.commas & !in_string;
        let colons = classes.colons & !in_string;
        let brackets = classes.brackets & !in_string;
        let whitespace = classes.whitespace & !in_string;
        let scalars = !(in_string | quotes | commas | colons | brackets | whitespace);
        let scalar_starts = scalars & !(scalars << 1 | self.in_scalar);
        self.in_scalar = scalars >> 63;

        let levels = self.follow_brackets(block, brackets);
        let openings = levels.openings;
        let closings = brackets & !openings;
        let separators = commas | colons;
        let values = string_starts | scalar_starts | openings;

        let after_separator = self.after_separator.first_after(separators, whitespace);
        let after_opening = self.after_opening.first_after(openings, whitespace);
        let value_places = after_separator | after_opening;
        // In an object, after its bracket and after commas: if the next token is structural, it
        // must be the colon after a key. A number or literal in place of the key is rejected
        // because of the token after it.
        let key_places = (openings | commas) & levels.in_object;
        let after_key_place =
            self.after_key_place.first_after(key_places, !(separators | brackets));

        let mut faults = levels.faults
            | levels.ended & !whitespace
            | classes.controls & in_string
            | values & !value_places
            | separators & value_places
            | closings & after_separator
            | (colons ^ after_key_place) & !(closings & after_opening);
        let bytes = self.text.as_bytes();
        for place in bit_positions(scalar_starts) {
            faults |= u64::from(!token::is_scalar(&bytes[at + place..])) << place;
        }
        if escapes.backslashes != 0 {
            faults |= self.check_escapes(at, escapes.backslashes);
        }
        if faults != 0 {
            return Err(at + faults.trailing_zeros() as usize);
        }

        let marks = BlockMarks {
            string_starts,
            string_ends,
            structure: separators | brackets,
            top: levels.top,
            items: levels.items,
            blanks: classes.controls,
            spells: self.spells,
        };
        self.notes.note_block(self.text, at, &marks);
        Ok(())
    }

    /// The backslashes that start an escape, and the bytes that they escape.
    #[inline(always)]
    fn find_escapes(&mut self, backslashes: u64) -> Escapes {
        const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
        if backslashes == 0 {
            return Escapes { backslashes: 0, escaped: std::mem::take(&mut self.escaped) };
        }
        // Subtraction borrows through a run of backslashes, which shows whether the run starts at
        // an even position. Flipping the odd positions then leaves every second backslash of the
        // run, and the byte after an odd run.
        let unescaped = backslashes & !self.escaped;
        let every_second = (unescaped << 1 | ODD).wrapping_sub(unescaped) ^ ODD;
        let escaped = every_second ^ (backslashes | self.escaped);
        let escapes = every_second & backslashes;
        self.escaped = escapes >> 63;
        Escapes { backslashes: escapes, escaped }
    }

    /// Processes the brackets of a block that are not in strings.
    #[inline(always)]
    fn follow_brackets(&mut self, block: &[u8; block::BYTES], mut brackets: u64) -> Levels {
        let mut levels = Levels {
            openings: 0,
            in_object: all_if(self.nesting.in_object()),
            top: all_if(self.nesting.levels() <= 1),
            items: all_if(N::ITEMS && self.nesting.in_items()),
            ended: self.ended,
            faults: 0,
        };
        while brackets != 0 {
            let place = brackets.trailing_zeros() as usize;
            let from = (brackets & brackets.wrapping_neg()).wrapping_neg();
            brackets &= brackets - 1;
            // In ASCII, these bits distinguish `{[` from `}]`, and `{}` from `[]`.
            let opens = block[place] & 0x02 != 0;
            let fits = self.nesting.open_or_close(opens, block[place] & 0x20 != 0);
            let too_deep = self.nesting.levels() > self.levels_max;
            levels.faults |= u64::from(!fits | too_deep) << place;
            levels.openings |= u64::from(opens) << place;
            levels.in_object = levels.in_object & !from | all_if(self.nesting.in_object()) & from;
            levels.top = levels.top & !from | all_if(self.nesting.levels() <= 1) & from;
            if N::ITEMS {
                levels.items = levels.items & !from | all_if(self.nesting.in_items()) & from;
            }
            if self.nesting.levels() == 0 {
                self.ended = !0;
                levels.ended |= from << 1;
            }
        }
        levels
    }

    /// The escapes that JSON does not permit.
    #[cold]
    fn check_escapes(&mut self, at: usize, escapes: u64) -> u64 {
        let mut faults = 0;
        for place in bit_positions(escapes) {
            let escape = &self.text.as_bytes()[at + place + 1..];
            faults |= u64::from(!token::is_escape(escape)) << place;
            self.spells |= matches!(escape, [b'u', b'0', b'0', b'4'..=b'7', ..]);
        }
        faults
    }

    fn finish_walk(self) -> Result<N, usize> {
        if self.in_string != 0 || self.nesting.levels() != 0 {
            return Err(self.text.len());
        }
        Ok(self.notes)
    }
}

struct Escapes {
    /// The backslashes that start an escape.
    backslashes: u64,
    /// The bytes after them.
    escaped: u64,
}

/// The levels of a block's bytes.
struct Levels {
    /// The opening brackets.
    openings: u64,
    /// The bytes whose innermost level is an object. Here and below, an opening bracket belongs to
    /// the level that it opens, and a closing bracket does not belong to the level that it closes.
    in_object: u64,
    /// The bytes whose innermost level is 0 or 1.
    top: u64,
    /// The bytes whose innermost level is one of [`BlockMarks::items`].
    items: u64,
    /// The bytes after the outermost level.
    ended: u64,
    /// Brackets that close the wrong kind or exceed the maximum level.
    faults: u64,
}

/// Finds the next byte after certain tokens, even in a later block.
#[derive(Default)]
struct Follow {
    /// 1 if the next byte was not found before the end of the block.
    carry: u64,
}

impl Follow {
    /// The first byte after each of these tokens that is not among the skipped ones. No token may
    /// be among the skipped bytes.
    #[inline(always)]
    fn first_after(&mut self, tokens: u64, skipped: u64) -> u64 {
        // Adding a bit to a run of ones moves it to the first position after the run.
        let (sum, is_beyond) = (tokens << 1 | self.carry).overflowing_add(skipped);
        self.carry = tokens >> 63 | u64::from(is_beyond);
        sum & !skipped
    }
}

#[inline(always)]
fn all_if(is_so: bool) -> u64 {
    u64::from(is_so).wrapping_neg()
}

/// Sets a bit if the number of ones up to its position is odd.
#[inline(always)]
fn prefix_xor(mut mask: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        mask ^= mask << shift;
    }
    mask
}

/// The positions of the ones.
#[inline(always)]
pub(super) fn bit_positions(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = (mask != 0).then(|| mask.trailing_zeros() as usize)?;
        mask &= mask - 1;
        Some(place)
    })
}

//! Checks that a text is one JSON object or array, and shows its blocks to
//! [`Notes`], which remember what is wanted of it.
//!
//! It goes by blocks of 64 bytes, in the manner of simdjson: each kind of byte
//! becomes a mask with a bit for each byte, and JSON's grammar becomes
//! arithmetic on masks. Only brackets, numbers, literals, escapes and strings
//! as long as the keys are looked at one by one. Nothing recurses, so deep
//! nesting costs no stack, and nothing is allocated for usual events.
//!
//! Beyond the first fault of a text its masks mean nothing. That is why a block
//! makes all its checks and then reports the lowest fault.

use super::block::{self, Classes};
use super::nesting::Nesting;
use super::token;

/// What is remembered of a text while it is checked.
pub(super) trait Notes {
    /// Whether [`BlockMarks::items`] is wanted, which costs time.
    const ITEMS: bool;

    /// Look at the block that begins at this place. All before its end is JSON,
    /// as far as it goes.
    fn note_block(&mut self, text: &str, at: usize, marks: &BlockMarks);
}

/// A block that has been checked, as masks. Level 1 is inside the outermost
/// object or array; a bracket that opens a level belongs to it, and one that
/// closes a level does not.
pub(super) struct BlockMarks {
    /// Opening quotes.
    pub(super) string_starts: u64,
    /// Closing quotes.
    pub(super) string_ends: u64,
    /// Commas, colons and brackets.
    pub(super) structure: u64,
    /// What the two outermost levels hold, 0 and 1.
    pub(super) top: u64,
    /// The inside of an array that is a member of the outermost object, and the
    /// inside of the objects that are its items.
    pub(super) items: u64,
    /// Tabs and line ends between tokens.
    pub(super) blanks: u64,
    /// Whether an escape so far spells a letter, so perhaps one of a key.
    pub(super) spells: bool,
}

/// Walk over a whole text, and give back what is to remember it.
///
/// # Errors
///
/// The text is not a JSON object or array, or nests too deeply; this is the
/// position of the token where that shows, or the end of a text cut off.
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

/// What one block leaves to the next one. Masks are all ones or all zeros.
struct Walk<'a, N> {
    text: &'a str,
    levels_max: usize,
    nesting: Nesting,
    notes: N,
    in_string: u64,
    /// Whether the outermost level has been closed.
    ended: u64,
    /// Whether an escape so far spells a letter.
    spells: bool,
    /// One where the block's first byte is escaped.
    escaped: u64,
    /// One where the block's first byte may continue a number or literal.
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
            // The text may begin like an array: with a value.
            after_opening: Follow { carry: 1 },
            after_key_place: Follow::default(),
        }
    }

    #[inline(always)]
    fn check_block(&mut self, at: usize, block: &[u8; block::BYTES]) -> Result<(), usize> {
        let classes = Classes::of(block);
        let escapes = self.find_escapes(classes.backslashes);
        let quotes = classes.quotes & !escapes.escaped;
        // From each opening quote up to, but without, its closing quote.
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
        // In an object, behind its bracket and behind commas: if anything
        // structural comes next, it is the colon behind a key. A number or
        // literal in the key's place is refused for what follows it.
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

    /// Which backslashes begin an escape, and which bytes they escape.
    #[inline(always)]
    fn find_escapes(&mut self, backslashes: u64) -> Escapes {
        const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
        if backslashes == 0 {
            return Escapes { backslashes: 0, escaped: std::mem::take(&mut self.escaped) };
        }
        // Subtraction borrows through a run of backslashes, which shows whether
        // it begins at an even place; flipping the odd places then leaves every
        // second backslash of the run, and what stands behind an odd run.
        let unescaped = backslashes & !self.escaped;
        let every_second = (unescaped << 1 | ODD).wrapping_sub(unescaped) ^ ODD;
        let escaped = every_second ^ (backslashes | self.escaped);
        let escapes = every_second & backslashes;
        self.escaped = escapes >> 63;
        Escapes { backslashes: escapes, escaped }
    }

    /// Follow the brackets of a block that are not in strings.
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

    /// The escapes that JSON does not know.
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
    /// The backslashes that begin an escape.
    backslashes: u64,
    /// The bytes behind them.
    escaped: u64,
}

/// What the brackets of a block make of its bytes.
struct Levels {
    /// The brackets that open a level.
    openings: u64,
    /// Where the innermost level is an object. Here and below, a bracket that
    /// opens a level belongs to it, and one that closes a level does not.
    in_object: u64,
    /// Where the innermost level is 0 or 1.
    top: u64,
    /// Where it is one of [`BlockMarks::items`].
    items: u64,
    /// What stands behind the outermost level.
    ended: u64,
    /// Brackets that close the wrong kind or open a level too many.
    faults: u64,
}

/// What comes next after certain tokens, be it in a later block.
#[derive(Default)]
struct Follow {
    /// One where what comes next has not been found by the end of the block.
    carry: u64,
}

impl Follow {
    /// The first byte behind each of these tokens that is none of those
    /// skipped. No token is among those.
    #[inline(always)]
    fn first_after(&mut self, tokens: u64, skipped: u64) -> u64 {
        // A bit that is added to a run of ones goes to the first place beyond.
        let (sum, is_beyond) = (tokens << 1 | self.carry).overflowing_add(skipped);
        self.carry = tokens >> 63 | u64::from(is_beyond);
        sum & !skipped
    }
}

#[inline(always)]
fn all_if(is_so: bool) -> u64 {
    u64::from(is_so).wrapping_neg()
}

/// Ones at the places up to which the ones are odd in number.
#[inline(always)]
fn prefix_xor(mut mask: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        mask ^= mask << shift;
    }
    mask
}

/// The places of the ones.
#[inline(always)]
pub(super) fn bit_positions(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = (mask != 0).then(|| mask.trailing_zeros() as usize)?;
        mask &= mask - 1;
        Some(place)
    })
}

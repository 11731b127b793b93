//! Where the members of a request body and of its items stand, found by the scanner's one pass. The
//! number of places that are noted is bounded, and with it the memory.

use std::borrow::Cow;
use std::slice::Iter;

use thiserror::Error;

use super::walk::{BlockMarks, Notes, bit_positions, walk};
use super::{Malformed, explain_malformed, token};

/// Where the parts of a text stand that a request consists of: the members of
/// its outermost object, the items of arrays among them, and the members of
/// those items. The text is checked whole, in the one pass that finds them.
#[derive(Debug)]
pub struct Outline<'a> {
    text: &'a str,
    /// The places of commas, colons and brackets at levels 0 and 1.
    outer: Vec<u32>,
    /// Those in arrays at level 2, and in their objects.
    inner: Vec<u32>,
    has_blanks: bool,
    spells: bool,
}

/// Where something stands in the text of an [`Outline`], in bytes. The default
/// stands for something missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub start: u32,
    /// Behind its last byte.
    pub end: u32,
}

/// A member of an object.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The key as written, between its quotes.
    pub key: &'a str,
    /// Where its value stands.
    pub value: Span,
}

impl<'a> Member<'a> {
    /// The key as it is meant, with its escapes read.
    #[inline]
    pub fn name(&self) -> Cow<'a, str> {
        if self.key.contains('\\') {
            return Cow::Owned(token::unescape_string(self.key));
        }
        Cow::Borrowed(self.key)
    }
}

/// Why a text has no outline.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum OutlineError {
    /// It is not a JSON object or array.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It has more members and items than are noted.
    #[error("more than {parts_max} members and items")]
    TooManyParts {
        /// The permitted number.
        parts_max: usize,
    },
}

/// Places of a member whose value is an object or array: a colon, the closing bracket,
/// and a comma. An item of an array has no colon, but two brackets.
const PLACES_PER_PART_MAX: usize = 3;

/// Commas, colons and brackets at the levels that matter, in their order. `ITEMS`:
/// whether those of items are among them.
#[derive(Debug, Default)]
struct StructurePlaces<const ITEMS: bool> {
    /// At levels 0 and 1.
    outer: Vec<u32>,
    /// In arrays at level 2, and in their objects.
    inner: Vec<u32>,
    places_max: usize,
    is_full: bool,
    has_blanks: bool,
    spells: bool,
}

impl<const ITEMS: bool> Notes for StructurePlaces<ITEMS> {
    const ITEMS: bool = ITEMS;

    #[inline(always)]
    fn note_block(&mut self, _: &str, at: usize, marks: &BlockMarks) {
        if self.outer.len() + self.inner.len() >= self.places_max {
            // The rest is only checked.
            self.is_full = true;
            return;
        }
        // Texts of more bytes are refused before.
        let place = |place| (at + place) as u32;
        self.outer.extend(bit_positions(marks.structure & marks.top).map(place));
        if ITEMS {
            self.inner.extend(bit_positions(marks.structure & marks.items).map(place));
        }
        self.has_blanks |= marks.blanks != 0;
        self.spells = marks.spells;
    }
}

impl<'a> Outline<'a> {
    /// Checks a text, which must be an object or array, and notes its parts, with a bound of
    /// the memory: of as many places as `parts_max` members and items may have, of four bytes
    /// each. At most `levels_max` objects and arrays may be open at once.
    ///
    /// # Errors
    ///
    /// The text is neither, or has 4 GiB, or more parts.
    pub fn bounded(
        text: &'a [u8],
        levels_max: usize,
        parts_max: usize,
    ) -> Result<Self, OutlineError> {
        Self::with_notes::<true>(text, levels_max, parts_max)
    }

    /// Checks a text as [`bounded`](Self::bounded) does, and notes only the members of the
    /// outermost object, or the items of the outermost array.
    ///
    /// # Errors
    ///
    /// The text is neither, or has 4 GiB, or more parts.
    pub fn of_members(
        text: &'a [u8],
        levels_max: usize,
        parts_max: usize,
    ) -> Result<Self, OutlineError> {
        Self::with_notes::<false>(text, levels_max, parts_max)
    }

    fn with_notes<const ITEMS: bool>(
        text: &'a [u8],
        levels_max: usize,
        parts_max: usize,
    ) -> Result<Self, OutlineError> {
        if u32::try_from(text.len()).is_err() {
            return Err(Malformed::NotJson { at: u32::MAX as usize }.into());
        }
        let Ok(text) = simdutf8::basic::from_utf8(text) else {
            return Err(explain_malformed(text, levels_max, 0).into());
        };
        let places_max = parts_max.saturating_mul(PLACES_PER_PART_MAX);
        let places = StructurePlaces::<ITEMS> { places_max, ..StructurePlaces::default() };
        match walk(text, levels_max, places) {
            Ok(places) if places.is_full => Err(OutlineError::TooManyParts { parts_max }),
            Ok(StructurePlaces { outer, inner, has_blanks, spells, .. }) => {
                Ok(Outline { text, outer, inner, has_blanks, spells })
            }
            Err(at) => Err(explain_malformed(text.as_bytes(), levels_max, at).into()),
        }
    }

    /// The whole text.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// A part of the text.
    #[inline]
    pub fn at(&self, span: Span) -> &'a str {
        &self.text[span.start as usize..span.end as usize]
    }

    /// Whether there are tabs or line ends between tokens.
    pub fn has_blanks(&self) -> bool {
        self.has_blanks
    }

    /// The outermost object or array.
    pub fn root(&self) -> Span {
        let [start, .., end] = self.outer[..] else { return Span::default() };
        Span { start, end: end + 1 }
    }

    /// Whether an escape anywhere in the text spells a letter, so that a key may
    /// not look like what it [means](Member::name).
    #[inline]
    pub fn has_spelled_letters(&self) -> bool {
        self.spells
    }

    /// Look at each member of the outermost object; at none, if it is an array.
    pub fn for_each_member(&self, each: impl FnMut(Member<'a>)) {
        if self.text.as_bytes()[self.root().start as usize] == b'{' {
            let root = self.root();
            self.cursor_over(&self.outer[1..], root).each_member(root.start as usize, each);
        }
    }

    /// The items of the outermost array, or of an array that is a member of the
    /// outermost object.
    pub fn items_of(&self, array: Span) -> Items<'_, 'a> {
        let is_root = array == self.root();
        let places = if is_root { &self.outer } else { &self.inner };
        let from = places.partition_point(|place| *place <= array.start);
        let to = places.partition_point(|place| *place < array.end - 1);
        let cursor = self.cursor_over(&places[from..to], array);
        Items { cursor, before: array.start as usize, has_ended: false, has_members: !is_root }
    }

    fn cursor_over<'o>(&self, places: &'o [u32], around: Span) -> Cursor<'o, 'a> {
        Cursor { text: self.text, places: places.iter(), end: around.end as usize - 1 }
    }
}

/// Goes over the items of an array.
#[derive(Debug)]
pub struct Items<'o, 'a> {
    cursor: Cursor<'o, 'a>,
    /// The bracket or comma before the next item.
    before: usize,
    has_ended: bool,
    /// Whether the members of items have been noted.
    has_members: bool,
}

impl<'a> Items<'_, 'a> {
    /// The next item. Its members are shown if it is an object and the array is a
    /// member of the outermost object.
    #[inline]
    pub fn next(&mut self, each: impl FnMut(Member<'a>)) -> Option<Span> {
        if self.has_ended {
            return None;
        }
        let cursor = &mut self.cursor;
        let start = cursor.token_behind(self.before);
        let mut span = Span { start: span_offset(start), end: 0 };
        match cursor.byte_at(start) {
            b']' => return None,
            b'{' if self.has_members => {
                cursor.next_place();
                span.end = span_offset(cursor.each_member(start, each) + 1);
            }
            b'{' | b'[' => span.end = span_offset(cursor.next_place() + 1),
            _ => {}
        }
        self.before = cursor.next_place();
        self.has_ended = cursor.byte_at(self.before) == b']';
        if span.end == 0 {
            span.end = span_offset(cursor.end_before(self.before));
        }
        Some(span)
    }
}

/// Goes over places. What stands there has been checked, so nothing is missing.
#[derive(Debug)]
struct Cursor<'o, 'a> {
    text: &'a str,
    places: Iter<'o, u32>,
    /// The bracket that closes what it goes over.
    end: usize,
}

impl<'a> Cursor<'_, 'a> {
    /// The next place; the closing bracket behind the last one.
    #[inline(always)]
    fn next_place(&mut self) -> usize {
        self.places.next().map_or(self.end, |place| *place as usize)
    }

    #[inline(always)]
    fn byte_at(&self, at: usize) -> u8 {
        self.text.as_bytes()[at]
    }

    /// Where the next token begins behind this one of one byte.
    #[inline(always)]
    fn token_behind(&self, at: usize) -> usize {
        self.text.len() - token::after_whitespace(&self.text.as_bytes()[at + 1..]).len()
    }

    /// Where the token before this one ends.
    #[inline(always)]
    fn end_before(&self, at: usize) -> usize {
        let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        at - self.text.as_bytes()[..at].iter().rev().take_while(is_space).count()
    }

    /// Show the members of an object whose opening bracket stands here, and has
    /// been taken. Returns where the closing one stands.
    #[inline(always)]
    fn each_member(&mut self, start: usize, mut each: impl FnMut(Member<'a>)) -> usize {
        let mut before = start;
        loop {
            let quote = self.token_behind(before);
            if self.byte_at(quote) == b'}' {
                return self.next_place();
            }
            let colon = self.next_place();
            let key = &self.text[quote + 1..self.end_before(colon) - 1];
            let value = self.token_behind(colon);
            let closing = matches!(self.byte_at(value), b'{' | b'[').then(|| self.next_place());
            before = self.next_place();
            let end = closing.map_or_else(|| self.end_before(before), |closing| closing + 1);
            each(Member { key, value: Span { start: span_offset(value), end: span_offset(end) } });
            if self.byte_at(before) == b'}' {
                return before;
            }
        }
    }
}

/// Texts longer than that are refused.
#[inline(always)]
fn span_offset(at: usize) -> u32 {
    at as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(text: &str) -> Outline<'_> {
        Outline::bounded(text.as_bytes(), 100, usize::MAX).unwrap()
    }

    /// Each member as its name and the text of its value.
    fn members(text: &str) -> Vec<(String, &str)> {
        let outline = outline(text);
        let mut members = Vec::new();
        outline.for_each_member(|it| members.push((it.name().into_owned(), outline.at(it.value))));
        members
    }

    /// The items under the last key, each with the members that are shown.
    fn items(text: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
        let outline = outline(text);
        let mut array = outline.root();
        outline.for_each_member(|member| array = member.value);
        let mut items = outline.items_of(array);
        let mut found = Vec::new();
        loop {
            let mut members = Vec::new();
            let Some(item) = items.next(|it| members.push((it.key, outline.at(it.value)))) else {
                assert_eq!(items.next(|_| panic!("no members behind the end")), None);
                return found;
            };
            found.push((outline.at(item), members));
        }
    }

    #[test]
    fn members_are_found_at_the_outermost_level_only() {
        assert_eq!(members(" { } "), []);
        assert_eq!(members("[{\"a\":1}]"), []);
        assert_eq!(
            members(
                r#" {"a" : {"b":[{"c":1}]} ,"d":[[{}],{"e":2}] , "\u0066,\"":-1.5 ,"":"}\"]" } "#
            ),
            [
                ("a".to_owned(), r#"{"b":[{"c":1}]}"#),
                ("d".to_owned(), r#"[[{}],{"e":2}]"#),
                ("f,\"".to_owned(), "-1.5"),
                (String::new(), r#""}\"]""#),
            ]
        );
    }

    #[test]
    fn items_are_found_with_their_members() {
        assert_eq!(items(r#"{"a":[ ]}"#), []);
        assert_eq!(
            items(r#"{"x":[{"n":0}],"a":[1 , {"b":{"c":[{}]},"d":[] } ,[{"e":1}],{ },"f"]}"#),
            [
                ("1", vec![]),
                (r#"{"b":{"c":[{}]},"d":[] }"#, vec![("b", r#"{"c":[{}]}"#), ("d", "[]")]),
                (r#"[{"e":1}]"#, vec![]),
                ("{ }", vec![]),
                ("\"f\"", vec![]),
            ]
        );
    }

    #[test]
    fn items_of_the_outermost_array_are_found_alone() {
        assert_eq!(items("[]"), []);
        let expected = [(r#"{"a":[1]}"#, vec![]), ("2", vec![]), ("[[{}]]", vec![])];
        assert_eq!(items(r#"[{"a":[1]}, 2 ,[[{}]]]"#), expected);
    }

    #[test]
    fn parts_are_noted_up_to_a_bound() {
        let many = format!("{{\"a\":[{}1]}}", "1,".repeat(2000));
        let too_many = OutlineError::TooManyParts { parts_max: 100 };
        assert_eq!(Outline::bounded(many.as_bytes(), 9, 100).unwrap_err(), too_many);
        assert!(Outline::bounded(many.as_bytes(), 9, 2000).is_ok());
        // Whose items are not noted, they do not count.
        let members = Outline::of_members(many.as_bytes(), 9, 100).unwrap();
        let mut names = Vec::new();
        members.for_each_member(|member| names.push(member.key));
        assert_eq!(names, ["a"]);
        // What is not JSON is not JSON, wherever it ends to be.
        let broken = &many.as_bytes()[..many.len() - 1];
        let malformed = Malformed::NotJson { at: broken.len() };
        assert_eq!(Outline::bounded(broken, 9, 100).unwrap_err(), malformed.into());
    }

    #[test]
    fn what_is_no_object_or_array_has_no_outline() {
        let refused =
            |text: &'static [u8], levels| Outline::bounded(text, levels, usize::MAX).unwrap_err();
        assert_eq!(refused(b"1", 9), Malformed::NotAnObject.into());
        assert_eq!(refused(b"[1", 9), Malformed::NotJson { at: 2 }.into());
        assert_eq!(refused(b"[\"\xff\"]", 9), Malformed::NotUtf8 { at: 2 }.into());
        assert_eq!(refused(b"[[[]]]", 2), Malformed::TooDeep { levels_max: 2 }.into());
    }
}

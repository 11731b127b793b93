//! Finds the positions of the members of a request body and of its items in one pass of the
//! scanner. The number of noted positions is limited, and so is the memory.

use std::borrow::Cow;
use std::slice::Iter;

use thiserror::Error;

use super::walk::{BlockMarks, Notes, bit_positions, walk};
use super::{Malformed, explain_malformed, token};

/// The positions of the parts of a request: the members of the outermost object, the items of
/// arrays among them, and the members of these items. The same pass also validates the whole text.
#[derive(Debug)]
pub struct Outline<'a> {
    text: &'a str,
    /// The positions of commas, colons and brackets at levels 0 and 1.
    outer: Vec<u32>,
    /// The positions in arrays at level 2, and in their objects.
    inner: Vec<u32>,
    has_blanks: bool,
    spells: bool,
}

/// A range in the text of an [`Outline`], in bytes. The default stands for a missing part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// The position of the first byte.
    pub start: u32,
    /// The position after the last byte.
    pub end: u32,
}

/// A member of an object.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The key as written, between its quotes.
    pub key: &'a str,
    /// The range of the value.
    pub value: Span,
}

impl<'a> Member<'a> {
    /// The key with its escapes decoded.
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
    /// The text is not a JSON object or array.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The text has more members and items than permitted.
    #[error("more than {parts_max} members and items")]
    TooManyParts {
        /// The permitted number.
        parts_max: usize,
    },
}

/// Positions of a member whose value is an object or array: a colon, the closing bracket, and a
/// comma. An item of an array has no colon, but two brackets.
const PLACES_PER_PART_MAX: usize = 3;

/// Commas, colons and brackets at the relevant levels, in order. `ITEMS`: whether those of items
/// are included.
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
            // The rest of the text is only validated.
            self.is_full = true;
            return;
        }
        // Longer texts were rejected before, so the position fits.
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
    /// Validates a text, which must be an object or array, and notes its parts. The memory is
    /// limited to the positions of `parts_max` members and items, of four bytes each. At most
    /// `levels_max` objects and arrays may be nested.
    ///
    /// # Errors
    ///
    /// Fails if the text is neither an object nor an array, or has 4 GiB, or has more parts.
    pub fn bounded(
        text: &'a [u8],
        levels_max: usize,
        parts_max: usize,
    ) -> Result<Self, OutlineError> {
        Self::with_notes::<true>(text, levels_max, parts_max)
    }

    /// Validates a text like [`bounded`](Self::bounded), and notes only the members of the
    /// outermost object, or the items of the outermost array.
    ///
    /// # Errors
    ///
    /// Fails if the text is neither an object nor an array, or has 4 GiB, or has more parts.
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

    /// Whether an escape in the text encodes a letter. A key may then look different from its
    /// [name](Member::name).
    #[inline]
    pub fn has_spelled_letters(&self) -> bool {
        self.spells
    }

    /// Calls `each` for each member of the outermost object. An array has no members.
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

/// Iterates over the items of an array.
#[derive(Debug)]
pub struct Items<'o, 'a> {
    cursor: Cursor<'o, 'a>,
    /// The position of the bracket or comma before the next item.
    before: usize,
    has_ended: bool,
    /// Whether the members of items have been noted.
    has_members: bool,
}

impl<'a> Items<'_, 'a> {
    /// Returns the next item. Calls `each` for its members if it is an object and the array is a
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

/// Iterates over positions. The text has been validated, so no position is missing.
#[derive(Debug)]
struct Cursor<'o, 'a> {
    text: &'a str,
    places: Iter<'o, u32>,
    /// The position of the bracket that closes the iterated range.
    end: usize,
}

impl<'a> Cursor<'_, 'a> {
    /// Returns the next position. After the last one, it is that of the closing bracket.
    #[inline(always)]
    fn next_place(&mut self) -> usize {
        self.places.next().map_or(self.end, |place| *place as usize)
    }

    #[inline(always)]
    fn byte_at(&self, at: usize) -> u8 {
        self.text.as_bytes()[at]
    }

    /// The position of the next token after this token of one byte.
    #[inline(always)]
    fn token_behind(&self, at: usize) -> usize {
        self.text.len() - token::after_whitespace(&self.text.as_bytes()[at + 1..]).len()
    }

    /// The end of the token before this position.
    #[inline(always)]
    fn end_before(&self, at: usize) -> usize {
        let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        at - self.text.as_bytes()[..at].iter().rev().take_while(is_space).count()
    }

    /// Calls `each` for the members of an object. `start` is the position of its opening bracket,
    /// which has already been consumed. Returns the position of the closing bracket.
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

/// Longer texts are rejected before.
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

    /// The items of the last member's array, each with its members.
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
        // If items are not noted, they do not count.
        let members = Outline::of_members(many.as_bytes(), 9, 100).unwrap();
        let mut names = Vec::new();
        members.for_each_member(|member| names.push(member.key));
        assert_eq!(names, ["a"]);
        // The limit does not hide that a text is invalid, wherever it ends.
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

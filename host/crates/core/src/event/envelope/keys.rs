//! Finds the two keys that routing needs.

use super::token;
use super::walk::{BlockMarks, Notes, bit_positions};

/// The start of the values of the two keys. If a key is duplicated, it is the last value.
#[derive(Debug, Default)]
pub(super) struct EnvelopeKeys {
    pub(super) message_type: Option<usize>,
    pub(super) name: Option<usize>,
    /// Where strings with the length of the keys that started before this block would end.
    short: u64,
}

impl Notes for EnvelopeKeys {
    const ITEMS: bool = false;

    #[inline(always)]
    fn note_block(&mut self, text: &str, at: usize, marks: &BlockMarks) {
        // A string of four characters ends five bytes after its start. Escapes make it longer, but
        // escapes that encode letters are extremely rare.
        let short = marks.string_starts << 5 | marks.string_starts << 6 | self.short;
        self.short = marks.string_starts >> 59 | marks.string_starts >> 58;
        let spelled = u64::from(marks.spells).wrapping_neg();
        for place in bit_positions(marks.string_ends & marks.top & (short | spelled)) {
            self.note_key(text, at + place, marks.spells);
        }
    }
}

impl EnvelopeKeys {
    /// Notes the start of the value if the string that ends here is one of the two keys.
    #[inline(always)]
    fn note_key(&mut self, text: &str, end: usize, spells: bool) {
        let before = &text.as_bytes()[..end];
        let field = if spells {
            return self.note_spelled(text, end);
        } else if before.ends_with(b"\"type") {
            &mut self.message_type
        } else if before.ends_with(b"\"event") {
            &mut self.name
        } else {
            return;
        };
        *field = value_behind(text, end).or(*field);
    }

    /// Notes the start of the value if the string that ends here, which may contain escapes, is one
    /// of the two keys.
    #[cold]
    fn note_spelled(&mut self, text: &str, end: usize) {
        let before = &text[..end];
        let is_start = |quote: &usize| {
            let escapes = before[..*quote].bytes().rev().take_while(|byte| *byte == b'\\');
            escapes.count().is_multiple_of(2)
        };
        let quotes = memchr::memrchr_iter(b'"', before.as_bytes());
        let Some(start) = quotes.into_iter().find(is_start) else { return };
        let field = match token::unescape_string(&before[start + 1..]).as_str() {
            "type" => &mut self.message_type,
            "event" => &mut self.name,
            _ => return,
        };
        *field = value_behind(text, end).or(*field);
    }
}

/// The start of the value, if the string that ends here is a key.
#[inline(always)]
fn value_behind(text: &str, end: usize) -> Option<usize> {
    match token::after_whitespace(&text.as_bytes()[end + 1..]) {
        [b':', value @ ..] => Some(text.len() - token::after_whitespace(value).len()),
        _ => None,
    }
}

//! Redacts personal data in the strings of a value.

use super::Editor;
use crate::json::{JsonValue, write_string};
use crate::redact::{Detectors, redact_text};
use crate::scan;

impl Editor<'_> {
    /// Redacts all strings of the value at this position, but no keys. Returns the end of the
    /// value.
    pub(super) fn redact_strings(&mut self, detectors: Detectors, start: usize) -> usize {
        let bytes = self.text.as_bytes();
        let end = scan::after_value(bytes, start);
        let mut at = start;
        while let Some(quote) = find_quote(&bytes[..end], at) {
            let after = (scan::string_end(bytes, quote + 1).0 + 1).min(end);
            at = scan::after_whitespace(bytes, after);
            if bytes.get(at) != Some(&b':')
                && let Some(string) = JsonValue::of_text(&self.text[quote..after]).as_string()
                && let Some(redacted) = redact_text(&string, detectors)
            {
                self.cut_range(quote, after);
                write_string(self.out, &redacted);
            }
        }
        end
    }
}

fn find_quote(bytes: &[u8], at: usize) -> Option<usize> {
    let place = bytes.get(at..)?.iter().position(|&byte| byte == b'"')?;
    Some(at + place)
}

//! Redacts personal data in strings: e-mail addresses, telephone and card numbers are replaced by a
//! word, IP addresses are truncated.
//!
//! The detectors find the usual forms of such data, with rules that leave other numbers unchanged
//! if possible: a telephone number has a `+` or separators, a card number a valid check digit.
//! Redaction reduces leaks, but does not prove that no personal data is left.
//!
//! Redacting twice changes nothing. A text without `@`, and without the digits and colons of a
//! number or address, is scanned once and not copied.

mod card;
mod digits;
mod email;
mod internet;
mod phone;

use std::borrow::Cow;
use std::ops::Range;

/// The detectors to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Detectors {
    /// E-mail addresses become `[email]`, including those with `%40` as in URLs.
    pub(crate) email: bool,
    /// Telephone numbers become `[phone]`.
    pub(crate) phone: bool,
    /// Numbers of payment cards become `[card]`.
    pub(crate) card: bool,
    /// IPv4 addresses lose their last 8 bits, IPv6 addresses all but the first 48.
    pub(crate) ip: bool,
}

/// Returns the redacted text, or `None` if the detectors find nothing.
pub(crate) fn redact_text(text: &str, which: Detectors) -> Option<String> {
    let mut redacted = redact_once(text, which)?;
    // A replacement can reveal other data, such as a number next to an address. Each pass finds
    // less.
    while let Some(again) = redact_once(&redacted, which) {
        redacted = again;
    }
    Some(redacted)
}

fn redact_once(text: &str, which: Detectors) -> Option<String> {
    let marks = MarkCounts::count_in(text);
    let mut text = Cow::Borrowed(text);
    if which.email && (marks.ats > 0 || marks.percents > 0) {
        replace_all(&mut text, email::next_email);
    }
    if which.ip && marks.colons >= internet::V6_COLONS_MIN {
        replace_all(&mut text, internet::next_v6);
    }
    if which.ip && marks.dots >= internet::V4_DOTS {
        replace_all(&mut text, internet::next_v4);
    }
    if which.card && marks.digits >= *card::DIGITS.start() {
        replace_all(&mut text, card::next_card);
    }
    if which.phone && marks.digits >= phone::DIGITS_MIN {
        replace_all(&mut text, phone::next_phone);
    }
    match text {
        Cow::Owned(text) => Some(text),
        Cow::Borrowed(_) => None,
    }
}

/// A range of a text, and its replacement.
type TextReplacement = (Range<usize>, Cow<'static, str>);

/// Replaces findings until there are no more.
fn replace_all(text: &mut Cow<'_, str>, next: impl Fn(&str) -> Option<TextReplacement>) {
    let mut replaced = String::new();
    let mut rest = text.as_ref();
    while let Some((part, by)) = next(rest) {
        replaced.push_str(&rest[..part.start]);
        replaced.push_str(&by);
        rest = &rest[part.end..];
    }
    if rest.len() < text.len() {
        replaced.push_str(rest);
        *text = Cow::Owned(replaced);
    }
}

/// How often the characters that detectors need occur in a text.
#[derive(Default)]
struct MarkCounts {
    ats: usize,
    percents: usize,
    colons: usize,
    dots: usize,
    digits: usize,
}

impl MarkCounts {
    fn count_in(text: &str) -> Self {
        let mut marks = MarkCounts::default();
        // In parts of this size, counts fit into a byte, and many bytes are counted at once.
        for part in text.as_bytes().chunks(usize::from(u8::MAX)) {
            marks.ats += count_bytes(part, |byte| byte == b'@');
            marks.percents += count_bytes(part, |byte| byte == b'%');
            marks.colons += count_bytes(part, |byte| byte == b':');
            marks.dots += count_bytes(part, |byte| byte == b'.');
            marks.digits += count_bytes(part, |byte| byte.is_ascii_digit());
        }
        marks
    }
}

#[inline(always)]
fn count_bytes(part: &[u8], is_counted: impl Fn(u8) -> bool) -> usize {
    usize::from(part.iter().fold(0_u8, |count, &byte| count + u8::from(is_counted(byte))))
}

#[cfg(test)]
mod tests;

//! Detects telephone numbers.
//!
//! There are three forms: international numbers with a `+` (or `00` and separators); North American
//! numbers in groups of 3, 3 and 4 digits; and numbers of other countries, with the leading zero of
//! domestic calls. The last two need separators, because a number without separators could be
//! anything.

use std::ops::RangeInclusive;

use super::TextReplacement;
use super::digits::{DigitGroup, begins_word, digit_groups, ends_word, next_number};

/// Digits of the shortest detected number.
pub(super) const DIGITS_MIN: usize = 8;

/// Digits after a `+` according to E.164, including a national zero in parentheses.
const INTERNATIONAL_DIGITS: RangeInclusive<usize> = DIGITS_MIN..=16;

/// Digits of a national number, including its zero.
const NATIONAL_DIGITS: RangeInclusive<usize> = 9..=12;

const SEPARATORS: [char; 6] = [' ', '-', '.', '/', '(', ')'];

/// The first number of a text.
pub(super) fn next_phone(text: &str) -> Option<TextReplacement> {
    let mut at = 0;
    while let Some(digit) = next_number(text, at) {
        if let Some((start, end)) = match_phone(text, digit) {
            return Some((start..end, "[phone]".into()));
        }
        at = digit + 1;
    }
    None
}

/// The start and end of the number whose first digit is at this position.
fn match_phone(text: &str, digit: usize) -> Option<(usize, usize)> {
    let before = &text[..digit];
    let opened = before.strip_suffix('(').unwrap_or(before);
    let plus = opened.trim_end_matches(' ');
    if let Some(front) = plus.strip_suffix('+').filter(|_| opened.len() - plus.len() <= 1) {
        let start = front.len();
        let may_start = begins_word(text, start) && !front.ends_with('+');
        let end = match_international(text, digit).filter(|_| may_start)?;
        return Some((start, end));
    }
    // The number continues to the left.
    let rest = opened.strip_suffix(['-', '.', '/']).unwrap_or(opened);
    if rest.len() < opened.len() && rest.ends_with(|character: char| character.is_ascii_digit()) {
        return None;
    }
    let end = match_trunk(text, digit).or_else(|| match_north_american(text, digit))?;
    // A parenthesis is part of the number if it is closed in it.
    let is_closed = text[digit..end].contains(')');
    let start = if opened.len() < before.len() && is_closed { digit - 1 } else { digit };
    Some((start, end))
}

/// The end of the longest number after a `+`.
fn match_international(text: &str, digit: usize) -> Option<usize> {
    if text[digit..].starts_with('0') {
        return None;
    }
    let (mut digits, mut end) = (0, None);
    for group in digit_groups(text, digit, &SEPARATORS) {
        digits += group.digits.len();
        if INTERNATIONAL_DIGITS.contains(&digits) && ends_word(text, group.end) {
            end = Some(group.end);
        }
        if digits > *INTERNATIONAL_DIGITS.end() {
            break;
        }
    }
    end
}

/// The end of a number with a leading zero (national) or two of them (international). After the
/// first group, all separators must be equal.
fn match_trunk(text: &str, digit: usize) -> Option<usize> {
    let rest = text[digit..].strip_prefix('0')?;
    let is_international = rest.starts_with('0');
    let permitted = if is_international { DIGITS_MIN + 2..=17 } else { NATIONAL_DIGITS };
    let (mut digits, mut end, mut separator) = (0, None, None);
    for (index, group) in digit_groups(text, digit, &SEPARATORS).enumerate() {
        digits += group.digits.len();
        let is_same = index < 2 || *separator.get_or_insert(group.separator) == group.separator;
        let is_long = group.digits.len() >= 2;
        if !is_same || !is_long || digits > *permitted.end() {
            break;
        }
        if index > 0 && permitted.contains(&digits) && ends_number(text, group.end) {
            end = Some(group.end);
        }
    }
    end
}

/// The end of a number such as `(212) 555-0123`, optionally with a 1 before it.
fn match_north_american(text: &str, digit: usize) -> Option<usize> {
    let mut found = digit_groups(text, digit, &SEPARATORS).peekable();
    found.next_if(|group| group.digits == "1");
    let [area, exchange, line] = [found.next()?, found.next()?, found.next()?];
    let begins_well =
        |group: DigitGroup<'_>| group.digits.starts_with(|digit| ('2'..='9').contains(&digit));
    let lengths = [area, exchange, line].map(|group| group.digits.len());
    let is_one = lengths == [3, 3, 4]
        && begins_well(area)
        && begins_well(exchange)
        && ends_number(text, line.end);
    is_one.then_some(line.end)
}

/// Whether no digits follow, neither directly nor after a separator other than a space.
fn ends_number(text: &str, end: usize) -> bool {
    let rest = text[end..].strip_prefix(['-', '.', '/']).unwrap_or(&text[end..]);
    let goes_on = rest.starts_with(|character: char| character.is_ascii_digit());
    ends_word(text, end) && !goes_on
}

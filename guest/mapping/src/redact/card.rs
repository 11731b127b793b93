//! Detects numbers of payment cards.

use std::ops::RangeInclusive;

use super::TextReplacement;
use super::digits::{digit_groups, ends_word, next_number};

/// Digits of a card's number, according to ISO/IEC 7812.
pub(super) const DIGITS: RangeInclusive<usize> = 13..=19;

/// The first digits of payment card numbers. Times in milliseconds, which have 13 digits, start
/// with another digit.
const FIRST_DIGITS: RangeInclusive<u8> = b'2'..=b'6';

/// Digits between two separators.
const GROUP_DIGITS: RangeInclusive<usize> = 3..=7;

/// The first number of a text.
pub(super) fn next_card(text: &str) -> Option<TextReplacement> {
    let mut at = 0;
    while let Some(start) = next_number(text, at) {
        if let Some(end) = card_end(text, start) {
            return Some((start..end, "[card]".into()));
        }
        at = start + 1;
    }
    None
}

/// The end of the longest number that starts here. It is one group, or several groups with the same
/// separator, a space or hyphen.
fn card_end(text: &str, start: usize) -> Option<usize> {
    if !FIRST_DIGITS.contains(&text.as_bytes()[start]) {
        return None;
    }
    let (mut number, mut separator, mut end) = (String::new(), "", None);
    for group in digit_groups(text, start, &[' ', '-']) {
        let is_first = number.is_empty();
        if group.separator.len() > 1 || (!separator.is_empty() && group.separator != separator) {
            break;
        }
        separator = group.separator;
        number.push_str(group.digits);
        let is_whole = is_first || GROUP_DIGITS.contains(&group.digits.len());
        if number.len() > *DIGITS.end() || !is_whole {
            break;
        }
        if DIGITS.contains(&number.len()) && is_valid(&number) && ends_word(text, group.end) {
            end = Some(group.end);
        }
        if is_first && !GROUP_DIGITS.contains(&group.digits.len()) {
            break;
        }
    }
    end
}

/// Luhn's check: every second digit from the end counts twice. A number of one repeated digit is
/// never issued.
fn is_valid(number: &str) -> bool {
    let digits = number.bytes().rev().map(|digit| u32::from(digit - b'0'));
    let counted = digits.enumerate().map(|(index, digit)| match index % 2 {
        0 => digit,
        _ => digit * 2 / 10 + digit * 2 % 10,
    });
    let first = &number[..1];
    counted.sum::<u32>() % 10 == 0 && !number.trim_start_matches(first).is_empty()
}

//! Numbers with the exact value of their text.
//!
//! Events contain 64-bit identifiers and sums with many digits, which binary floats would round. So
//! numbers are compared as decimals: sign, position of the point, digits. `1`, `1.0` and `10e-1`
//! are equal.

use std::borrow::Cow;
use std::cmp::Ordering;

/// The maximum exponent. Larger ones are replaced by it. No text in memory has that many digits.
const EXPONENT_MAX: i64 = 1_000_000_000_000_000;

/// The range of digits before the point, and of zeros after it, for text without an exponent. It is
/// the same as in JavaScript.
const PLAIN: std::ops::RangeInclusive<i64> = -5..=21;

/// A number: 0.DIGITS times ten to the power of the magnitude.
#[derive(Debug, Clone)]
pub(super) struct Decimal<'a> {
    is_negative: bool,
    /// The digits from the first to the last nonzero one, possibly with the point among them. Empty
    /// for zero.
    digits: Cow<'a, str>,
    magnitude: i64,
}

impl<'a> Decimal<'a> {
    /// Parses a text such as `-12.50e3`.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(place) => (&unsigned[..place], parse_exponent(&unsigned[place + 1..])?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) if is_digits(fraction) => (whole, fraction),
            Some(_) => return None,
            None => (mantissa, ""),
        };
        if !is_digits(whole) {
            return None;
        }
        let digits = mantissa.trim_start_matches(['0', '.']).trim_end_matches(['0', '.']);
        if digits.is_empty() {
            return Some(Decimal { is_negative: false, digits: "".into(), magnitude: 0 });
        }
        let significant = whole.trim_start_matches('0');
        let place = match significant.len() {
            0 => -digit_count(fraction.len() - fraction.trim_start_matches('0').len()),
            length => digit_count(length),
        };
        let is_negative = text.starts_with('-');
        Some(Decimal { is_negative, digits: digits.into(), magnitude: place + exponent })
    }

    /// An integer count as a number.
    pub(super) fn of_count(count: usize) -> Decimal<'static> {
        let text = count.to_string();
        let magnitude = if count == 0 { 0 } else { digit_count(text.len()) };
        let digits = text.trim_end_matches('0').to_owned();
        Decimal { is_negative: false, digits: digits.into(), magnitude }
    }

    /// The same number without borrowed data.
    pub(super) fn into_owned(self) -> Decimal<'static> {
        let digits = Cow::Owned(self.only_digits().map(char::from).collect());
        Decimal { digits, ..self }
    }

    /// The same number, with a shorter lifetime.
    pub(super) fn borrowed(&self) -> Decimal<'_> {
        Decimal { digits: Cow::Borrowed(&self.digits), ..*self }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Whether the text has no exponent.
    pub(super) fn is_plain(&self) -> bool {
        self.is_zero() || PLAIN.contains(&self.magnitude)
    }

    /// The canonical text: without an exponent if that is short, otherwise with one digit before
    /// the point and an exponent.
    pub(super) fn to_text(&self) -> String {
        if self.is_plain() {
            return self.to_plain_text();
        }
        let digits: String = self.only_digits().map(char::from).collect();
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        format!("{}{first}{point}{rest}e{:+}", self.sign(), self.magnitude - 1)
    }

    /// The text without an exponent, even if it is long.
    pub(super) fn to_plain_text(&self) -> String {
        let digits: String = self.only_digits().map(char::from).collect();
        let sign = self.sign();
        let Ok(whole_digits) = usize::try_from(self.magnitude) else {
            let zeros = "0".repeat(usize::try_from(-self.magnitude).unwrap_or_default());
            return format!("{sign}0.{zeros}{digits}");
        };
        if whole_digits >= digits.len() {
            let zeros = whole_digits - digits.len() + usize::from(whole_digits == 0);
            return format!("{sign}{digits}{}", "0".repeat(zeros));
        }
        let (whole, fraction) = digits.split_at(whole_digits);
        format!("{sign}{}.{fraction}", if whole.is_empty() { "0" } else { whole })
    }

    fn sign(&self) -> &'static str {
        if self.is_negative { "-" } else { "" }
    }

    fn only_digits(&self) -> impl Iterator<Item = u8> {
        self.digits.bytes().filter(|&byte| byte != b'.')
    }

    /// Compares the absolute values.
    fn cmp_size(&self, other: &Decimal<'_>) -> Ordering {
        let both = (self.is_zero(), other.is_zero());
        match both {
            (false, false) => {}
            (self_is_zero, other_is_zero) => return other_is_zero.cmp(&self_is_zero),
        }
        let by_magnitude = self.magnitude.cmp(&other.magnitude);
        by_magnitude.then_with(|| self.only_digits().cmp(other.only_digits()))
    }
}

impl Ord for Decimal<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (false, false) => self.cmp_size(other),
            (true, true) => other.cmp_size(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Decimal<'_> {}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn digit_count(digits: usize) -> i64 {
    i64::try_from(digits).unwrap_or(EXPONENT_MAX)
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !is_digits(digits) {
        return None;
    }
    let size = digits.parse().unwrap_or(EXPONENT_MAX).min(EXPONENT_MAX);
    Some(if text.starts_with('-') { -size } else { size })
}

#[cfg(test)]
mod tests;

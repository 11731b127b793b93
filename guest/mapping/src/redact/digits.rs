//! Finds numbers with many digits and separators.

/// Whether a word can start here: no letter or digit precedes it.
pub(super) fn begins_word(text: &str, at: usize) -> bool {
    !text[..at].ends_with(char::is_alphanumeric)
}

/// Whether a word can end here.
pub(super) fn ends_word(text: &str, at: usize) -> bool {
    !text[at..].starts_with(char::is_alphanumeric)
}

/// A group of consecutive digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DigitGroup<'a> {
    /// The text between the previous group and this one. Empty for the first group.
    pub(super) separator: &'a str,
    pub(super) digits: &'a str,
    /// The end of the group in the text.
    pub(super) end: usize,
}

/// The groups of digits from this position on, with separators of these characters, at most three
/// in a row.
pub(super) fn digit_groups<'a>(
    text: &'a str,
    start: usize,
    separators: &[char],
) -> impl Iterator<Item = DigitGroup<'a>> {
    const SEPARATOR_BYTES_MAX: usize = 3;
    let mut at = start;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let separator = &rest[..rest.len() - rest.trim_start_matches(separators).len()];
        let rest = &rest[separator.len()..];
        let digits =
            rest.len() - rest.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
        let is_first = at == start;
        if digits == 0 || is_first != separator.is_empty() || separator.len() > SEPARATOR_BYTES_MAX
        {
            return None;
        }
        at += separator.len() + digits;
        Some(DigitGroup { separator, digits: &rest[..digits], end: at })
    })
}

/// The next position at which a number starts: a digit without a letter or digit before it.
pub(super) fn next_number(text: &str, from: usize) -> Option<usize> {
    let digits = text[from..].match_indices(|character: char| character.is_ascii_digit());
    digits.map(|(place, _)| from + place).find(|&place| begins_word(text, place))
}

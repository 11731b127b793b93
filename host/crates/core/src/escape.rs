//! Converts external text to a form that is safe on one line for people.
//!
//! Messages of servers, names in events, file names and lines of plugins become part of logs,
//! errors, summaries and tables. Characters that could start a new line, control a terminal or
//! change the text direction are escaped, so that external text can neither forge nor hide a line.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Whether a character is escaped: control characters (C0, DEL and C1, so also line breaks, ESC and
/// CSI), the line and paragraph separators, and characters that override or isolate the text
/// direction.
pub fn is_unsafe(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line. It is only copied if a character must be escaped.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    let _ = OneLineWriter(&mut escaped).write_str(text);
    Cow::Owned(escaped)
}

/// Escapes text of several lines, whose line breaks stay.
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    if !text.contains(|character| character != '\n' && is_unsafe(character)) {
        return Cow::Borrowed(text);
    }
    let lines: Vec<_> = text.split('\n').map(one_line).collect();
    Cow::Owned(lines.join("\n"))
}

/// Displays any value on one line.
#[derive(Debug, Clone, Copy)]
pub struct OneLine<T>(pub T);

impl<T: fmt::Display> fmt::Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(OneLineWriter(f), "{}", self.0)
    }
}

/// Writes text with escapes.
#[derive(Debug)]
pub struct OneLineWriter<'a, W: fmt::Write>(pub &'a mut W);

impl<W: fmt::Write> fmt::Write for OneLineWriter<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(place) = rest.find(is_unsafe) {
            let (before, from) = rest.split_at(place);
            self.0.write_str(before)?;
            let character = from.chars().next().expect("it was found there");
            match character.is_control() {
                true => write!(self.0, "{}", character.escape_default())?,
                false => write!(self.0, "{}", character.escape_unicode())?,
            }
            rest = &from[character.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// A line of JSON in which unsafe characters outside of ASCII are escaped too. JSON only requires
/// that below U+0020. Outside of strings, JSON contains only ASCII, so the meaning of the line does
/// not change.
pub fn json_line(line: &str) -> Cow<'_, str> {
    let is_left_by_json = |character: char| !character.is_ascii() && is_unsafe(character);
    // DEL is ASCII, and JSON does not escape it.
    let is_escaped = |character: char| character == '\u{7f}' || is_left_by_json(character);
    if !line.contains(is_escaped) {
        return Cow::Borrowed(line);
    }
    let mut escaped = String::with_capacity(line.len() + 16);
    for character in line.chars() {
        match is_escaped(character) {
            true => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(character));
            }
            false => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_steers_a_terminal_or_forges_a_line_is_escaped() {
        for (text, expected) in [
            ("plain, ünïcode 日本 🦀 \\n", "plain, ünïcode 日本 🦀 \\n"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[2J\u{9b}31m\u{7f}\0", "\\u{1b}[2J\\u{9b}31m\\u{7f}\\u{0}"),
            ("\u{85}\u{2028}\u{2029}", "\\u{85}\\u{2028}\\u{2029}"),
            ("\u{202a}\u{202e}\u{2066}\u{2069}", "\\u{202a}\\u{202e}\\u{2066}\\u{2069}"),
        ] {
            assert_eq!(one_line(text), expected);
            assert_eq!(OneLine(text).to_string(), expected);
        }
        assert!(matches!(one_line("plain"), Cow::Borrowed("plain")));
        assert_eq!(escape_lines("a\nb\u{1b}\n\n"), "a\nb\\u{1b}\n\n");
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_harmless_line(text in any::<String>()) {
            let line = one_line(&text);
            prop_assert!(!line.contains(is_unsafe), "{:?}", line);
            prop_assert_eq!(line.lines().count(), usize::from(!line.is_empty()));
            prop_assert_eq!(one_line(&line), line.clone(), "escaping twice changes nothing");
        }

        #[test]
        fn json_means_what_it_meant(text in any::<String>()) {
            let value = serde_json::Value::String(text);
            let line = value.to_string();
            let escaped = json_line(&line);
            prop_assert!(!escaped.contains(is_unsafe), "{:?}", escaped);
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
        }
    }
}

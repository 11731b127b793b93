//! Access to JSON values in the text of an event, without copying.
//!
//! Values are parsed only on request, and only strings with escapes are copied. The host has
//! validated the text, so nothing is validated here: the values of a text that is not JSON are
//! meaningless.

use std::borrow::Cow;

use crate::scan::{self, MemberKey, PartScanner};

/// A JSON value within its text.
#[derive(Clone, Copy, Debug)]
pub struct JsonValue<'a> {
    raw: &'a str,
}

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonKind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// A member of an object.
#[derive(Clone, Copy, Debug)]
pub struct JsonMember<'a> {
    /// The key as written, between its quotes.
    pub key: &'a str,
    pub value: JsonValue<'a>,
    has_escapes: bool,
}

impl<'a> JsonMember<'a> {
    /// The key with its escapes decoded.
    pub fn name(&self) -> Cow<'a, str> {
        if self.has_escapes {
            Cow::Owned(unescape_string(self.key))
        } else {
            Cow::Borrowed(self.key)
        }
    }

    /// Whether the decoded key equals this name.
    pub fn is_named(&self, name: &str) -> bool {
        if self.has_escapes { unescape_string(self.key) == name } else { self.key == name }
    }
}

impl<'a> JsonValue<'a> {
    /// The value of a whole text, with or without whitespace around it.
    pub fn of_text(text: &'a str) -> Self {
        // Most texts have no whitespace around the value.
        let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\n' | b'\r' | b'\t'));
        let bytes = text.as_bytes();
        let has_blanks = is_blank(bytes.first()) || is_blank(bytes.last());
        let raw = if has_blanks { text.trim_matches([' ', '\n', '\r', '\t']) } else { text };
        JsonValue { raw }
    }

    /// The value's text, without whitespace around it.
    pub fn raw_text(self) -> &'a str {
        self.raw
    }

    /// The kind of the value.
    pub fn kind(self) -> JsonKind {
        match self.raw.as_bytes().first() {
            Some(b'{') => JsonKind::Object,
            Some(b'[') => JsonKind::Array,
            Some(b'"') => JsonKind::String,
            Some(b't' | b'f') => JsonKind::Bool,
            None | Some(b'n') => JsonKind::Null,
            Some(_) => JsonKind::Number,
        }
    }

    /// A string with its escapes decoded. A lone surrogate becomes U+FFFD. `None` for other values.
    pub fn as_string(self) -> Option<Cow<'a, str>> {
        let inside = self.inside_quotes()?;
        Some(if inside.contains('\\') {
            Cow::Owned(unescape_string(inside))
        } else {
            Cow::Borrowed(inside)
        })
    }

    /// A string as written, between its quotes. `None` for other values.
    pub fn inside_quotes(self) -> Option<&'a str> {
        let inside = self.raw.strip_prefix('"')?;
        Some(inside.strip_suffix('"').unwrap_or(inside))
    }

    /// The member of this name. If an object has several, the last one is used.
    pub fn get(self, key: &str) -> Option<JsonValue<'a>> {
        self.members().filter(|member| member.is_named(key)).last().map(|member| member.value)
    }

    /// The members of an object. Other values have none.
    pub fn members(self) -> impl Iterator<Item = JsonMember<'a>> {
        let mut parts = self.parts_of(JsonKind::Object);
        std::iter::from_fn(move || {
            let parts = parts.as_mut()?;
            let MemberKey { name: key, has_escapes, value, .. } = parts.next_key()?;
            let value = self.part_at(value)?;
            parts.finish_part(self.end_of(value));
            Some(JsonMember { key, value, has_escapes })
        })
    }

    /// The elements of an array. Other values have none.
    pub fn elements(self) -> impl Iterator<Item = JsonValue<'a>> {
        let mut parts = self.parts_of(JsonKind::Array);
        std::iter::from_fn(move || {
            let parts = parts.as_mut()?;
            let value = self.part_at(parts.next_element()?)?;
            parts.finish_part(self.end_of(value));
            Some(value)
        })
    }

    fn parts_of(self, of: JsonKind) -> Option<PartScanner<'a>> {
        (self.kind() == of).then(|| PartScanner::new(self.raw, 0))
    }

    /// Returns the value that starts at this position, or `None` if the text is not JSON.
    pub(crate) fn part_at(self, start: usize) -> Option<JsonValue<'a>> {
        let end = scan::after_value(self.raw.as_bytes(), start);
        let raw = self.raw.get(start..end).filter(|raw| !raw.is_empty());
        raw.map(|raw| JsonValue { raw })
    }

    /// The start of one of this value's parts.
    pub(crate) fn start_of(self, part: JsonValue<'_>) -> usize {
        part.raw.as_ptr().addr() - self.raw.as_ptr().addr()
    }

    fn end_of(self, part: JsonValue<'_>) -> usize {
        self.start_of(part) + part.raw.len()
    }
}

/// Decodes the escapes of the text between two quotes.
pub(crate) fn unescape_string(inside: &str) -> String {
    let mut text = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(place) = rest.find('\\') {
        text.push_str(&rest[..place]);
        rest = &rest[place + 1..];
        let Some(letter) = rest.chars().next() else { break };
        rest = &rest[letter.len_utf8()..];
        match letter {
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            't' => text.push('\t'),
            'u' => text.push(read_escape(&mut rest)),
            itself => text.push(itself),
        }
    }
    text.push_str(rest);
    text
}

/// Writes a string in quotes, with the necessary escapes.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    let needs_escape = |byte: u8| byte < b' ' || matches!(byte, b'"' | b'\\');
    while let Some(place) = rest.bytes().position(needs_escape) {
        out.push_str(&rest[..place]);
        match rest.as_bytes()[place] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => {
                out.push_str("\\u00");
                out.push(if control < 0x10 { '0' } else { '1' });
                out.push(char::from(HEX[usize::from(control & 0xf)]));
            }
        }
        rest = &rest[place + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// The digits of hexadecimal numbers.
pub(crate) const HEX: &[u8; 16] = b"0123456789abcdef";

/// Decodes the character of a `\u` escape. The text starts after `\u`.
fn read_escape(rest: &mut &str) -> char {
    let Some(unit) = take_unit(rest) else { return char::REPLACEMENT_CHARACTER };
    if let 0xd800..=0xdbff = unit
        && let Some(mut behind) = rest.strip_prefix("\\u")
        && let Some(low @ 0xdc00..=0xdfff) = take_unit(&mut behind)
    {
        *rest = behind;
        let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        return char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn take_unit(rest: &mut &str) -> Option<u32> {
    let (digits, behind) = rest.split_at_checked(4)?;
    let unit = u32::from_str_radix(digits, 16).ok()?;
    *rest = behind;
    Some(unit)
}

#[cfg(test)]
mod tests;

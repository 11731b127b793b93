//! Finds the envelope (message type and name) of an event, and validates the whole text, in one
//! pass. Errors contain nothing of the text. The submodules contain the parts of the scanner.
//! `agreement` compares it with serde_json.

#[cfg(test)]
mod agreement;
mod block;
mod keys;
mod nesting;
mod outline;
mod token;
mod walk;

use std::borrow::Cow;

use serde::de::IgnoredAny;
use thiserror::Error;

use keys::EnvelopeKeys;
use walk::walk;

pub use outline::{Items, Member, Outline, OutlineError, Span};

/// The parts of an event that routing needs, borrowed from its text if possible.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope<'a> {
    /// The string `type`. `None` if it is missing, empty or not a string.
    pub message_type: Option<Cow<'a, str>>,
    /// The string `event`. `None` if it is missing, empty or not a string.
    pub name: Option<Cow<'a, str>>,
}

/// Why a line is not an event. Messages contain nothing of the line.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// Some bytes are not UTF-8.
    #[error("not UTF-8 from byte {at}")]
    NotUtf8 {
        /// The position of the first invalid byte, counted from 0.
        at: usize,
    },
    /// The line contains a zero byte, which JSON forbids.
    #[error("a zero byte at byte {at}")]
    ZeroByte {
        /// The position of the byte, counted from 0.
        at: usize,
    },
    /// The line is not JSON.
    #[error("not JSON from byte {at}")]
    NotJson {
        /// The position at which parsing stopped, counted from 0.
        at: usize,
    },
    /// The line is JSON, but not an object.
    #[error("JSON, but not an object")]
    NotAnObject,
    /// Objects and arrays are nested too deeply.
    #[error("objects and arrays are nested deeper than {levels_max} levels")]
    TooDeep {
        /// The permitted depth.
        levels_max: usize,
    },
}

/// Finds the envelope of an event, and validates that its text is one JSON object.
///
/// The whole text is validated because a delivered record must be JSON, even if routing needs only
/// a part. With SIMD, this costs less than a search that stops early would save. At most
/// `levels_max` objects and arrays may be nested. If a key is duplicated, the last one is used.
///
/// # Errors
///
/// Fails if the text is not an event.
pub fn scan(text: &[u8], levels_max: usize) -> Result<(&str, Envelope<'_>), Malformed> {
    let Ok(text) = simdutf8::basic::from_utf8(text) else {
        return Err(explain_malformed(text, levels_max, 0));
    };
    match walk(text, levels_max, EnvelopeKeys::default()) {
        Ok(found) if token::after_whitespace(text.as_bytes()).starts_with(b"{") => {
            let value = |at: Option<usize>| string(&text[at?..]).filter(|text| !text.is_empty());
            let (message_type, name) = (value(found.message_type), value(found.name));
            Ok((text, Envelope { message_type, name }))
        }
        Ok(_) => Err(Malformed::NotAnObject),
        Err(at) => Err(explain_malformed(text.as_bytes(), levels_max, at)),
    }
}

/// Parses the string at the start of a text, if there is one. The text must be part of a validated
/// text. Lone surrogates become U+FFFD.
pub fn string(text: &str) -> Option<Cow<'_, str>> {
    let text = text.strip_prefix('"')?;
    let bytes = text.as_bytes();
    let mut end = memchr::memchr2(b'"', b'\\', bytes)?;
    if bytes[end] == b'"' {
        return Some(Cow::Borrowed(&text[..end]));
    }
    while bytes[end] != b'"' {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    Some(Cow::Owned(token::unescape_string(&text[..end])))
}

/// Determines why a text is not an event. Depth, encoding and zero bytes have priority over other
/// errors, because they are more helpful than a position.
#[cold]
fn explain_malformed(text: &[u8], levels_max: usize, at: usize) -> Malformed {
    if nests_deeper(text, levels_max) {
        return Malformed::TooDeep { levels_max };
    }
    if let Err(error) = std::str::from_utf8(text) {
        return Malformed::NotUtf8 { at: error.valid_up_to() };
    }
    if let Some(at) = memchr::memchr(0, text) {
        return Malformed::ZeroByte { at };
    }
    // The scanner only accepts objects and arrays.
    if serde_json::from_slice::<IgnoredAny>(text).is_ok() {
        return Malformed::NotAnObject;
    }
    Malformed::NotJson { at }
}

/// Whether objects and arrays are nested deeper than this, in a text that may be invalid JSON.
fn nests_deeper(text: &[u8], levels_max: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > levels_max {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(text: &str) -> (Option<String>, Option<String>) {
        let (_, envelope) = scan(text.as_bytes(), 1024).expect(text);
        (envelope.message_type.map(Cow::into_owned), envelope.name.map(Cow::into_owned))
    }

    fn some(message_type: &str, name: &str) -> (Option<String>, Option<String>) {
        (Some(message_type.to_owned()), Some(name.to_owned()))
    }

    #[test]
    fn finds_both_fields_wherever_they_stand() {
        assert_eq!(envelope(r#"{"type":"track","event":"A"}"#), some("track", "A"));
        assert_eq!(
            envelope(r#" { "p":{"type":"no","event":[{}]} , "event" : "Ä ☃" ,"type":"t"} "#),
            some("t", "Ä ☃")
        );
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        assert_eq!(envelope(r#"{"type":"a","event":"x","type":"b","event":"y"}"#), some("b", "y"));
        assert_eq!(envelope(r#"{"type":"a","event":"x","event":7}"#), (Some("a".into()), None));
    }

    #[test]
    fn escapes_in_keys_and_values_are_read() {
        assert_eq!(
            envelope(r#"{"\u0074ype":"tr\u0061ck","eve\u006et":"a\"b\n\ud83d\ude00"}"#),
            some("track", "a\"b\n😀")
        );
    }

    #[test]
    fn lone_surrogates_are_json() {
        assert_eq!(envelope(r#"{"type":"a\ud800","event":"b"}"#), some("a\u{fffd}", "b"));
        assert_eq!(envelope(r#"{"\udc00":1,"type":"a","event":"b"}"#), some("a", "b"));
        assert_eq!(envelope(r#"{"type":"a","event":"b","x":"\ud800"}"#), some("a", "b"));
    }

    #[test]
    fn what_is_no_string_or_empty_is_none() {
        for value in ["1", "null", "true", "[]", r#"{"a":1}"#, "\"\"", "1e999", "-0.0e-5"] {
            assert_eq!(envelope(&format!(r#"{{"type":{value},"event":{value}}}"#)), (None, None));
        }
        assert_eq!(envelope("{}"), (None, None));
        assert_eq!(envelope(r#"{"a":"\\uZ\\\\u\u00aF"}"#), (None, None));
    }

    #[test]
    fn what_is_no_event_is_told_apart() {
        let refused = |text: &[u8]| scan(text, 1024).expect_err("no event");
        for text in ["[]", "1", "\"a\"", "null", " [1,{}] "] {
            assert_eq!(refused(text.as_bytes()), Malformed::NotAnObject, "{text}");
        }
        for text in [
            "{",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":01}",
            "{\"a\":tru}",
            "{\"a\":1}x",
            "x",
            "{\"a\":1}{\"b\":2}",
            "{\"a\":\"\t\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":[1 2]}",
            r#"{"a":"\u00g0"}"#,
            r#"{"a":["\\\u12"]}"#,
            r#"{"type":"\uZZZZ"}"#,
            r#"{"\u-123":1}"#,
            r#"["\u123"]"#,
            "{\"a\":NaN}",
            "{\"a\":+1}",
            "{\"a\":1.}",
            "{\"a\":'b'}",
            "{\"a\" 1}",
            "{\"a\":{]}",
            "",
            "\u{feff}{}",
        ] {
            assert!(matches!(refused(text.as_bytes()), Malformed::NotJson { .. }), "{text}");
        }
        assert_eq!(refused(b"{\"a\":\"b\xff\"}"), Malformed::NotUtf8 { at: 7 });
        assert_eq!(refused(b"{\"a\":\"\0\"}"), Malformed::ZeroByte { at: 6 });
    }

    #[test]
    fn nesting_has_a_limit_and_brackets_in_strings_do_not_count() {
        let nested = |levels: usize| {
            let inner = levels - 1;
            format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner))
        };
        assert!(scan(nested(1024).as_bytes(), 1024).is_ok());
        let too_deep = Malformed::TooDeep { levels_max: 1024 };
        for levels in [1025, 10_000, 4_000_000] {
            assert_eq!(scan(nested(levels).as_bytes(), 1024).unwrap_err(), too_deep);
        }
        let text = format!("{{\"a\":\"{}\\\"{}\"}}", "[".repeat(5000), "{".repeat(5000));
        assert!(scan(text.as_bytes(), 1024).is_ok());
    }
}

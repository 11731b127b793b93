use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use sonic_rs::LazyValue;
use thiserror::Error;

/// What routing needs of an event, borrowed from its text where possible.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope<'a> {
    /// The string under `type`; none where it is missing, empty or no string.
    pub message_type: Option<Cow<'a, str>>,
    /// The string under `event`, likewise.
    pub name: Option<Cow<'a, str>>,
}

/// Why a line is no event. None of these shows any of the line.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// Some bytes are not UTF-8.
    #[error("not UTF-8 from byte {at}")]
    NotUtf8 {
        /// The first bad byte, counted from 0.
        at: usize,
    },
    /// A zero byte, which JSON forbids, stands in it.
    #[error("a zero byte at byte {at}")]
    ZeroByte {
        /// Where it stands, counted from 0.
        at: usize,
    },
    /// It is not JSON.
    #[error("not JSON from byte {at}")]
    NotJson {
        /// Where reading stopped, counted from 0.
        at: usize,
    },
    /// It is JSON, but no object.
    #[error("JSON, but no object")]
    NotAnObject,
    /// Objects and arrays are nested too deeply.
    #[error("objects and arrays are nested deeper than {levels_max} levels")]
    TooDeep {
        /// The permitted depth.
        levels_max: usize,
    },
}

/// Find the envelope of an event, and check that its text is one JSON object.
///
/// The whole text is checked, since what is delivered must be JSON whatever
/// routing needs; SIMD makes that cheaper than a search that stops early would
/// be worth. Where a key stands twice, the last one counts.
///
/// # Errors
///
/// The text is no event.
pub fn scan(text: &[u8], levels_max: usize) -> Result<(&str, Envelope<'_>), Malformed> {
    if nests_deeper(text, levels_max) {
        return Err(Malformed::TooDeep { levels_max });
    }
    // The scanner checks UTF-8 as well, yet does not hand the text out as
    // `str`; checking it first, with the same SIMD code, is what makes both of
    // them agree without `unsafe`.
    let Ok(text) = simdutf8::basic::from_utf8(text) else {
        let at = std::str::from_utf8(text).map_or_else(|error| error.valid_up_to(), str::len);
        return Err(Malformed::NotUtf8 { at });
    };
    let envelope = match sonic_rs::from_str::<Fields<'_>>(text) {
        Ok(fields) => fields.envelope(),
        Err(error) => rescan(text, error.offset())?,
    };
    match bad_escape(text.as_bytes()) {
        Some(at) => Err(Malformed::NotJson { at }),
        None => Ok((text, envelope)),
    }
}

/// The values of the two keys, as they stand in the text.
#[derive(Default)]
struct Fields<'a> {
    message_type: Option<LazyValue<'a>>,
    name: Option<LazyValue<'a>>,
}

impl<'a> Fields<'a> {
    fn envelope(&self) -> Envelope<'a> {
        Envelope {
            message_type: self.message_type.as_ref().and_then(non_empty_string),
            name: self.name.as_ref().and_then(non_empty_string),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Fields::default();
                while let Some(key) = map.next_key::<Key>()? {
                    match key {
                        Key::Type => fields.message_type = Some(map.next_value()?),
                        Key::Event => fields.name = Some(map.next_value()?),
                        Key::Other => map.next_value::<IgnoredAny>().map(drop)?,
                    }
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

enum Key {
    Type,
    Event,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                Ok(match key {
                    "type" => Key::Type,
                    "event" => Key::Event,
                    _ => Key::Other,
                })
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

fn non_empty_string<'a>(value: &LazyValue<'a>) -> Option<Cow<'a, str>> {
    let string = match value.as_raw_cow() {
        Cow::Borrowed(raw) => {
            let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
            match memchr::memchr(b'\\', inner.as_bytes()) {
                None => Cow::Borrowed(inner),
                Some(_) => Cow::Owned(unescape(raw)),
            }
        }
        Cow::Owned(raw) if raw.starts_with('"') => Cow::Owned(unescape(&raw)),
        Cow::Owned(_) => return None,
    };
    (!string.is_empty()).then_some(string)
}

/// The string that a JSON string literal stands for. Escapes of lone surrogates
/// are JSON, but no Unicode: each becomes U+FFFD.
fn unescape(literal: &str) -> String {
    let mut deserializer = sonic_rs::Deserializer::from_str(literal).utf8_lossy();
    String::deserialize(&mut deserializer).unwrap_or_default()
}

/// The slow second look at a text that the scan refused: either it is an event
/// after all (a key with an escaped lone surrogate), or say why not.
fn rescan(text: &str, at: usize) -> Result<Envelope<'_>, Malformed> {
    let mut deserializer = sonic_rs::Deserializer::from_str(text).utf8_lossy();
    if let Ok(fields) = Fields::deserialize(&mut deserializer)
        && deserializer.end().is_ok()
    {
        return Ok(fields.envelope());
    }
    if let Some(at) = memchr::memchr(0, text.as_bytes()) {
        return Err(Malformed::ZeroByte { at });
    }
    if sonic_rs::from_str::<IgnoredAny>(text).is_ok() && bad_escape(text.as_bytes()).is_none() {
        return Err(Malformed::NotAnObject);
    }
    Err(Malformed::NotJson { at })
}

/// Where the first `\u` stands that four hexadecimal digits do not follow: the
/// scanner does not look at them in strings that it passes over. In a text that
/// is JSON apart from that, backslashes stand in strings alone.
fn bad_escape(text: &[u8]) -> Option<usize> {
    let mut start = 0;
    loop {
        let at = start + memchr::memchr(b'\\', text.get(start..)?)?;
        let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
        if text.get(at + 1) == Some(&b'u') && !text.get(at + 2..at + 6).is_some_and(is_hex) {
            return Some(at);
        }
        start = at + 2;
    }
}

/// Whether objects and arrays are nested deeper than this.
///
/// A text with fewer opening brackets than levels cannot be, which spares
/// nearly every event the walk.
fn nests_deeper(text: &[u8], levels_max: usize) -> bool {
    if text.len() <= levels_max || memchr::memchr2_iter(b'[', b'{', text).count() <= levels_max {
        return false;
    }
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

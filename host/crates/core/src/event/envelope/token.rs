//! The parts of JSON that are parsed byte by byte: numbers, literals, escapes.

/// Whether a text starts with a number or literal that can be a value: it is not a key, and no
/// letters or digits follow it.
#[inline(always)]
pub(super) fn is_scalar(text: &[u8]) -> bool {
    let len = match text {
        [b't', ..] => literal_len(text, b"true"),
        [b'f', ..] => literal_len(text, b"false"),
        [b'n', ..] => literal_len(text, b"null"),
        _ => number_len(text),
    };
    let rest = len.map(|len| after_whitespace(&text[len..]));
    matches!(rest, Some([] | [b',' | b']' | b'}', ..]))
}

fn literal_len(text: &[u8], literal: &[u8]) -> Option<usize> {
    text.starts_with(literal).then_some(literal.len())
}

#[inline(always)]
fn number_len(text: &[u8]) -> Option<usize> {
    let mut len = usize::from(text.first() == Some(&b'-'));
    len += match text.get(len)? {
        b'0' => 1,
        _ => digits_len(&text[len..])?,
    };
    if text.get(len) == Some(&b'.') {
        len += 1;
        len += digits_len(&text[len..])?;
    }
    if let Some(b'e' | b'E') = text.get(len) {
        len += 1;
        len += usize::from(matches!(text.get(len), Some(b'+' | b'-')));
        len += digits_len(&text[len..])?;
    }
    Some(len)
}

/// The number of digits at the start of a text, if there are any.
#[inline(always)]
fn digits_len(text: &[u8]) -> Option<usize> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (len != 0).then_some(len)
}

/// The text without leading whitespace. Rust's own function also skips the form feed, which is not
/// whitespace in JSON.
#[inline(always)]
pub(super) fn after_whitespace(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let [b' ' | b'\t' | b'\n' | b'\r', next @ ..] = rest {
        rest = next;
    }
    rest
}

/// Whether a text starts with characters that may follow the backslash of an escape.
pub(super) fn is_escape(text: &[u8]) -> bool {
    match text {
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => true,
        [b'u', digits @ ..] => {
            digits.first_chunk::<4>().is_some_and(|four| four.iter().all(u8::is_ascii_hexdigit))
        }
        _ => false,
    }
}

/// Decodes a string with valid escapes. Escapes of lone surrogates are valid JSON, but not Unicode:
/// each becomes U+FFFD.
pub(super) fn unescape_string(string: &str) -> String {
    let mut units = Vec::with_capacity(string.len());
    let mut rest = string;
    while let Some((plain, escape)) = rest.split_once('\\') {
        units.extend(plain.encode_utf16());
        let (letter, mut after) = escape.split_at(1);
        units.push(match letter {
            "b" => 0x08,
            "t" => 0x09,
            "n" => 0x0a,
            "f" => 0x0c,
            "r" => 0x0d,
            "u" => {
                let (digits, behind) = after.split_at(4);
                after = behind;
                u16::from_str_radix(digits, 16).unwrap_or(0xfffd)
            }
            itself => u16::from(itself.as_bytes()[0]),
        });
        rest = after;
    }
    units.extend(rest.encode_utf16());
    String::from_utf16_lossy(&units)
}

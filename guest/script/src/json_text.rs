//! Reads the parts of an event's JSON text as values of JavaScript. The host has validated the text.

use mapping::json::JsonValue;
use rquickjs::qjs;

/// A member of an object in a text, by positions.
pub(crate) struct TextMember<'a> {
    /// The position of the key's opening quote.
    pub(crate) key: u32,
    /// The key as written, between its quotes.
    pub(crate) name: &'a str,
    /// Whether the key contains escapes.
    pub(crate) has_escapes: bool,
    /// The position of the value.
    pub(crate) value: u32,
    /// The position after the value.
    pub(crate) end: u32,
}

/// The range of a text without the whitespace around it.
pub(crate) fn trim_range(text: &str) -> (u32, u32) {
    let value = JsonValue::of_text(text);
    range_within(text, value.raw_text())
}

/// The members of the object at this range of a text.
pub(crate) fn members(text: &str, range: (u32, u32)) -> impl Iterator<Item = TextMember<'_>> {
    let object = JsonValue::of_text(&text[range.0 as usize..range.1 as usize]);
    object.members().map(|member| {
        let (value, end) = range_within(text, member.value.raw_text());
        let (name, _) = range_within(text, member.key);
        let has_escapes = member.key.contains('\\');
        TextMember { key: name - 1, name: member.key, has_escapes, value, end }
    })
}

/// The elements of the array at this range of a text.
pub(crate) fn elements(text: &str, range: (u32, u32)) -> impl Iterator<Item = (u32, u32)> {
    let array = JsonValue::of_text(&text[range.0 as usize..range.1 as usize]);
    array.elements().map(|element| range_within(text, element.raw_text()))
}

/// The range of a part of a text.
fn range_within(text: &str, part: &str) -> (u32, u32) {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    let position = |at: usize| u32::try_from(at).expect("events are smaller than 4 GiB");
    (position(start), position(start + part.len()))
}

/// Creates the atom of a member's name.
///
/// # Safety
///
/// The context is alive. The caller owns the atom.
pub(crate) unsafe fn create_atom(
    ctx: *mut qjs::JSContext,
    name: &str,
    has_escapes: bool,
) -> qjs::JSAtom {
    // SAFETY: the name is valid for its length, and the string is released.
    unsafe {
        if !has_escapes {
            return qjs::JS_NewAtomLen(ctx, name.as_ptr().cast(), name.len() as _);
        }
        let string = create_string(ctx, name);
        let atom = qjs::JS_ValueToAtom(ctx, string);
        qjs::JS_FreeValue(ctx, string);
        atom
    }
}

/// Creates the value of a string, number or literal.
///
/// # Safety
///
/// The context is alive. The caller owns the value.
pub(crate) unsafe fn create_scalar(ctx: *mut qjs::JSContext, text: &str) -> qjs::JSValue {
    match text.as_bytes().first() {
        // SAFETY: the caller's condition.
        Some(b'"') => unsafe { create_string(ctx, &text[1..text.len() - 1]) },
        Some(b't') => qjs::JS_TRUE,
        Some(b'f') => qjs::JS_FALSE,
        None | Some(b'n') => qjs::JS_NULL,
        Some(_) => create_number(text),
    }
}

/// The value of a number, which is rounded as JavaScript rounds it.
fn create_number(text: &str) -> qjs::JSValue {
    match text.parse::<i32>() {
        // Minus zero is not an integer in JavaScript.
        Ok(number) if number != 0 || !text.starts_with('-') => {
            qjs::JS_MKVAL(qjs::JS_TAG_INT, number)
        }
        _ => qjs::JS_NewFloat64(text.parse().unwrap_or(f64::NAN)),
    }
}

/// Creates a string from the text between two quotes.
///
/// # Safety
///
/// The context is alive. The caller owns the value.
unsafe fn create_string(ctx: *mut qjs::JSContext, inside: &str) -> qjs::JSValue {
    // SAFETY: the text and the units are valid for their lengths.
    unsafe {
        if !inside.contains('\\') {
            return qjs::JS_NewStringLen(ctx, inside.as_ptr().cast(), inside.len() as _);
        }
        let units = decode_escapes(inside);
        qjs::JS_NewStringUTF16(ctx, units.as_ptr(), units.len() as _)
    }
}

/// Decodes escapes into UTF-16, as JavaScript does: an escaped surrogate stays, even if it is alone.
fn decode_escapes(inside: &str) -> Vec<u16> {
    let mut units = Vec::with_capacity(inside.len());
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        let unit = match character {
            '\\' => match characters.next() {
                Some('b') => 8,
                Some('f') => 12,
                Some('n') => u16::from(b'\n'),
                Some('r') => u16::from(b'\r'),
                Some('t') => u16::from(b'\t'),
                Some('u') => {
                    let digits = characters.as_str().get(..4).unwrap_or_default();
                    characters = characters.as_str().get(4..).unwrap_or_default().chars();
                    u16::from_str_radix(digits, 16).unwrap_or(0xfffd)
                }
                Some(itself) => {
                    units.extend_from_slice(itself.encode_utf16(&mut [0; 2]));
                    continue;
                }
                None => break,
            },
            character => {
                units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
                continue;
            }
        };
        units.push(unit);
    }
    units
}

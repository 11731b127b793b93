//! Changes of single values: strings, numbers, and literals.

mod hash;

use crate::json::{JsonKind, JsonValue, write_string};
use crate::timestamp::{Reading, Writing, Zone, convert_time};

pub(crate) use hash::Hash;

/// A change of a value. Values that the change does not apply to stay unchanged.
#[derive(Debug, Clone)]
pub(crate) enum ValueChange {
    /// Removes whitespace around a string.
    Trim,
    Lowercase,
    Uppercase,
    /// Converts everything except null to a string.
    ToString,
    /// Converts a string that is a number to that number with unchanged digits, and true and false
    /// to 1 and 0.
    ToNumber,
    /// Converts words and numbers for true and false to these literals.
    ToBool,
    /// Writes a time in another format.
    Timestamp(Box<Clock>),
    /// Truncates a string to this number of characters.
    Truncate(usize),
    /// Replaces everything except null by this text.
    Mask(Box<str>),
    /// Replaces everything except null by its digest.
    Hash(Hash),
}

/// How a time is parsed and written.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    pub(crate) reading: Reading,
    pub(crate) writing: Writing,
    pub(crate) zone: Zone,
}

impl Clock {
    /// Converts a value that is a time, and returns it as JSON.
    pub(crate) fn convert(&self, value: JsonValue<'_>) -> Option<String> {
        convert_time(value, self.reading, &self.writing, &self.zone)
    }
}

/// A value while it is being changed. Its buffer is reused for the next value.
#[derive(Debug, Clone, Default)]
pub(crate) struct EditedValue {
    /// The unescaped text of a string, or the JSON text of any other value.
    text: String,
    is_string: bool,
}

impl EditedValue {
    /// Returns the empty buffer.
    pub(crate) fn cleared_buffer(&mut self) -> &mut String {
        self.text.clear();
        &mut self.text
    }

    /// Takes a value and changes it. Returns `false` if nothing changed.
    pub(crate) fn change(&mut self, value: JsonValue<'_>, changes: &[ValueChange]) -> bool {
        self.text.clear();
        self.is_string = value.kind() == JsonKind::String;
        match value.as_string() {
            Some(string) => self.text.push_str(&string),
            None => self.text.push_str(value.raw_text()),
        }
        if value.kind() == JsonKind::Null {
            return false;
        }
        // `any` would stop at the first change.
        changes.iter().fold(false, |is_changed, change| self.apply(change) | is_changed)
    }

    /// Writes the value as JSON.
    pub(crate) fn write(&self, out: &mut String) {
        if self.is_string {
            write_string(out, &self.text);
        } else {
            out.push_str(&self.text);
        }
    }

    fn apply(&mut self, change: &ValueChange) -> bool {
        match change {
            ValueChange::Trim => self.is_string && self.trim(),
            ValueChange::Lowercase => self.is_string && lowercase_text(&mut self.text),
            ValueChange::Uppercase => self.is_string && uppercase_text(&mut self.text),
            ValueChange::ToString => !std::mem::replace(&mut self.is_string, true),
            ValueChange::ToNumber => self.make_number(),
            ValueChange::ToBool => self.make_bool(),
            ValueChange::Timestamp(clock) => self.rewrite_time(clock),
            ValueChange::Truncate(characters) => {
                self.is_string && truncate_text(&mut self.text, *characters)
            }
            ValueChange::Mask(mask) => self.replace(mask, true),
            ValueChange::Hash(hash) => {
                hash.replace_with_digest(&mut self.text);
                self.is_string = true;
                true
            }
        }
    }

    fn replace(&mut self, text: &str, is_string: bool) -> bool {
        self.text.clear();
        self.text.push_str(text);
        self.is_string = is_string;
        true
    }

    fn rewrite_time(&mut self, clock: &Clock) -> bool {
        let mut before = String::new();
        self.write(&mut before);
        match clock.convert(JsonValue::of_text(&before)) {
            Some(after) if after != before => {
                let after = JsonValue::of_text(&after);
                let string = after.as_string();
                self.replace(string.as_deref().unwrap_or(after.raw_text()), string.is_some())
            }
            _ => false,
        }
    }

    fn trim(&mut self) -> bool {
        let before = self.text.len();
        self.text.truncate(self.text.trim_end().len());
        let blanks = self.text.len() - self.text.trim_start().len();
        self.text.drain(..blanks);
        self.text.len() != before
    }

    fn make_number(&mut self) -> bool {
        match (self.is_string, &*self.text) {
            (false, "true") => self.replace("1", false),
            (false, "false") => self.replace("0", false),
            (true, text) if is_number(text.trim()) => {
                self.trim();
                self.is_string = false;
                true
            }
            _ => false,
        }
    }

    fn make_bool(&mut self) -> bool {
        let is_one_of =
            |words: [&str; 3]| words.iter().any(|word| self.text.trim().eq_ignore_ascii_case(word));
        if !self.is_string && matches!(&*self.text, "true" | "false") {
            false
        } else if is_one_of(["true", "yes", "1"]) {
            self.replace("true", false)
        } else if is_one_of(["false", "no", "0"]) {
            self.replace("false", false)
        } else {
            false
        }
    }
}

/// Changes the text in place if it is ASCII. Returns whether anything changed.
pub(crate) fn lowercase_text(text: &mut String) -> bool {
    if !text.is_ascii() {
        return replace_if_other(text, text.to_lowercase());
    }
    let is_changed = text.bytes().any(|byte| byte.is_ascii_uppercase());
    text.make_ascii_lowercase();
    is_changed
}

/// Changes the text in place if it is ASCII. Returns whether anything changed.
pub(crate) fn uppercase_text(text: &mut String) -> bool {
    if !text.is_ascii() {
        return replace_if_other(text, text.to_uppercase());
    }
    let is_changed = text.bytes().any(|byte| byte.is_ascii_lowercase());
    text.make_ascii_uppercase();
    is_changed
}

fn replace_if_other(text: &mut String, other: String) -> bool {
    let is_changed = *text != other;
    *text = other;
    is_changed
}

/// Keeps this many characters. Returns whether there were more.
pub(crate) fn truncate_text(text: &mut String, characters: usize) -> bool {
    // A text has at most as many characters as bytes.
    if text.len() <= characters {
        return false;
    }
    let Some((end, _)) = text.char_indices().nth(characters) else { return false };
    text.truncate(end);
    true
}

/// Whether a text is a number in JSON.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
    is_digits(whole)
        && !has_leading_zero
        && fraction.is_none_or(is_digits)
        && exponent.is_none_or(|text| is_digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}

#[cfg(test)]
mod tests;

//! Changes of single values: strings, numbers, and literals.

mod hash;

use crate::json::{Kind, Value, write_string};
use crate::timestamp::{Reading, Writing, Zone, convert};

pub(crate) use hash::Hash;

/// What is done to a value. Where it does not apply, the value stays.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// Whitespace around a string is left out.
    Trim,
    Lowercase,
    Uppercase,
    /// Everything but null becomes a string.
    ToString,
    /// A string that is a number becomes one, with its digits as they are, and
    /// true and false become 1 and 0.
    ToNumber,
    /// Words and numbers for true and false become these.
    ToBool,
    /// A time is written in another way.
    Timestamp(Box<Clock>),
    /// A string has this many characters at most.
    Truncate(usize),
    /// Everything but null becomes this text.
    Mask(Box<str>),
    /// Everything but null becomes its digest.
    Hash(Hash),
}

/// How a time is read and written.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    pub(crate) reading: Reading,
    pub(crate) writing: Writing,
    pub(crate) zone: Zone,
}

impl Clock {
    /// The JSON of the time that a value is.
    pub(crate) fn convert(&self, value: Value<'_>) -> Option<String> {
        convert(value, self.reading, &self.writing, &self.zone)
    }
}

/// A value while it is being changed. What it allocates it keeps for the next.
#[derive(Debug, Clone, Default)]
pub(crate) struct Word {
    /// A string as it is meant, anything else as it stands in JSON.
    text: String,
    is_string: bool,
}

impl Word {
    /// Room for a text.
    pub(crate) fn cleared(&mut self) -> &mut String {
        self.text.clear();
        &mut self.text
    }

    /// Take this value and change it. `false`: it is as it was.
    pub(crate) fn change(&mut self, value: Value<'_>, changes: &[Change]) -> bool {
        self.text.clear();
        self.is_string = value.kind() == Kind::String;
        match value.string() {
            Some(string) => self.text.push_str(&string),
            None => self.text.push_str(value.raw()),
        }
        if value.kind() == Kind::Null {
            return false;
        }
        // Not `any`, which would stop.
        changes.iter().fold(false, |is_changed, change| self.apply(change) | is_changed)
    }

    /// Write it as JSON.
    pub(crate) fn write(&self, out: &mut String) {
        if self.is_string {
            write_string(out, &self.text);
        } else {
            out.push_str(&self.text);
        }
    }

    fn apply(&mut self, change: &Change) -> bool {
        match change {
            Change::Trim => self.is_string && self.trim(),
            Change::Lowercase => self.is_string && lowercase(&mut self.text),
            Change::Uppercase => self.is_string && uppercase(&mut self.text),
            Change::ToString => !std::mem::replace(&mut self.is_string, true),
            Change::ToNumber => self.make_number(),
            Change::ToBool => self.make_bool(),
            Change::Timestamp(clock) => self.rewrite(clock),
            Change::Truncate(characters) => self.is_string && truncate(&mut self.text, *characters),
            Change::Mask(mask) => self.replace(mask, true),
            Change::Hash(hash) => {
                hash.digest(&mut self.text);
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

    fn rewrite(&mut self, clock: &Clock) -> bool {
        let mut before = String::new();
        self.write(&mut before);
        match clock.convert(Value::of_text(&before)) {
            Some(after) if after != before => {
                let after = Value::of_text(&after);
                let string = after.string();
                self.replace(string.as_deref().unwrap_or(after.raw()), string.is_some())
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

/// In place where it is ASCII. Returns whether anything changed.
pub(crate) fn lowercase(text: &mut String) -> bool {
    if !text.is_ascii() {
        return replace_if_other(text, text.to_lowercase());
    }
    let is_changed = text.bytes().any(|byte| byte.is_ascii_uppercase());
    text.make_ascii_lowercase();
    is_changed
}

/// In place where it is ASCII. Returns whether anything changed.
pub(crate) fn uppercase(text: &mut String) -> bool {
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

/// Leave this many characters. Returns whether there were more.
pub(crate) fn truncate(text: &mut String, characters: usize) -> bool {
    // There are no more characters than bytes.
    if text.len() <= characters {
        return false;
    }
    let Some((end, _)) = text.char_indices().nth(characters) else { return false };
    text.truncate(end);
    true
}

/// Whether JSON has such a number.
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

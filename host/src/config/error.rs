//! Mistakes in settings: all that were found, in the order of the file, each beginning with the key
//! that it is about and located by it. Values are never part of a message that may hold a secret.

use std::fmt;

use super::Places;

/// A line and a character in it, counted from 1.
pub(super) type Place = (usize, usize);

/// Settings that cannot be used: every mistake that was found in them, in the order of
/// the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Never empty.
    mistakes: Vec<Mistake>,
}

/// One mistake in settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line in the settings file, counted from 1, where one is known.
    pub line: Option<usize>,
    /// The character in that line, counted from 1, where one is known.
    pub column: Option<usize>,
    /// What is wrong, and what to write instead. It begins with the key that it is
    /// about, as `[section] key`.
    pub message: String,
}

impl Mistake {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Mistake { line: None, column: None, message: message.into() }
    }

    pub(super) fn at((line, column): Place, message: impl Into<String>) -> Self {
        Mistake { line: Some(line), column: Some(column), message: message.into() }
    }

    /// With the place of the key that its message begins with, where it has none yet.
    #[must_use]
    pub(crate) fn located(mut self, places: &Places) -> Self {
        if self.line.is_none()
            && let Some((line, column)) = places.of_message(&self.message)
        {
            (self.line, self.column) = (Some(line), Some(column));
        }
        self
    }
}

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        ConfigError { mistakes: vec![Mistake::new(message)] }
    }

    pub(super) fn at(place: Place, message: impl Into<String>) -> Self {
        ConfigError { mistakes: vec![Mistake::at(place, message)] }
    }

    /// With another name for the section that its messages begin with.
    #[cfg(feature = "catalog")]
    pub(super) fn renamed(mut self, from: &str, to: &str) -> Self {
        for mistake in &mut self.mistakes {
            if let Some(rest) = mistake.message.strip_prefix(from) {
                mistake.message = format!("{to}{rest}");
            }
        }
        self
    }

    /// None where there are none.
    pub(super) fn of(mistakes: Vec<Mistake>) -> Option<Self> {
        (!mistakes.is_empty()).then_some(ConfigError { mistakes })
    }

    /// All of them: at least one.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }

    /// With the places of the keys, each mistake once, in the order of the file.
    pub(super) fn located(self, places: &Places) -> Self {
        let mut mistakes: Vec<Mistake> = Vec::with_capacity(self.mistakes.len());
        for mistake in self.mistakes {
            let mistake = mistake.located(places);
            if !mistakes.contains(&mistake) {
                mistakes.push(mistake);
            }
        }
        // Those without a place, which are about what is missing, come last.
        mistakes.sort_by_key(|mistake| (mistake.line.is_none(), mistake.line, mistake.column));
        ConfigError { mistakes }
    }
}

/// Collects mistakes, so that all of them are told and not the first alone.
#[derive(Debug, Default)]
pub(super) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(super) fn add(&mut self, error: ConfigError) {
        self.0.extend(error.into_mistakes());
    }

    /// What was checked, or else this, with which the rest can be checked too: nothing
    /// is made of it.
    pub(super) fn or<T>(&mut self, checked: Result<T, ConfigError>, otherwise: T) -> T {
        self.some(checked).unwrap_or(otherwise)
    }

    /// What was checked, if it is right.
    pub(super) fn some<T>(&mut self, checked: Result<T, ConfigError>) -> Option<T> {
        checked.map_err(|error| self.add(error)).ok()
    }

    /// The value, if nothing was wrong.
    pub(super) fn end<T>(self, value: T) -> Result<T, ConfigError> {
        match ConfigError::of(self.0) {
            Some(error) => Err(error),
            None => Ok(value),
        }
    }
}

/// A line for each mistake.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, mistake) in self.mistakes.iter().enumerate() {
            write!(f, "{}{mistake}", if number > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, "line {line}, column {column}: ")?,
            (Some(line), None) => write!(f, "line {line}: ")?,
            (None, _) => {}
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

//! Mistakes in settings: all that were found, in the order of the file, each beginning with the key
//! that it is about and located by it. Values are never part of a message that may hold a secret.

use std::fmt;

use standpipe_core::settings::SettingsChecker;

/// A line and a character in it, counted from 1.
pub(super) type Position = (usize, usize);

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
        Mistake::at(None::<Position>, message)
    }

    /// A mistake at this place, if one is known.
    pub(super) fn at(place: impl Into<Option<Position>>, message: impl Into<String>) -> Self {
        let (line, column) = place.into().unzip();
        Mistake { line, column, message: message.into() }
    }
}

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        ConfigError::at(None::<Position>, message)
    }

    /// One mistake, at this place, if one is known.
    pub(super) fn at(place: impl Into<Option<Position>>, message: impl Into<String>) -> Self {
        ConfigError { mistakes: vec![Mistake::at(place, message)] }
    }

    /// The settings that were checked, unless the checker has found mistakes.
    pub(super) fn check<T>(checker: SettingsChecker, settings: T) -> Result<T, Self> {
        let mistakes = checker.into_mistakes().into_iter().map(Mistake::new).collect();
        ConfigError::of(mistakes).map_or(Ok(settings), Err)
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

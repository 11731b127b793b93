//! Mistakes in settings: all that were found, in the order of the file. Each starts with its key,
//! which determines its position. A message that may be about a secret never contains the value.

use std::fmt;

use standpipe_core::settings::SettingsChecker;

/// A line, and a character in this line, counted from 1.
pub(super) type Position = (usize, usize);

/// Invalid settings: all mistakes, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// This list is never empty.
    mistakes: Vec<Mistake>,
}

/// One mistake in settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line in the settings file, counted from 1, if it is known.
    pub line: Option<usize>,
    /// The character in that line, counted from 1, if it is known.
    pub column: Option<usize>,
    /// What is wrong, and what to write instead. It starts with the key, as `[section] key`.
    pub message: String,
}

impl Mistake {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Mistake::at(None::<Position>, message)
    }

    /// Creates a mistake at this position, if it is known.
    pub(super) fn at(place: impl Into<Option<Position>>, message: impl Into<String>) -> Self {
        let (line, column) = place.into().unzip();
        Mistake { line, column, message: message.into() }
    }
}

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        ConfigError::at(None::<Position>, message)
    }

    /// Creates an error of one mistake at this position, if it is known.
    pub(super) fn at(place: impl Into<Option<Position>>, message: impl Into<String>) -> Self {
        ConfigError { mistakes: vec![Mistake::at(place, message)] }
    }

    /// Returns the checked settings, unless the checker has found mistakes.
    pub(super) fn check<T>(checker: SettingsChecker, settings: T) -> Result<T, Self> {
        let mistakes = checker.into_mistakes().into_iter().map(Mistake::new).collect();
        ConfigError::of(mistakes).map_or(Ok(settings), Err)
    }

    /// Creates an error of these mistakes. `None` if there are none.
    pub(super) fn of(mistakes: Vec<Mistake>) -> Option<Self> {
        (!mistakes.is_empty()).then_some(ConfigError { mistakes })
    }

    /// All mistakes. There is at least one.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }
}

/// Writes a line for each mistake.
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

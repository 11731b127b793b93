//! The settings of dead letters: `[dead_letters]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits;
use standpipe_core::event::StreamName;
use standpipe_core::settings::TableChecker;

/// Bytes of all files of dead letters, unless the settings say otherwise.
const BYTES_MAX: u64 = 10 * 1024 * 1024 * 1024;

/// The least that the settings may say, in bytes.
const BYTES_MAX_MIN: u64 = 1024 * 1024;

/// What the dead letters may take, and where copies of them go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawDeadLetters {
    /// Bytes of all files of dead letters; 10 GiB by default.
    #[schemars(example = 10_737_418_240_u64)]
    pub max_bytes: Option<u64>,
    /// What happens to a letter that does not fit: `"stop"`, the default, or
    /// `"drop_oldest"`.
    #[schemars(example = &"stop")]
    pub when_full: Option<String>,
    /// A delivery stream that a copy of each dead letter is sent to; none by
    /// default.
    #[schemars(example = &"dead-letters")]
    pub stream: Option<String>,
}

/// What the dead letters of a directory may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadLetterLimit {
    /// All files together, in bytes.
    pub bytes_max: u64,
    /// What happens to the dead letter that does not fit.
    pub when_full: WhenFull,
}

/// What happens to a dead letter that does not fit in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It is refused, and nothing is lost behind anybody's back: see
    /// [`super::DeadLetterWriter`] for what becomes of the event then.
    Stop,
    /// The oldest files make room for it. The run goes on, and events are lost
    /// for good; they are counted.
    DropOldest,
}

impl Default for DeadLetterLimit {
    fn default() -> Self {
        DeadLetterLimit { bytes_max: BYTES_MAX, when_full: WhenFull::Stop }
    }
}

impl DeadLetterLimit {
    /// The size beyond which a file is followed by another one: a part of the
    /// whole, so that there is an oldest file to drop.
    pub(super) fn file_bytes_max(&self) -> u64 {
        (self.bytes_max / 8).min(limits::DEAD_FILE_BYTES_MAX)
    }
}

impl RawDeadLetters {
    /// Checks what the dead letters may take.
    pub fn check(&self, check: &mut TableChecker<'_>) -> DeadLetterLimit {
        let when_full = match self.when_full.as_deref() {
            None | Some("stop") => WhenFull::Stop,
            Some("drop_oldest") => WhenFull::DropOldest,
            Some(word) => {
                check.add_mistake(format_args!(
                    "when_full is {word:?}: write \"stop\" or \"drop_oldest\""
                ));
                WhenFull::Stop
            }
        };
        let bytes_max = self.max_bytes.unwrap_or(BYTES_MAX);
        if bytes_max < BYTES_MAX_MIN {
            check.add_mistake(format_args!(
                "max_bytes is {bytes_max}: write at least {BYTES_MAX_MIN}"
            ));
        }
        DeadLetterLimit { bytes_max, when_full }
    }

    /// Checks which delivery stream copies are sent to.
    pub fn check_stream(&self, check: &mut TableChecker<'_>) -> Option<StreamName> {
        let stream = StreamName::parse(self.stream.as_deref()?);
        check.parsed("stream", stream)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use standpipe_core::settings::{SecretManager, SettingsChecker};

    use super::*;

    fn check(raw: &RawDeadLetters) -> (DeadLetterLimit, Vec<String>) {
        let mut checker = SettingsChecker::new(Path::new(""), SecretManager::None);
        let bound = raw.check(&mut checker.table("dead_letters"));
        raw.check_stream(&mut checker.table("dead_letters"));
        (bound, checker.into_mistakes())
    }

    #[test]
    fn all_mistakes_are_told() {
        let raw = RawDeadLetters {
            max_bytes: Some(BYTES_MAX_MIN - 1),
            when_full: Some("drop".to_owned()),
            stream: Some("a b".to_owned()),
        };
        let (_, mistakes) = check(&raw);
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        assert_eq!(mistakes[1], "[dead_letters] max_bytes is 1048575: write at least 1048576");
        let raw = RawDeadLetters { max_bytes: Some(BYTES_MAX_MIN), ..RawDeadLetters::default() };
        let bound = DeadLetterLimit { bytes_max: BYTES_MAX_MIN, when_full: WhenFull::Stop };
        assert_eq!(check(&raw), (bound, Vec::new()));
    }
}

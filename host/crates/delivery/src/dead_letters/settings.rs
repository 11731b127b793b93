//! The settings of dead letters: `[dead_letters]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits;
use standpipe_core::event::StreamName;
use standpipe_core::settings::TableChecker;

/// The default of `max_bytes`.
const BYTES_MAX: u64 = 10 * 1024 * 1024 * 1024;

/// The minimum of `max_bytes`.
const BYTES_MAX_MIN: u64 = 1024 * 1024;

/// The size limit of the dead letters, and the delivery stream that receives copies of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawDeadLetters {
    /// Maximum total size in bytes of the files of dead letters, at least 1048576. Default:
    /// 10737418240 (10 GiB).
    #[schemars(example = 10_737_418_240_u64)]
    pub max_bytes: Option<u64>,
    /// What happens if the next dead letter does not fit into `max_bytes`. `"stop"`: Standpipe
    /// stops with an error if it reads files or standard input. Events from SDKs stay in the spool
    /// until there is space. `"drop_oldest"`: Standpipe deletes the oldest dead letters. Default:
    /// `"stop"`.
    #[schemars(example = &"stop")]
    pub when_full: Option<String>,
    /// Delivery stream that receives a copy of each dead letter. Default: none.
    #[schemars(example = &"dead-letters")]
    pub stream: Option<String>,
}

/// The size limit of the dead letters of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadLetterLimit {
    /// The maximum total size of all files in bytes.
    pub bytes_max: u64,
    /// What happens to a dead letter that does not fit.
    pub when_full: WhenFull,
}

/// What happens to a dead letter that does not fit into the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The dead letter is refused, and no other dead letter is deleted. [`super::DeadLetterWriter`]
    /// describes what happens to the event.
    Stop,
    /// The oldest files are deleted to make space. Their events are lost and counted, and the run
    /// continues.
    DropOldest,
}

impl Default for DeadLetterLimit {
    fn default() -> Self {
        DeadLetterLimit { bytes_max: BYTES_MAX, when_full: WhenFull::Stop }
    }
}

impl DeadLetterLimit {
    /// The size at which another file is started. It is a fraction of the limit, so that there is
    /// an oldest file to delete.
    pub(super) fn file_bytes_max(&self) -> u64 {
        (self.bytes_max / 8).min(limits::DEAD_FILE_BYTES_MAX)
    }
}

impl RawDeadLetters {
    /// Checks the size limit of the dead letters.
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

    /// Checks the delivery stream for copies.
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

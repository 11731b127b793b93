//! The settings of the spool: `[spool]`.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use standpipe_core::settings::TableChecker;

/// The default of `max_bytes`.
const BYTES_MAX: u64 = 10 * 1024 * 1024 * 1024;

/// The minimum of `max_bytes`: some segments of the smallest size.
const BYTES_MAX_MIN: u64 = 16 * 1024 * 1024;

/// The spool: the queue on disk that holds accepted events until they are delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSpool {
    /// Maximum size of the spool in bytes, at least 16777216. When the spool is full, requests
    /// get status 503. Default: 10 GiB (10737418240).
    #[schemars(example = 10_737_418_240_u64)]
    pub max_bytes: Option<u64>,
    /// What accepted events survive: with `"fsync"`, the default, a power loss; with `"os"` a
    /// crash of Standpipe, but not a power loss; with `"memory"` neither a crash nor a restart
    /// of Standpipe.
    #[schemars(example = &"fsync")]
    pub durability: Option<String>,
}

/// The directory of a spool, its maximum size and its durability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolSettings {
    /// The directory of the spool's files. The spool creates the directory if it does not
    /// exist, and does not change other files in it.
    pub directory: PathBuf,
    /// The maximum size of the segments in bytes.
    pub bytes_max: u64,
    /// What an appended entry survives.
    pub durability: Durability,
}

/// What an appended entry survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// A power loss: the spool syncs the entry to the disk. Entries that arrive at the same
    /// time share one sync, so many of them cost little more than one.
    #[default]
    Fsync,
    /// A crash of the process: the operating system has the entry. A power loss can lose the
    /// entries of the last seconds.
    Os,
    /// Nothing: the entry is only in memory, and the spool does not use the directory.
    Memory,
    /// Everything, since an append waits until the items of the entry are acknowledged: whoever appends keeps the
    /// entry until then. The spool does not use the directory.
    Acknowledged,
}

impl RawSpool {
    /// Checks the settings of a spool in the data directory.
    pub fn check(&self, data_dir: &Path, check: &mut TableChecker<'_>) -> SpoolSettings {
        let bytes_max = self.max_bytes.unwrap_or(BYTES_MAX);
        SpoolSettings {
            directory: data_dir.join("spool"),
            bytes_max: check
                .number("max_bytes", bytes_max, BYTES_MAX_MIN..=u64::MAX)
                .unwrap_or(BYTES_MAX),
            durability: check_durability(self.durability.as_deref(), check),
        }
    }
}

fn check_durability(word: Option<&str>, check: &mut TableChecker<'_>) -> Durability {
    match word {
        None | Some("fsync") => Durability::Fsync,
        Some("os") => Durability::Os,
        Some("memory") => Durability::Memory,
        Some(word) => {
            check.add_mistake(format_args!(
                "durability is {word:?}: write \"fsync\", \"os\" or \"memory\""
            ));
            Durability::Fsync
        }
    }
}

#[cfg(test)]
mod tests {
    use standpipe_core::settings::{SecretManager, SettingsChecker};

    use super::*;

    fn check(raw: &RawSpool) -> Result<SpoolSettings, Vec<String>> {
        let mut checker = SettingsChecker::new(Path::new(""), SecretManager::None);
        let settings = raw.check(Path::new("/data"), &mut checker.table("spool"));
        match checker.into_mistakes() {
            mistakes if mistakes.is_empty() => Ok(settings),
            mistakes => Err(mistakes),
        }
    }

    #[test]
    fn defaults_are_durable() {
        let settings = check(&RawSpool::default()).unwrap();
        assert_eq!(settings.directory, Path::new("/data/spool"));
        assert_eq!((settings.bytes_max, settings.durability), (BYTES_MAX, Durability::Fsync));
    }

    #[test]
    fn all_mistakes_are_told() {
        let raw =
            RawSpool { max_bytes: Some(BYTES_MAX_MIN - 1), durability: Some("disk".to_owned()) };
        assert_eq!(
            check(&raw).unwrap_err(),
            [
                "[spool] max_bytes is 16777215: write a number from 16777216 to 18446744073709551615",
                "[spool] durability is \"disk\": write \"fsync\", \"os\" or \"memory\"",
            ]
        );
        let raw = RawSpool { max_bytes: Some(BYTES_MAX_MIN), durability: Some("os".to_owned()) };
        assert_eq!(check(&raw).unwrap().durability, Durability::Os);
    }
}

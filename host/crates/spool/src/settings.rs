//! The settings of the spool: `[spool]`.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use standpipe_core::settings::TableChecker;

/// Bytes that the spool may take, unless the settings say otherwise.
const BYTES_MAX: u64 = 10 * 1024 * 1024 * 1024;

/// The least that the settings may say, in bytes: some segments of the smallest size.
const BYTES_MAX_MIN: u64 = 16 * 1024 * 1024;

/// Where events are kept from the answer until they are delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSpool {
    /// Bytes that the spool may take; 10 GiB by default. Beyond it requests are
    /// answered with 503.
    #[schemars(example = 10_737_418_240_u64)]
    pub max_bytes: Option<u64>,
    /// What an answer of 200 promises: `"fsync"`, the default, that the event
    /// outlives a loss of power, `"os"` that it outlives the process, `"memory"`
    /// nothing beyond the process.
    #[schemars(example = &"fsync")]
    pub durability: Option<String>,
}

/// Where a spool is, and how much it may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolSettings {
    /// The directory of its files, which is made if it is missing. Other files in
    /// it are left alone.
    pub directory: PathBuf,
    /// What its segments may come to, in bytes.
    pub bytes_max: u64,
    /// What an appended entry survives.
    pub durability: Durability,
}

/// What an entry survives once it has been appended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// A loss of power: it is synced to the disk. Entries that come at the same
    /// time are synced together, so many of them cost little more than one.
    #[default]
    Fsync,
    /// The end of the process, however sudden: the operating system has it. With
    /// the machine, the last seconds may be lost.
    Os,
    /// Nothing: it is in memory, and the directory is not touched.
    Memory,
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

//! Collects the mistakes of settings while they are checked.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::SettingsTable;
use crate::secret::{Secret, SecretSetting};

/// State that the checks of all tables of a file share.
#[derive(Debug)]
pub struct SettingsChecker {
    /// The directory of relative paths.
    directory: PathBuf,
    secret_manager: SecretManager,
    mistakes: Vec<String>,
}

/// Where references to secrets are resolved. It is known before any setting is checked that may be
/// a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretManager {
    /// Nowhere: a reference is a mistake.
    None,
    /// In files or variables of this machine.
    Local,
    /// In an AWS service, which is reached with the settings for AWS.
    Aws,
}

/// Checks the keys of one table.
///
/// The check of a key with a mistake also returns a value, so that the other keys can be checked.
/// Nothing uses this value, because the caller looks at the mistakes first.
#[derive(Debug)]
pub struct TableChecker<'a> {
    table: SettingsTable,
    checker: &'a mut SettingsChecker,
}

impl SettingsChecker {
    /// Starts to check a file in this directory, at which relative paths start.
    pub fn new(directory: &Path, secret_manager: SecretManager) -> Self {
        SettingsChecker { directory: directory.to_owned(), secret_manager, mistakes: Vec::new() }
    }

    /// Checks the keys of the top-level table.
    pub fn top(&mut self) -> TableChecker<'_> {
        TableChecker { table: SettingsTable::top(), checker: self }
    }

    /// Checks the keys of a table.
    pub fn table(&mut self, key: &str) -> TableChecker<'_> {
        TableChecker { table: SettingsTable::top().table(key), checker: self }
    }

    /// Adds a mistake that starts with its key or table.
    pub fn add(&mut self, message: impl Into<String>) {
        self.mistakes.push(message.into());
    }

    /// The mistakes in the order of the checks.
    pub fn into_mistakes(self) -> Vec<String> {
        self.mistakes
    }
}

impl TableChecker<'_> {
    /// Checks the keys of a table in this one.
    pub fn table(&mut self, key: &str) -> TableChecker<'_> {
        TableChecker { table: self.table.table(key), checker: self.checker }
    }

    /// Checks the keys of one table of a list in this one, by its [label](super::item_labels).
    pub fn item(&mut self, key: &str, label: String) -> TableChecker<'_> {
        TableChecker { table: self.table.item(key, label), checker: self.checker }
    }

    /// The name of the table in mistakes.
    pub fn name(&self) -> &SettingsTable {
        &self.table
    }

    /// Where references to secrets are resolved.
    pub fn secret_manager(&self) -> SecretManager {
        self.checker.secret_manager
    }

    /// Resolves a path in the file.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.checker.directory.join(path)
    }

    /// Adds a mistake whose message contains its key.
    pub fn add_message(&mut self, message: impl Into<String>) {
        self.checker.add(message);
    }

    /// Adds a mistake about a key of the table. The key is added before the problem.
    pub fn add_mistake(&mut self, problem: impl Display) {
        let message = self.table.message_about(&problem);
        self.checker.add(message);
    }

    /// Adds a mistake about the table as a whole.
    pub fn add_table_mistake(&mut self, problem: impl Display) {
        let message = format!("{}{problem}", self.table);
        self.checker.add(message);
    }

    /// Returns the value of a key if it could be parsed, and adds the error as a mistake if not.
    pub fn parsed<T, E: Display>(&mut self, key: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.add_mistake(format_args!("{key}: {error}"))).ok()
    }

    /// Checks a number within limits.
    pub fn number<N: PartialOrd + Display + Copy>(
        &mut self,
        key: &str,
        value: N,
        bounds: RangeInclusive<N>,
    ) -> Option<N> {
        let (least, most) = (*bounds.start(), *bounds.end());
        if bounds.contains(&value) {
            return Some(value);
        }
        self.add_mistake(format_args!("{key} is {value}: write a number from {least} to {most}"));
        None
    }

    /// Checks a duration within limits, such as `30s`. Returns the default if none is set.
    pub fn duration(
        &mut self,
        key: &str,
        value: Option<&str>,
        usual: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(text) = value else { return usual };
        match humantime::parse_duration(text) {
            Ok(duration) if bounds.contains(&duration) => return duration,
            Ok(duration) if duration > *bounds.end() => self.add_mistake(format_args!(
                "{key} is {text:?}: write at most {}",
                humantime::format_duration(*bounds.end())
            )),
            Ok(_) => self.add_mistake(format_args!(
                "{key} is {text:?}: write at least {}",
                humantime::format_duration(*bounds.start())
            )),
            Err(error) => self.add_mistake(format_args!(
                "{key} is {text:?}, which is not a duration ({error}): write for example \"500ms\", \"30s\" or \"5m\""
            )),
        }
        usual
    }

    /// Checks a duration that is positive and does not exceed the maximum. Returns the default if
    /// none is set.
    pub fn positive_duration(
        &mut self,
        key: &str,
        value: Option<&str>,
        usual: Duration,
        longest: Duration,
    ) -> Duration {
        let duration = self.duration(key, value, usual, Duration::ZERO..=longest);
        if duration.is_zero() {
            self.add_mistake(format_args!("{key} is zero: write more than \"0s\""));
        }
        duration
    }

    /// Checks an IP address with a port.
    pub fn address(&mut self, key: &str, text: &str) -> Option<SocketAddr> {
        let address = text.parse().ok();
        if address.is_none() {
            self.add_mistake(format_args!(
                "{key} is {text:?}: write an IP address and a port, such as 0.0.0.0:8080 or [::1]:8080"
            ));
        }
        address
    }

    /// Whether a text can be the URL of a server.
    pub fn is_url(&mut self, key: &str, url: &str) -> bool {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let is_url = rest.is_some_and(|host| !host.is_empty() && !host.starts_with('/'));
        if !is_url {
            self.add_mistake(format_args!(
                "{key} {url:?} is not a URL: write http://HOST:PORT or https://HOST"
            ));
        }
        is_url
    }

    /// Checks a secret or a reference to one.
    pub fn secret(&mut self, key: &str, written: Secret) -> Option<SecretSetting> {
        let setting = SecretSetting::parse(written)
            .map_err(|error| self.add_mistake(format_args!("{key} {error}")))
            .ok()?;
        match setting.reference() {
            Some(reference) if self.secret_manager() == SecretManager::None => {
                self.add_mistake(format_args!(
                    "{key} is a reference, {reference}, and no secret manager is set: set `manager` under \
                     [secrets], or write the secret itself"
                ));
                None
            }
            _ => Some(setting),
        }
    }

    /// Checks an optional secret or reference like [`TableChecker::secret`].
    pub fn optional_secret(&mut self, key: &str, written: Option<Secret>) -> Option<SecretSetting> {
        written.and_then(|written| self.secret(key, written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(manager: SecretManager, check: impl FnOnce(&mut TableChecker<'_>)) -> Vec<String> {
        let mut checker = SettingsChecker::new(Path::new("/etc/standpipe"), manager);
        check(&mut checker.table("a"));
        checker.into_mistakes()
    }

    #[test]
    fn all_mistakes_are_collected_with_their_keys() {
        let found = mistakes(SecretManager::None, |check| {
            assert_eq!(check.number("n", 3, 1..=3), Some(3));
            assert_eq!(check.number("n", 4, 1..=3), None);
            check.address("listen", "localhost:1");
            assert!(check.is_url("url", "http://a") && !check.is_url("url", "http:///a"));
            check.parsed::<(), _>("rule", Err("odd"));
            check.table("b").add_mistake("key is odd");
            check.item("c", "\"x\"".to_owned()).add_mistake("key is odd");
            check.add_table_mistake(" has no key");
            assert_eq!(check.path(Path::new("b.pem")), Path::new("/etc/standpipe/b.pem"));
        });
        assert_eq!(
            found,
            [
                "[a] n is 4: write a number from 1 to 3",
                "[a] listen is \"localhost:1\": write an IP address and a port, such as 0.0.0.0:8080 or [::1]:8080",
                "[a] url \"http:///a\" is not a URL: write http://HOST:PORT or https://HOST",
                "[a] rule: odd",
                "[a.b] key is odd",
                "[[a.c]] \"x\": key is odd",
                "[a] has no key",
            ]
        );
    }

    #[test]
    fn durations_have_bounds() {
        let bounds = Duration::from_secs(1)..=Duration::from_secs(60);
        for (text, problem) in [
            ("1s", None),
            ("1m", None),
            ("999ms", Some("[a] k is \"999ms\": write at least 1s")),
            ("61s", Some("[a] k is \"61s\": write at most 1m")),
            ("soon", Some("[a] k is \"soon\", which is not a duration")),
        ] {
            let found = mistakes(SecretManager::None, |check| {
                check.duration("k", Some(text), Duration::ZERO, bounds.clone());
            });
            assert_eq!(found.len(), usize::from(problem.is_some()), "{found:?}");
            assert!(problem.is_none_or(|problem| found[0].starts_with(problem)), "{found:?}");
        }
        let found = mistakes(SecretManager::None, |check| {
            check.positive_duration("k", Some("0s"), Duration::ZERO, Duration::from_secs(60));
        });
        assert_eq!(found, ["[a] k is zero: write more than \"0s\""]);
    }

    #[test]
    fn references_need_a_manager() {
        let written = || Secret::new("secret:x".to_owned());
        let found = mistakes(SecretManager::None, |check| {
            assert_eq!(check.secret("token", written()), None);
            assert!(check.secret("token", Secret::new("hush".to_owned())).is_some());
            assert_eq!(check.secret("token", Secret::new("secret:".to_owned())), None);
        });
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("[a] token is a reference, secret:x, and no secret manager"));
        assert!(found[1].starts_with("[a] token begins with \"secret:\""));
        let found = mistakes(SecretManager::Local, |check| {
            assert!(check.optional_secret("token", Some(written())).is_some());
        });
        assert_eq!(found, [""; 0]);
    }
}

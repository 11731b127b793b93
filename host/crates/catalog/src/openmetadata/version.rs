//! The version of an OpenMetadata server.

use std::fmt;

use serde_json::Value;

use super::api::text_field;

/// The first and the last major version that this program supports.
const KNOWN: std::ops::RangeInclusive<u32> = 1..=2;

/// A version of OpenMetadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    major: u32,
    written: String,
}

impl ServerVersion {
    /// Parses the response of `/system/version`.
    pub fn read(answer: &Value) -> Option<Self> {
        let written: String = text_field(answer, "version")?.chars().take(40).collect();
        let mut numbers = written.split(['.', '-']);
        let mut number = || numbers.next()?.parse().ok();
        let (major, _minor): (u32, u32) = (number()?, number()?);
        Some(ServerVersion { major, written })
    }

    /// Whether this program knows the API of this version.
    pub fn is_known(&self) -> bool {
        KNOWN.contains(&self.major)
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_are_read() {
        for (written, expected) in [
            ("1.9.4", Some(true)),
            ("2.0.0-SNAPSHOT", Some(true)),
            ("0.13.1", Some(false)),
            ("3.1", Some(false)),
            ("latest", None),
            ("1", None),
        ] {
            let version = ServerVersion::read(&json!({"version": written}));
            assert_eq!(version.map(|version| version.is_known()), expected, "{written}");
        }
        assert_eq!(ServerVersion::read(&json!([])), None);
    }

    proptest! {
        #[test]
        fn no_version_makes_it_panic(written in "\\PC{0,20}") {
            let _ = ServerVersion::read(&json!({"version": written}));
        }
    }
}

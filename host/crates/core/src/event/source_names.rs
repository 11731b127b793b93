//! The sources of the settings by their present and former names. Events of an unknown source are
//! held, since it is not known with which role they may be written.

use std::collections::HashMap;
use std::sync::Arc;

/// The sources that the settings have, by their names of today and of before.
///
/// What waits in a spool or in the dead letters names its source. If the settings do
/// not have that source any more, it is not known with which role its records are to be written:
/// under the default role they could end up in a stream of another account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceNames {
    /// The name of today for each name.
    current: HashMap<Arc<str>, Arc<str>>,
    unknown: UnknownSources,
}

/// What becomes of events whose source the settings do not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnknownSources {
    /// They stay where they are. Where the settings have no sources at all, none is
    /// unknown.
    #[default]
    Hold,
    /// They are taken, and their records are written with the default role.
    Take,
}

impl SourceNames {
    /// Sources with the names that each had before.
    pub fn new<'a, F>(sources: impl IntoIterator<Item = (&'a str, F)>) -> Self
    where
        F: IntoIterator<Item = &'a str>,
    {
        let mut current = HashMap::new();
        for (name, formerly) in sources {
            let name: Arc<str> = name.into();
            for former in formerly {
                current.insert(former.into(), Arc::clone(&name));
            }
            current.insert(Arc::clone(&name), name);
        }
        SourceNames { current, unknown: UnknownSources::Hold }
    }

    /// Returns these names, with events of unknown sources taken or held.
    pub fn with_unknown(self, unknown: UnknownSources) -> Self {
        SourceNames { unknown, ..self }
    }

    /// What a source is called today; none if the settings do not have it.
    pub fn current<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        match self.current.get(name) {
            Some(current) => Some(current),
            None if self.current.is_empty() || self.unknown == UnknownSources::Take => Some(name),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_known_by_its_names_of_today_and_of_before() {
        let sources = [("web", vec!["site", "shop"]), ("app", vec![])];
        let names = SourceNames::new(sources);
        let current = ["web", "site", "shop", "app"].map(|name| names.current(name));
        assert_eq!(current, ["web", "web", "web", "app"].map(Some));
        assert_eq!(names.current("blog"), None);
        assert_eq!(names.with_unknown(UnknownSources::Take).current("blog"), Some("blog"));
    }

    #[test]
    fn without_sources_none_is_unknown() {
        assert_eq!(SourceNames::default().current("in.ndjson"), Some("in.ndjson"));
    }
}

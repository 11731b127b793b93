//! The sources of the settings by their current and former names. Events of an unknown source are
//! held, because the role for writing them is unknown.

use std::collections::HashMap;
use std::sync::Arc;

/// The sources in the settings, by their current and former names.
///
/// Events in a spool or in the dead letters contain the name of their source. If the settings no
/// longer contain that source, the role for its records is unknown: with the default role, they
/// could be written to a stream of another account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceNames {
    /// The current name for each name.
    current: HashMap<Arc<str>, Arc<str>>,
    unknown: UnknownSources,
}

/// What happens to events of sources that are not in the settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnknownSources {
    /// The events stay where they are. If the settings have no sources at all, no source is
    /// unknown.
    #[default]
    Hold,
    /// The events are processed, and their records are written with the default role.
    Take,
}

impl SourceNames {
    /// Creates the names of sources, each with its former names.
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

    /// Returns these names with another setting for unknown sources.
    pub fn with_unknown(self, unknown: UnknownSources) -> Self {
        SourceNames { unknown, ..self }
    }

    /// The current name of a source. `None` if the settings do not contain it.
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

//! Parses the query of a canary request into the settings of its trial. Unknown, repeated and
//! out-of-range parameters are refused with what is expected.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::limits;
use standpipe_plugin_host::CanarySettings;

/// A query that says nothing about a canary.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum BadTrial {
    /// A parameter that there is not.
    #[error("the parameter {0:?} is unknown: known are percent, max_error_rate and min_events")]
    Unknown(String),
    /// One that is there twice.
    #[error("the parameter {0} stands twice: write it once")]
    Twice(&'static str),
    /// One whose value is wrong.
    #[error("the parameter {name} is {value:?}: write {wanted}")]
    Wrong {
        /// The parameter.
        name: &'static str,
        /// Its value, as far as it is short.
        value: String,
        /// What it could be.
        wanted: &'static str,
    },
}

/// How a canary is tried, from the query of a URL; what it does not say is as
/// usual.
///
/// # Errors
///
/// The query says something else, or says it wrongly.
pub fn trial(query: &str) -> Result<CanarySettings, BadTrial> {
    let mut settings = CanarySettings::default();
    let mut seen = BTreeSet::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let name = match &*name {
            "percent" => {
                let wanted = "a number from 0 to 100";
                settings.percent = number("percent", &value, 100.0, wanted)?;
                "percent"
            }
            "max_error_rate" => {
                let wanted = "a share from 0 to 1, such as 0.01 for 1 %";
                settings.error_rate_max = number("max_error_rate", &value, 1.0, wanted)?;
                "max_error_rate"
            }
            "min_events" => {
                let wanted = "a whole number of events";
                let events = value.parse();
                settings.events_min = events.map_err(|_| wrong("min_events", &value, wanted))?;
                "min_events"
            }
            name => return Err(BadTrial::Unknown(short(name))),
        };
        if !seen.insert(name) {
            return Err(BadTrial::Twice(name));
        }
    }
    Ok(settings)
}

fn number(
    name: &'static str,
    value: &str,
    most: f64,
    wanted: &'static str,
) -> Result<f64, BadTrial> {
    let number = value.parse().ok().filter(|number| (0.0..=most).contains(number));
    number.ok_or_else(|| wrong(name, value, wanted))
}

fn wrong(name: &'static str, value: &str, wanted: &'static str) -> BadTrial {
    BadTrial::Wrong { name, value: short(value), wanted }
}

fn short(text: &str) -> String {
    text.chars().take(limits::ADMIN_SHOWN_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_said_is_as_usual() {
        let usual = CanarySettings::default();
        assert_eq!(trial(""), Ok(usual));
        assert_eq!(trial("percent=12.5"), Ok(CanarySettings { percent: 12.5, ..usual }));
        let all = CanarySettings { percent: 0.0, error_rate_max: 1.0, events_min: 7 };
        assert_eq!(trial("min_events=7&max_error_rate=1&percent=0"), Ok(all));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, words) in [
            ("percent=101", "0 to 100"),
            ("percent=-1", "0 to 100"),
            ("percent=NaN", "0 to 100"),
            ("percent=inf", "0 to 100"),
            ("percent=", "0 to 100"),
            ("max_error_rate=1.5", "0 to 1"),
            ("min_events=1.5", "whole number"),
            ("min_events=-1", "whole number"),
            ("percent=1&percent=1", "twice"),
            ("percentage=1", "unknown"),
            ("%00", "unknown"),
        ] {
            let error = trial(query).expect_err(query).to_string();
            assert!(error.contains(words), "{query}: {error}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_can_be_tried(
            query in "((percent|max_error_rate|min_events|\\PC{0,5})=?[-0-9.eE%+a]{0,6}&?){0,4}"
        ) {
            match trial(&query) {
                Ok(settings) => {
                    prop_assert!((0.0..=100.0).contains(&settings.percent));
                    prop_assert!((0.0..=1.0).contains(&settings.error_rate_max));
                }
                Err(error) => prop_assert!(error.to_string().len() < 2000),
            }
        }

        #[test]
        fn numbers_are_read_as_they_are_written(percent in 0.0..=100.0, events: u64) {
            let settings = trial(&format!("percent={percent}&min_events={events}")).unwrap();
            prop_assert_eq!((settings.percent, settings.events_min), (percent, events));
        }
    }
}

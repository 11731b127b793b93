//! Parses the queries of requests: the settings of a canary, and the generation that a rollback
//! withdraws. Unknown, repeated and out-of-range parameters are rejected with the expected values.
//! Errors contain values up to a limit.

use std::borrow::Cow;

use thiserror::Error;

use crate::limits;
use standpipe_plugin_host::CanarySettings;

/// Why a query is invalid.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum QueryError {
    /// The request does not accept this parameter.
    #[error("unknown parameter {name:?}: expected {known}")]
    Unknown {
        /// The parameter's name, up to the limit.
        name: String,
        /// The names of the accepted parameters.
        known: String,
    },
    /// A parameter is repeated.
    #[error("duplicate parameter {0}: write it once")]
    Twice(&'static str),
    /// A parameter has an invalid value.
    #[error("invalid parameter {name}: expected {expected}, found {value:?}")]
    Invalid {
        /// The parameter.
        name: &'static str,
        /// The value, up to the limit.
        value: String,
        /// The expected value.
        expected: &'static str,
    },
}

/// Parses the settings of a canary from the query of a URL. Missing parameters get defaults.
///
/// # Errors
///
/// Fails if a parameter is unknown, repeated or invalid.
pub fn canary_settings(query: &str) -> Result<CanarySettings, QueryError> {
    let mut settings = CanarySettings::default();
    for (name, value) in parse_parameters(query, &["percent", "max_error_rate", "min_events"])? {
        match name {
            "percent" => {
                settings.percent = parse_number(name, &value, 100.0, "a number from 0 to 100")?;
            }
            "max_error_rate" => {
                let expected = "a share from 0 to 1, such as 0.01 for 1 %";
                settings.error_rate_max = parse_number(name, &value, 1.0, expected)?;
            }
            _ => {
                let events = value.parse();
                let expected = "a whole number of events";
                settings.events_min =
                    events.map_err(|_| invalid_parameter(name, &value, expected))?;
            }
        }
    }
    Ok(settings)
}

/// Parses the generation that a rollback must withdraw from the query of a URL. `None` means the
/// active one.
///
/// # Errors
///
/// Fails if a parameter is unknown, repeated or invalid.
pub(super) fn withdrawn_generation(query: &str) -> Result<Option<u64>, QueryError> {
    let given = parse_parameters(query, &["generation"])?.pop();
    let number = given.map(|(name, value)| {
        value.parse().map_err(|_| invalid_parameter(name, &value, "the number of a generation"))
    });
    number.transpose()
}

/// Parses the parameters of a query. Each must be known and must not be repeated.
fn parse_parameters<'a>(
    query: &'a str,
    known: &[&'static str],
) -> Result<Vec<(&'static str, Cow<'a, str>)>, QueryError> {
    let mut parameters = Vec::with_capacity(known.len());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let Some(&name) = known.iter().find(|known| **known == name) else {
            return Err(QueryError::Unknown { name: truncate(&name), known: known.join(", ") });
        };
        if parameters.iter().any(|(seen, _)| *seen == name) {
            return Err(QueryError::Twice(name));
        }
        parameters.push((name, value));
    }
    Ok(parameters)
}

fn parse_number(
    name: &'static str,
    value: &str,
    most: f64,
    expected: &'static str,
) -> Result<f64, QueryError> {
    let number = value.parse().ok().filter(|number| (0.0..=most).contains(number));
    number.ok_or_else(|| invalid_parameter(name, value, expected))
}

fn invalid_parameter(name: &'static str, value: &str, expected: &'static str) -> QueryError {
    QueryError::Invalid { name, value: truncate(value), expected }
}

fn truncate(text: &str) -> String {
    text.chars().take(limits::ADMIN_SHOWN_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_generation_is_named_once_or_not_at_all() {
        assert_eq!(withdrawn_generation(""), Ok(None));
        assert_eq!(withdrawn_generation("generation=7"), Ok(Some(7)));
        for (query, words) in [
            ("generation=7&generation=7", "duplicate parameter generation"),
            ("generation=", "found \"\""),
            ("generation=-1", "found \"-1\""),
            ("generation=1.0", "found \"1.0\""),
            ("gen=1", "unknown parameter \"gen\""),
        ] {
            let error = withdrawn_generation(query).expect_err(query).to_string();
            assert!(error.contains(words), "{query}: {error}");
        }
        let long = "x".repeat(10_000);
        assert!(withdrawn_generation(&long).unwrap_err().to_string().len() < 2000);
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        let usual = CanarySettings::default();
        assert_eq!(canary_settings(""), Ok(usual));
        assert_eq!(canary_settings("percent=12.5"), Ok(CanarySettings { percent: 12.5, ..usual }));
        let all = CanarySettings { percent: 0.0, error_rate_max: 1.0, events_min: 7 };
        assert_eq!(canary_settings("min_events=7&max_error_rate=1&percent=0"), Ok(all));
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
            ("percent=1&percent=1", "duplicate parameter percent"),
            ("percentage=1", "unknown"),
            ("%00", "unknown"),
        ] {
            let error = canary_settings(query).expect_err(query).to_string();
            assert!(error.contains(words), "{query}: {error}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_can_be_tried(
            query in "((percent|max_error_rate|min_events|\\PC{0,5})=?[-0-9.eE%+a]{0,6}&?){0,4}"
        ) {
            match canary_settings(&query) {
                Ok(settings) => {
                    prop_assert!((0.0..=100.0).contains(&settings.percent));
                    prop_assert!((0.0..=1.0).contains(&settings.error_rate_max));
                }
                Err(error) => prop_assert!(error.to_string().len() < 2000),
            }
        }

        #[test]
        fn numbers_are_read_as_they_are_written(percent in 0.0..=100.0, events: u64) {
            let settings = canary_settings(&format!("percent={percent}&min_events={events}")).unwrap();
            prop_assert_eq!((settings.percent, settings.events_min), (percent, events));
        }
    }
}

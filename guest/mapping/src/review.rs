//! Reviews settings for people: reports all mistakes at once, and warns about settings that are
//! valid but probably not intended. Decisions about events do not depend on this module.

use std::collections::HashMap;

use serde_json::{Map, Value};
use standpipe_plugin::{Plugin, Setup};

use crate::Mapping;
use crate::fql::Condition;
use crate::settings::{MappingRow, MappingSettings, RowTarget};

/// The result of a review of settings. Each begins with the mapping or transform that it
/// is about: `mapping 2`, `transform 1`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsReview {
    /// All reasons why the plugin rejects the settings.
    pub mistakes: Vec<String>,
    /// Warnings about settings that are valid but probably not intended.
    pub warnings: Vec<String>,
}

/// Reviews settings, given as JSON text.
pub fn review_settings(text: &str) -> SettingsReview {
    let mistakes = match MappingSettings::parse(text) {
        Ok(settings) => {
            let warnings = find_warnings(text, &settings);
            let mistakes = wrong_streams(&settings.rows);
            return match mistakes.is_empty() {
                // Mistakes of several rows together are reported by the caller.
                true => SettingsReview { mistakes: find_refusals(text), warnings },
                false => SettingsReview { mistakes, warnings },
            };
        }
        Err(mistakes) => mistakes,
    };
    SettingsReview { mistakes, warnings: Vec::new() }
}

fn find_refusals(text: &str) -> Vec<String> {
    Mapping::configure(text, &mut Setup::default()).err().into_iter().collect()
}

fn wrong_streams(rows: &[MappingRow]) -> Vec<String> {
    let mut setup = Setup::default();
    let declared = rows.iter().filter_map(|row| match &row.stream {
        RowTarget::Named(name) => row.declare_stream(name, &mut setup).err(),
        RowTarget::Missing | RowTarget::Chosen { .. } | RowTarget::Dropped => None,
    });
    declared.collect()
}

fn find_warnings(text: &str, settings: &MappingSettings) -> Vec<String> {
    let mut warnings = find_blank_rows(&settings.rows);
    warnings.extend(same_events(settings));
    let fields: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    for (list, word) in [("mappings", "mapping"), ("transforms", "transform")] {
        let items = match fields.get(list) {
            Some(Value::Array(items)) => &items[..],
            Some(item) => std::slice::from_ref(item),
            None => &[],
        };
        for (number, item) in (1..).zip(items) {
            let condition = item.get("when").and_then(Value::as_str);
            let condition = condition.and_then(|text| Condition::parse(text).ok());
            let doubts = condition.map(|condition| condition.find_doubts()).unwrap_or_default();
            warnings.extend(doubts.iter().map(|doubt| format!("{word} {number}: `when`: {doubt}")));
        }
    }
    warnings
}

fn find_blank_rows(rows: &[MappingRow]) -> Vec<String> {
    let padded = rows.iter().filter(|row| row.event.trim() != row.event);
    let warning = |row: &MappingRow| {
        row.stream_error(
            "`event` begins or ends with a blank, so it matches only names with that blank: remove \
             it",
        )
    };
    padded.map(warning).collect()
}

/// Rows about the same events: by letters that differ in case alone, or since a later
/// one hides an earlier one.
fn same_events(settings: &MappingSettings) -> Vec<String> {
    let mut last = HashMap::<String, &MappingRow>::new();
    let mut warnings = Vec::new();
    for row in &settings.rows {
        let Some(before) = last.insert(row.event.to_lowercase(), row) else { continue };
        let number = before.number;
        let outcome = match settings.fan_out {
            true => "both apply, because `fan_out` is on",
            false => "the later one takes precedence",
        };
        if before.event != row.event {
            warnings.push(row.stream_error(&format!(
                "mapping {number} has the event {:?}, which differs in case only, and case is \
                 ignored, so {outcome}: write one mapping, or conditions",
                before.event
            )));
        } else if !settings.fan_out && row.when.is_none() {
            warnings.push(row.stream_error(&format!(
                "mapping {number} is about the same event and is never asked, because {outcome}: \
                 remove one of them, or give this one a condition"
            )));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review_texts(text: &str) -> (String, String) {
        let SettingsReview { mistakes, warnings } = review_settings(text);
        (mistakes.join("\n"), warnings.join("\n"))
    }

    #[test]
    fn all_mistakes_are_reported() {
        let (mistakes, _) = review_texts(
            r#"{"mappings":[{"event":"a","to":"b"},{"event":"b","stream":"c"},{"event":"c","stream":7}],"unmapped":"x"}"#,
        );
        for words in ["mapping 1 has", "mapping 3: `stream`", "`unmapped`"] {
            assert!(mistakes.contains(words), "{words}: {mistakes}");
        }
        let (mistakes, _) = review_texts(
            r#"{"mappings":[{"event":"a","stream":"b c"},{"event":"b","stream":"d e"}]}"#,
        );
        assert_eq!(mistakes.lines().count(), 2, "{mistakes}");
    }

    #[test]
    fn doubtful_rows_are_reported() {
        for (rows, words) in [
            (r#"[{"event":"A","stream":"a"},{"event":"a","stream":"b"}]"#, "differs in case only"),
            (r#"[{"event":"A ","stream":"a"}]"#, "mapping 1 (\"A \"): `event` begins or ends"),
            (r#"[{"event":"a","stream":"a"},{"event":"a","stream":"b"}]"#, "never asked"),
            (r#"[{"event":"*","stream":"a","when":"type = track"}]"#, "mapping 1: `when`: `track`"),
        ] {
            let (mistakes, warnings) = review_texts(&format!("{{\"mappings\":{rows}}}"));
            assert_eq!(mistakes, "", "{rows}");
            assert!(warnings.contains(words), "{rows}: {warnings}");
        }
        let transforms = r#"{"mappings":[{"event":"*","stream":"a"}],"transforms":[{"when":"type = track","drop":true}]}"#;
        assert!(review_texts(transforms).1.contains("transform 1: `when`"));
    }

    #[test]
    fn valid_rows_have_no_warnings() {
        for text in [
            r#"{"mappings":[{"event":"a","stream":"a"},{"event":"b","stream":"a"},{"event":"*","stream":"c"}]}"#,
            r#"{"mappings":[{"event":"a","stream":"a"},{"event":"a","stream":"b","when":"properties.x"}]}"#,
            r#"{"mappings":[{"event":"a","stream":"a"},{"event":"a","stream":"b"}],"fan_out":true}"#,
        ] {
            assert_eq!(review_settings(text), SettingsReview::default(), "{text}");
        }
    }
}

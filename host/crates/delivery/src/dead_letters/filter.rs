//! Selects dead letters by reason, stream, source and time; an empty filter selects all.

use time::OffsetDateTime;

use super::StoredDeadLetter;

/// Selects dead letters; an empty filter selects all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// The dead letter has one of these reasons. Empty means any.
    pub reasons: Vec<String>,
    /// The dead letter has one of these delivery streams. Empty means any stream or none.
    pub streams: Vec<String>,
    /// The event came from this input.
    pub source: Option<String>,
    /// The dead letter was written at this time or later.
    pub since: Option<OffsetDateTime>,
    /// The dead letter was written before this time.
    pub until: Option<OffsetDateTime>,
}

impl DeadLetterFilter {
    /// Whether the filter selects all dead letters.
    pub fn is_empty(&self) -> bool {
        *self == DeadLetterFilter::default()
    }

    /// Whether the filter selects this dead letter.
    pub fn matches(&self, dead_letter: &StoredDeadLetter) -> bool {
        let is_stream =
            |stream: &String| dead_letter.stream.as_ref().is_some_and(|other| other == stream);
        (self.reasons.is_empty() || self.reasons.contains(&dead_letter.reason))
            && (self.streams.is_empty() || self.streams.iter().any(is_stream))
            && self.source.as_ref().is_none_or(|source| *source == dead_letter.source)
            && self.since.is_none_or(|since| dead_letter.time >= since)
            && self.until.is_none_or(|until| dead_letter.time < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_must_hold() {
        let line = br#"{"time":"2026-01-02T00:00:00Z","reason":"r","source":"in","line":1,"stream":"s","event":""}"#;
        let dead_letter = StoredDeadLetter::parse(line).unwrap();
        let all = DeadLetterFilter::default();
        let filters = [
            DeadLetterFilter { reasons: vec!["q".to_owned(), "r".to_owned()], ..all.clone() },
            DeadLetterFilter { streams: vec!["s".to_owned()], ..all.clone() },
            DeadLetterFilter { source: Some("in".to_owned()), ..all.clone() },
            DeadLetterFilter { since: Some(dead_letter.time), ..all.clone() },
        ];
        assert!(all.is_empty() && all.matches(&dead_letter));
        for filter in filters {
            assert!(!filter.is_empty() && filter.matches(&dead_letter), "{filter:?}");
            let filter = DeadLetterFilter { until: Some(dead_letter.time), ..filter };
            assert!(!filter.matches(&dead_letter), "{filter:?}");
        }
        assert!(
            !DeadLetterFilter { streams: vec!["t".to_owned()], ..all.clone() }
                .matches(&dead_letter)
        );
        let no_stream = StoredDeadLetter { stream: None, ..dead_letter };
        assert!(!DeadLetterFilter { streams: vec!["s".to_owned()], ..all }.matches(&no_stream));
    }
}

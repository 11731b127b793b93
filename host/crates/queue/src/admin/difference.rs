//! The comparison of what exists with what it should be, property by property.

use std::time::Duration;

use serde_json::Value;

/// A stream, a consumer or a queue that `create` has looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedPart {
    /// What it is, with its name: "stream standpipe".
    pub name: String,
    /// What became of it.
    pub state: PartState,
}

/// What became of a stream, a consumer or a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartState {
    /// It did not exist.
    Created,
    /// It exists, without or with differences.
    Existing(Vec<Difference>),
}

/// A property that is different from what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The property.
    pub property: &'static str,
    /// What it was.
    pub found: String,
    /// What it should be.
    pub wanted: String,
    /// What became of it.
    pub state: DifferenceState,
}

/// What became of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceState {
    /// The property was changed.
    Updated,
    /// The property can be changed, which was not requested.
    Open,
    /// Nobody can change the property.
    Unchangeable,
}

/// A property of the configuration of a stream or a consumer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Property {
    /// Its key in JSON.
    pub(super) key: &'static str,
    /// Its name for people.
    pub(super) name: &'static str,
    pub(super) unit: PropertyFormat,
    /// Whether JetStream changes it.
    pub(super) can_change: bool,
}

/// How a property is written. Two values are equal if their texts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PropertyFormat {
    Count,
    /// A number, where 0 and less mean that there is no limit.
    Limit,
    /// Nanoseconds, where 0 means that there is no limit.
    Nanoseconds,
    Word,
    Words,
}

impl Property {
    pub(super) const fn new(
        key: &'static str,
        name: &'static str,
        unit: PropertyFormat,
        can_change: bool,
    ) -> Self {
        Property { key, name, unit, can_change }
    }
}

impl PropertyFormat {
    /// Writes a value, which may be missing or of another type.
    pub(super) fn render(self, value: Option<&Value>) -> String {
        match self {
            PropertyFormat::Count => read_number(value).to_string(),
            PropertyFormat::Limit => limit_text(read_number(value)),
            PropertyFormat::Nanoseconds => duration_text(read_nanoseconds(value)),
            PropertyFormat::Word => value.and_then(Value::as_str).unwrap_or("none").to_owned(),
            PropertyFormat::Words => {
                let words = value.and_then(Value::as_array).into_iter().flatten();
                words.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// Returns a number; 0 if it is missing.
pub(super) fn read_number(value: Option<&Value>) -> i64 {
    value.and_then(Value::as_i64).unwrap_or(0)
}

/// Returns a duration in nanoseconds; 0 if it is missing or negative.
pub(super) fn read_nanoseconds(value: Option<&Value>) -> Duration {
    Duration::from_nanos(u64::try_from(read_number(value)).unwrap_or(0))
}

pub(super) fn limit_text(limit: i64) -> String {
    if limit > 0 { limit.to_string() } else { "unlimited".to_owned() }
}

pub(super) fn duration_text(duration: Duration) -> String {
    match duration.is_zero() {
        true => "unlimited".to_owned(),
        false => humantime::format_duration(duration).to_string(),
    }
}

/// Compares the properties of two configurations.
pub(super) fn compare_properties(
    properties: &[Property],
    found: &Value,
    wanted: &Value,
) -> Vec<Difference> {
    let differs = |property: &Property| {
        let Property { key, name, unit, can_change } = *property;
        let texts = [found, wanted].map(|config| unit.render(config.get(key)));
        let [found, wanted] = texts;
        let state = match can_change {
            true => DifferenceState::Open,
            false => DifferenceState::Unchangeable,
        };
        (found != wanted).then_some(Difference { property: name, found, wanted, state })
    };
    properties.iter().filter_map(differs).collect()
}

/// Takes over from `wanted` what can be changed, and leaves the rest of `found` as it is: newer servers have
/// properties that this program does not know.
pub(super) fn update_config(properties: &[Property], found: &Value, wanted: &Value) -> Value {
    let mut updated = found.clone();
    for Property { key, .. } in properties.iter().filter(|property| property.can_change) {
        if let Some(value) = wanted.get(key) {
            updated[*key] = value.clone();
        }
    }
    updated
}

/// Whether an update would change something.
pub(super) fn has_open(differences: &[Difference]) -> bool {
    differences.iter().any(|difference| difference.state == DifferenceState::Open)
}

pub(super) fn mark_updated(differences: &mut [Difference]) {
    for difference in differences {
        if difference.state == DifferenceState::Open {
            difference.state = DifferenceState::Updated;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PROPERTIES: &[Property] = &[
        Property::new("max_bytes", "max bytes", PropertyFormat::Limit, true),
        Property::new("max_age", "max age", PropertyFormat::Nanoseconds, true),
        Property::new("storage", "storage", PropertyFormat::Word, false),
        Property::new("subjects", "subjects", PropertyFormat::Words, true),
    ];

    #[test]
    fn no_limit_is_written_in_several_ways() {
        let found = json!({"max_bytes": -1, "storage": "file", "subjects": ["a"]});
        let wanted = json!({"max_bytes": 0, "max_age": 0, "storage": "file", "subjects": ["a"]});
        assert_eq!(compare_properties(PROPERTIES, &found, &wanted), []);
    }

    #[test]
    fn only_what_can_be_changed_is_taken_over() {
        let found = json!({"max_age": 60_000_000_000_u64, "storage": "memory", "subjects": ["a"], "new": {"x": 1}});
        let wanted = json!({"max_age": 0, "storage": "file", "subjects": ["a", "b"]});
        let differences = compare_properties(PROPERTIES, &found, &wanted);
        let texts = |it: &Difference| (it.property, it.found.clone(), it.wanted.clone(), it.state);
        let text = |found: &str, wanted: &str| (found.to_owned(), wanted.to_owned());
        let expected = [
            ("max age", text("1m", "unlimited"), DifferenceState::Open),
            ("storage", text("memory", "file"), DifferenceState::Unchangeable),
            ("subjects", text("a", "a, b"), DifferenceState::Open),
        ];
        let expected = expected.map(|(name, (found, wanted), state)| (name, found, wanted, state));
        assert_eq!(differences.iter().map(texts).collect::<Vec<_>>(), expected);
        let updated = update_config(PROPERTIES, &found, &wanted);
        let expected =
            json!({"max_age": 0, "storage": "memory", "subjects": ["a", "b"], "new": {"x": 1}});
        assert_eq!(updated, expected);
    }
}

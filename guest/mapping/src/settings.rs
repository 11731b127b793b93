//! The plugin's settings, checked.

use serde::Deserialize;
use serde_json::Value;

/// What happens to an event that no row matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unmapped {
    /// It is counted as filtered and goes nowhere.
    #[default]
    Filter,
    /// It goes to the dead letters.
    DeadLetter,
}

/// A row that can match.
#[derive(Debug)]
pub(crate) struct Row {
    /// Counted from 1, as the operator counts.
    pub(crate) number: usize,
    pub(crate) event: String,
    /// Empty: the row hides earlier ones of the same event and names nothing.
    pub(crate) stream: String,
}

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) rows: Vec<Row>,
    pub(crate) fan_out: bool,
    pub(crate) unmapped: Unmapped,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    mappings: Vec<Value>,
    #[serde(default)]
    fan_out: bool,
    #[serde(default)]
    unmapped: Unmapped,
}

impl Settings {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let raw: Raw = serde_json::from_str(text)
            .map_err(|error| format!("the mapping plugin's settings are wrong: {error}"))?;
        let rows = raw.mappings.iter().enumerate();
        let rows = rows.filter_map(|(index, row)| parse_row(index + 1, row).transpose());
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        if rows.iter().all(|row| row.stream.is_empty()) {
            return Err("no mapping row names both an event and a stream: add `[[plugin.settings.mappings]]` \
                        with `event` and `stream`, or give `--map EVENT=STREAM` (`*` matches every event)"
                .to_owned());
        }
        Ok(Settings { rows, fan_out: raw.fan_out, unmapped: raw.unmapped })
    }
}

/// `None` for a row whose `event` can match nothing.
fn parse_row(number: usize, row: &Value) -> Result<Option<Row>, String> {
    let fields = row.as_object().ok_or_else(|| {
        format!("mappings row {number} is no table: write `event = \"...\"` and `stream = \"...\"`")
    })?;
    if let Some(unknown) = fields.keys().find(|key| !matches!(key.as_str(), "event" | "stream")) {
        return Err(format!(
            "mappings row {number} has the unknown key {unknown:?}: a row has `event` and `stream`"
        ));
    }
    let stream = match fields.get("stream") {
        None | Some(Value::Null) => "",
        Some(Value::String(stream)) => stream,
        Some(_) => {
            return Err(format!(
                "mappings row {number}: `stream` must be a string, the name of a delivery stream"
            ));
        }
    };
    let event = fields.get("event").and_then(Value::as_str).unwrap_or_default();
    if event.is_empty() {
        return Ok(None);
    }
    Ok(Some(Row { number, event: event.to_owned(), stream: stream.to_owned() }))
}

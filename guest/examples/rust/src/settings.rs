//! Checks the plugin's settings. Errors are for operators: they name the wrong setting and what to
//! write.

use serde_json::{Map, Value};

use crate::add::Members;

/// What happens to an event that no mapping matches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unmapped {
    /// The event goes to no stream.
    Filter,
    /// The event becomes a dead letter.
    DeadLetter,
}

/// A mapping that can match an event.
pub(crate) struct Row {
    /// The position of the mapping, counted from 1.
    pub(crate) number: usize,
    pub(crate) event: String,
    /// If it is empty, the mapping hides earlier ones of the same event and names no stream.
    pub(crate) stream: String,
}

pub(crate) struct Settings {
    pub(crate) rows: Vec<Row>,
    pub(crate) fan_out: bool,
    pub(crate) unmapped: Unmapped,
    pub(crate) add: Option<Members>,
}

impl Settings {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let raw: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| settings_error("they must be a JSON object"))?;
        let known = ["mappings", "fan_out", "unmapped", "add"];
        if let Some(unknown) = raw.keys().find(|key| !known.contains(&key.as_str())) {
            let message = format!("the key {unknown:?} is unknown: there are {}", known.join(", "));
            return Err(settings_error(&message));
        }
        let fan_out = match raw.get("fan_out") {
            None => false,
            Some(Value::Bool(fan_out)) => *fan_out,
            Some(_) => return Err(settings_error("`fan_out` must be true or false")),
        };
        let unmapped = match raw.get("unmapped").map(Value::as_str) {
            None | Some(Some("filter")) => Unmapped::Filter,
            Some(Some("dead_letter")) => Unmapped::DeadLetter,
            Some(_) => {
                return Err(settings_error("`unmapped` must be \"filter\" or \"dead_letter\""));
            }
        };
        let add = match raw.get("add") {
            None => None,
            Some(Value::Object(members)) => Members::new(members).map_err(|key| {
                settings_error(&format!("`add` must hold strings, and {key:?} is not a string"))
            })?,
            Some(_) => return Err(settings_error("`add` must be an object of strings")),
        };
        let rows = match raw.get("mappings") {
            None => Vec::new(),
            Some(Value::Array(rows)) => parse_rows(rows)?,
            Some(_) => return Err(settings_error("`mappings` must be an array of tables")),
        };
        if rows.iter().all(|row| row.stream.is_empty()) {
            return Err("no mapping names both an event and a stream: add `[[plugin.settings.mappings]]` \
                        with `event` and `stream`, or give `--map EVENT=STREAM` (`*` matches every event)"
                .to_owned());
        }
        Ok(Settings { rows, fan_out, unmapped, add })
    }
}

fn settings_error(message: &str) -> String {
    format!("the mapping plugin's settings are wrong: {message}")
}

/// The mappings that can match an event.
fn parse_rows(rows: &[Value]) -> Result<Vec<Row>, String> {
    let mut parsed = Vec::new();
    for (number, row) in (1..).zip(rows) {
        let row = row.as_object().ok_or_else(|| {
            format!(
                "mapping {number} is not a table: write `event = \"...\"` and `stream = \"...\"`"
            )
        })?;
        if let Some(unknown) = row.keys().find(|key| !matches!(key.as_str(), "event" | "stream")) {
            return Err(format!(
                "mapping {number} has the unknown key {unknown:?}: a mapping has `event` and `stream`"
            ));
        }
        let stream = match row.get("stream") {
            None | Some(Value::Null) => "",
            Some(Value::String(stream)) => stream,
            Some(_) => {
                return Err(format!(
                    "mapping {number}: `stream` must be a string, the name of a delivery stream"
                ));
            }
        };
        match row.get("event") {
            Some(Value::String(event)) if !event.is_empty() => {
                parsed.push(Row { number, event: event.clone(), stream: stream.to_owned() });
            }
            // This entry cannot match an event.
            _ => {}
        }
    }
    Ok(parsed)
}

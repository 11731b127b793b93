//! The settings of a transform.

use serde_json::Value;

use super::change::{change, flatten, redact};
use super::shape::shape;
use super::shared::Shared;
use super::stage::passes;
use super::table::{Outcome, Table};
use crate::fql::Condition;
use crate::path::Path;
use crate::sample::Sample;
use crate::transform::Transform;

/// The keys of all actions.
pub(crate) const ACTIONS: [&str; 21] = [
    "sample",
    "drop",
    "drop_fields",
    "allow_fields",
    "rename",
    "copy",
    "set",
    "default",
    "lookup",
    "partition_keys",
    "trim",
    "lowercase",
    "uppercase",
    "to_string",
    "to_number",
    "to_bool",
    "timestamp",
    "redact",
    "truncate",
    "hash",
    "flatten",
];

/// Read the condition and the actions of a table. Other keys are not looked at.
///
/// # Errors
///
/// An action is wrong; the sentence begins with the table's place.
pub(crate) fn parse(table: Table<'_>, shared: &Shared) -> Outcome<Transform> {
    let stages = [shape(table, shared)?, change(table, shared)?, redact(table)?, flatten(table)?];
    Ok(Transform {
        when: parse_when(table)?,
        sample: parse_sample(table)?,
        drop: table.flag("drop")?,
        passes: passes(stages),
    })
}

/// # Errors
///
/// The condition is none.
pub(crate) fn parse_when(table: Table<'_>) -> Outcome<Option<Condition>> {
    let Some(text) = table.text("when")? else { return Ok(None) };
    Condition::parse(text).map(Some).map_err(|error| table.wrong("when", error))
}

fn parse_sample(table: Table<'_>) -> Outcome<Option<Sample>> {
    let Some(value) = table.get("sample") else { return Ok(None) };
    let (percent, by) = match value {
        Value::Object(fields) => {
            let inner = Table { place: table.place, fields };
            inner.check_keys(&["percent", "by"])?;
            let by = inner.text("by")?.map(Path::parse).transpose();
            (inner.get("percent"), by.map_err(|error| table.wrong("sample", error))?)
        }
        percent => (Some(percent), None),
    };
    let percent = percent.and_then(Value::as_f64).filter(|percent| (0.0..=100.0).contains(percent));
    let percent = percent.ok_or_else(|| {
        let example = "`sample = 10` or `sample = { percent = 10, by = \"userId\" }`";
        table.wrong("sample", format!("write a percentage from 0 to 100: {example}"))
    })?;
    if by.as_ref().is_some_and(|by| by.steps_to_last_array() > 0) {
        return Err(table.wrong("sample", "`by` must be one value: leave `[]` out"));
    }
    Ok(Some(Sample::new(percent, by)))
}

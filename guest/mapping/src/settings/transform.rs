//! The settings of a transform.

use serde_json::Value;

use super::change::{parse_changes, parse_flatten, parse_redactions};
use super::shape::parse_shape;
use super::shared::SharedSettings;
use super::stage::merge_stages;
use super::table::{MappingTable, SettingsResult};
use crate::fql::Condition;
use crate::path::FieldPath;
use crate::sample::SampleRule;
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

/// Parses the condition and the actions of a table. Other keys are ignored.
///
/// # Errors
///
/// Fails if an action is wrong. The sentence starts with the table's position.
pub(crate) fn parse_transform(
    table: MappingTable<'_>,
    shared: &SharedSettings,
) -> SettingsResult<Transform> {
    let stages = [
        parse_shape(table, shared)?,
        parse_changes(table, shared)?,
        parse_redactions(table)?,
        parse_flatten(table)?,
    ];
    Ok(Transform {
        when: parse_when(table)?,
        sample: parse_sample(table)?,
        drop: table.get_flag("drop")?,
        passes: merge_stages(stages),
    })
}

/// # Errors
///
/// Fails if the condition is invalid.
pub(crate) fn parse_when(table: MappingTable<'_>) -> SettingsResult<Option<Condition>> {
    let Some(text) = table.get_text("when")? else { return Ok(None) };
    Condition::parse(text).map(Some).map_err(|error| table.key_error("when", error))
}

fn parse_sample(table: MappingTable<'_>) -> SettingsResult<Option<SampleRule>> {
    let Some(value) = table.get("sample") else { return Ok(None) };
    let (percent, by) = match value {
        Value::Object(fields) => {
            let inner = MappingTable { place: table.place, fields };
            inner.check_keys(&["percent", "by"])?;
            let by = inner.get_text("by")?.map(FieldPath::parse).transpose();
            (inner.get("percent"), by.map_err(|error| table.key_error("sample", error))?)
        }
        percent => (Some(percent), None),
    };
    let percent = percent.and_then(Value::as_f64).filter(|percent| (0.0..=100.0).contains(percent));
    let percent = percent.ok_or_else(|| {
        let example = "`sample = 10` or `sample = { percent = 10, by = \"userId\" }`";
        table.key_error("sample", format!("write a percentage from 0 to 100: {example}"))
    })?;
    if by.as_ref().is_some_and(|by| by.steps_to_last_array() > 0) {
        return Err(table.key_error("sample", "`by` must be one value: leave `[]` out"));
    }
    Ok(Some(SampleRule::new(percent, by)))
}

//! The settings of actions that remove and add members.

use std::sync::Arc;

use serde_json::Value;

use super::shared::SharedSettings;
use super::stage::Stage;
use super::table::{MappingTable, SettingsResult, did_you_mean};
use crate::edit::EditAction;
use crate::path::FieldPath;
use crate::put::{PutValue, ValueSource};
use crate::template::Template;

/// The member with an event's partition keys.
const PARTITION_KEYS: &str = "partition_keys";

/// The value of a partition key that has no value in the event. Firehose rejects records whose keys
/// are null or empty.
const PARTITION_MISSING: &str = "unknown";

/// Parses the actions that remove and add members. All values are read from the original event.
///
/// # Errors
///
/// Fails if an action is wrong, or if two actions affect the same path.
pub(super) fn parse_shape(
    table: MappingTable<'_>,
    shared: &SharedSettings,
) -> SettingsResult<Stage> {
    let mut stage = Stage::default();
    let mut act = |key, path: FieldPath, act| -> SettingsResult<()> {
        if matches!(act, EditAction::Drop) && path.ends_in_array() {
            return Err(
                table.key_error(key, format!("`{path}` is not a member: leave the last `[]` out"))
            );
        }
        stage.add_action(key, path, act).map_err(|error| format!("{}: {error}", table.place))
    };
    for path in table.get_paths("drop_fields")? {
        act("drop_fields", path, EditAction::Drop)?;
    }
    let renames = path_pairs(table, "rename")?;
    for (from, _) in &renames {
        act("rename", from.clone(), EditAction::Drop)?;
    }
    for (path, names) in table.get_values_by_path("allow_fields")? {
        let names = names.as_array().and_then(|names| names.iter().map(Value::as_str).collect());
        let names: Vec<&str> = names.ok_or_else(|| {
            table.key_error("allow_fields", "write lists of names: { properties = [\"plan\"] }")
        })?;
        let names = names.into_iter().map(str::to_owned).collect();
        stage.allow_members(path, names).map_err(|error| format!("{}: {error}", table.place))?;
    }
    for (key, pairs) in [("rename", renames), ("copy", path_pairs(table, "copy")?)] {
        for (from, to) in pairs {
            let slot = stage.add_read(&from, &to).map_err(|error| table.key_error(key, error))?;
            add_put(table, &mut stage, key, to, ValueSource::Copy { slot })?;
        }
    }
    for key in ["set", "default"] {
        for (path, value) in table.get_values_by_path(key)? {
            let source = parse_value(value, &path, &mut stage);
            let source = source.map_err(|error| table.key_error(key, error))?;
            add_put(table, &mut stage, key, path, source)?;
        }
    }
    for item in table.get_items("lookup") {
        let (to, source) = parse_lookup(table, item, shared, &mut stage)?;
        add_put(table, &mut stage, "lookup", to, source)?;
    }
    if let Some(source) = parse_partition_keys(table, &mut stage)? {
        let path = FieldPath::default().member(PARTITION_KEYS);
        add_put(table, &mut stage, PARTITION_KEYS, path, source)?;
    }
    Ok(stage)
}

fn add_put(
    table: MappingTable<'_>,
    stage: &mut Stage,
    key: &'static str,
    path: FieldPath,
    source: ValueSource,
) -> SettingsResult<()> {
    if path.steps().is_empty() {
        return Err(table.key_error(key, "the path is empty: name a field, such as `context.env`"));
    }
    let act = EditAction::Put(PutValue { source, only_missing: key == "default" });
    stage.add_action(key, path, act).map_err(|error| format!("{}: {error}", table.place))
}

/// Pairs of paths, each from the key to the value.
fn path_pairs(table: MappingTable<'_>, key: &str) -> SettingsResult<Vec<(FieldPath, FieldPath)>> {
    let mut pairs = Vec::new();
    for (from, value) in table.get_values_by_path(key)? {
        let targets = match value {
            Value::Array(targets) => targets,
            one => std::slice::from_ref(one),
        };
        if key == "rename" && targets.len() != 1 {
            return Err(table.key_error(
                key,
                format!("`{from}` has only one new path: use `copy` for several"),
            ));
        }
        for to in targets {
            let to = to.as_str().ok_or_else(|| {
                table.key_error(key, format!("write `{from}` = \"the new path\", a string"))
            })?;
            pairs.push((
                from.clone(),
                FieldPath::parse(to).map_err(|error| table.key_error(key, error))?,
            ));
        }
    }
    Ok(pairs)
}

fn parse_value(value: &Value, path: &FieldPath, stage: &mut Stage) -> SettingsResult<ValueSource> {
    match value {
        Value::String(text) if Template::is_one(text) => {
            let template = Template::parse(text)?;
            let first_slot = read_all(&template, path, stage)?;
            Ok(ValueSource::Template { template, first_slot })
        }
        value => Ok(ValueSource::Text(value.to_string().into())),
    }
}

/// Notes the values that a template reads. Returns the first of their slots.
fn read_all(template: &Template, place: &FieldPath, stage: &mut Stage) -> SettingsResult<usize> {
    let mut slots = template.paths().iter().map(|path| stage.add_read(path, place));
    let first = slots.next().transpose()?;
    slots.try_for_each(|slot| slot.map(drop))?;
    Ok(first.unwrap_or_default())
}

fn parse_lookup(
    table: MappingTable<'_>,
    item: &Value,
    shared: &SharedSettings,
    stage: &mut Stage,
) -> SettingsResult<(FieldPath, ValueSource)> {
    let example =
        "`lookup = [{ from = \"context.country\", table = \"regions\", to = \"context.region\" }]`";
    let inner = table.item_table("lookup", item, example)?;
    inner.check_keys(&["from", "table", "to", "default"])?;
    let wants = |key: &str| {
        inner
            .get_text(key)?
            .ok_or_else(|| table.key_error("lookup", format!("it wants `{key}`: {example}")))
    };
    let path =
        |key: &str| FieldPath::parse(wants(key)?).map_err(|error| table.key_error("lookup", error));
    let (from, to, name) = (path("from")?, path("to")?, wants("table")?);
    let found = shared.tables.get(name).ok_or_else(|| {
        let advice = did_you_mean(name, shared.tables.keys().map(String::as_str));
        table
            .key_error("lookup", format!("unknown table [plugin.settings.tables.{name}]: {advice}"))
    })?;
    let slot = stage.add_read(&from, &to).map_err(|error| table.key_error("lookup", error))?;
    let default = inner.get("default").map(|default| default.to_string().into());
    Ok((to, ValueSource::Lookup { table: Arc::clone(found), slot, default }))
}

fn parse_partition_keys(
    table: MappingTable<'_>,
    stage: &mut Stage,
) -> SettingsResult<Option<ValueSource>> {
    let Some(value) = table.get(PARTITION_KEYS) else { return Ok(None) };
    let wrong = |error| table.key_error(PARTITION_KEYS, error);
    let example = "write { tenant = \"properties.tenant\", day = \"${timestamp | date}\" }";
    let fields = value.as_object().filter(|fields| !fields.is_empty());
    let fields = fields.ok_or_else(|| wrong(example.to_owned()))?;
    let mut members = Vec::new();
    for (name, value) in fields {
        let text = value.as_str().ok_or_else(|| wrong(example.to_owned()))?;
        let template = if Template::is_one(text) {
            Template::parse(text)
        } else {
            FieldPath::parse(text).map(Template::of_path)
        };
        let template = template.map_err(wrong)?;
        let first_slot = read_all(&template, &FieldPath::default(), stage).map_err(wrong)?;
        members.push((name.as_str().into(), template, first_slot));
    }
    members.sort_by(|(a, ..): &(Box<str>, _, _), (b, ..)| a.cmp(b));
    Ok(Some(ValueSource::Object { members, missing: PARTITION_MISSING }))
}

//! Converts Segment's destination filters to transforms of the mapping plugin.
//!
//! Segment's API lists filters separately from the destination. Their conditions are kept
//! unchanged, because the plugin reads the same language. Segment first applies all filters that
//! sample, then those that drop events, then those that drop and those that allow properties,
//! regardless of their order.

use serde_json::{Map, Value, json};

use super::{Imported, JsonObject, escape_path, find_field, is_blank, quote_text};

/// The effect of a filter on matching events, in Segment's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum FilterAction {
    Sample,
    Drop,
    DropProperties,
    AllowProperties,
}

impl FilterAction {
    /// Parses an action's name in the Public API or in the older Config API.
    fn parse(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "sample" | "sample_event" => Some(FilterAction::Sample),
            "drop" | "drop_event" => Some(FilterAction::Drop),
            "drop_properties" | "blacklist_fields" | "blocklist_fields" => {
                Some(FilterAction::DropProperties)
            }
            "allow_properties" | "whitelist_fields" | "allowlist_fields" => {
                Some(FilterAction::AllowProperties)
            }
            _ => None,
        }
    }
}

/// Converts filters to equivalent transforms.
pub(super) fn read_filters(filters: &[&Value], imported: &mut Imported) -> Vec<Value> {
    let mut transforms = Vec::new();
    for (index, filter) in filters.iter().enumerate() {
        match filter.as_object() {
            Some(filter) => read_filter(index, filter, &mut transforms, imported),
            None => imported.add_note(format!(
                "destination filter {} is not an object and is left out",
                index + 1
            )),
        }
    }
    // The sort is stable, so filters with the same action keep the order of the export.
    transforms.sort_by_key(|(action, _)| *action);
    transforms.into_iter().map(|(_, transform)| transform).collect()
}

fn read_filter(
    index: usize,
    filter: &JsonObject,
    transforms: &mut Vec<(FilterAction, Value)>,
    imported: &mut Imported,
) {
    let name = match find_field(filter, "title").and_then(Value::as_str) {
        Some(title) if !title.is_empty() => format!("the destination filter {}", quote_text(title)),
        _ => format!("destination filter {}", index + 1),
    };
    if find_field(filter, "enabled") == Some(&Value::Bool(false)) {
        imported.add_note(format!("{name} is left out: it is disabled at Segment"));
        return;
    }
    let Some(condition) = find_field(filter, "if").and_then(Value::as_str) else {
        imported.add_note(format!("{name} is left out: it has no condition `if`"));
        return;
    };
    let actions = find_field(filter, "actions").and_then(Value::as_array);
    for action in actions.map(Vec::as_slice).unwrap_or_default() {
        match read_action(action) {
            Ok((action, fields)) => {
                let mut transform = Map::new();
                if condition.trim() != "all" {
                    transform.insert("when".to_owned(), condition.into());
                }
                transform.extend(fields);
                if transform.get("sample").is_some_and(|sample| sample.get("by").is_some()) {
                    imported.add_note(format!(
                        "{name} samples by a field: this host keeps the same share of users, but \
                         not the same users as Segment"
                    ));
                }
                transforms.push((action, transform.into()));
            }
            Err(reason) => imported.add_note(format!(
                "an action of {name} is left out, so events that it dropped or changed are \
                 delivered unchanged: {reason}"
            )),
        }
    }
    if actions.is_none_or(Vec::is_empty) {
        imported.add_note(format!("{name} is left out: it has no actions"));
    }
}

fn read_action(action: &Value) -> Result<(FilterAction, Map<String, Value>), String> {
    let fields = action.as_object().ok_or("it is not an object")?;
    let word = find_field(fields, "type").and_then(Value::as_str).ok_or("it has no `type`")?;
    let action =
        FilterAction::parse(word).ok_or_else(|| format!("unknown type {}", quote_text(word)))?;
    let transform = match action {
        FilterAction::Drop => json!({"drop": true}),
        FilterAction::Sample => read_sample(fields)?,
        FilterAction::DropProperties => {
            let objects = read_fields(fields)?;
            let paths = objects.iter().flat_map(|(object, names)| {
                object_paths(object).into_iter().flat_map(move |place| {
                    names.iter().map(move |name| join_path(&place, &path_step(name)))
                })
            });
            json!({"drop_fields": paths.collect::<Vec<_>>()})
        }
        FilterAction::AllowProperties => {
            let objects = read_fields(fields)?;
            let objects = objects.into_iter().flat_map(|(object, names)| {
                object_paths(&object).into_iter().map(move |place| (place, json!(names)))
            });
            json!({"allow_fields": objects.collect::<Map<_, _>>()})
        }
    };
    match transform {
        Value::Object(transform) => Ok((action, transform)),
        _ => unreachable!("each of them is an object"),
    }
}

/// Converts `percent`, which is a share from 0 to 1.
fn read_sample(fields: &JsonObject) -> Result<Value, String> {
    let percent = find_field(fields, "percent").and_then(Value::as_f64);
    let share = percent.filter(|share| (0.0..=1.0).contains(share));
    let percent = share.ok_or("its `percent` is not a number from 0 to 1")? * 100.0;
    if percent <= 0.0 {
        return Ok(json!({"drop": true}));
    }
    match find_field(fields, "path").and_then(Value::as_str).filter(|path| !path.is_empty()) {
        None => Ok(json!({"sample": percent})),
        Some(path) => Ok(json!({"sample": {"percent": percent, "by": path}})),
    }
}

/// The dropped or allowed names, by the path of their object. "" is the event itself.
fn read_fields(fields: &JsonObject) -> Result<Vec<(String, Vec<String>)>, String> {
    let objects = find_field(fields, "fields").and_then(Value::as_object);
    let objects = objects.filter(|objects| !is_blank(&Value::Object((*objects).clone())));
    let objects = objects.ok_or("its `fields` are not an object of lists")?;
    let read = |(object, names): (&String, &Value)| {
        let names = names.get("fields").unwrap_or(names).as_array()?;
        let names = names.iter().map(|name| name.as_str().map(str::to_owned));
        Some((object.clone(), names.collect::<Option<Vec<_>>>()?))
    };
    let objects: Option<Vec<_>> = objects.iter().map(read).collect();
    objects.ok_or_else(|| "its `fields` are not an object of lists".to_owned())
}

/// The paths of an object. At Segment, the object may also be an array of objects, but not at the
/// top level of an event.
fn object_paths(object: &str) -> Vec<String> {
    let steps: Vec<_> = object.split('.').map(path_step).collect();
    let path = steps.join(".");
    match steps.len() {
        1 => vec![path],
        _ => vec![path.clone(), path + "[]"],
    }
}

fn join_path(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

/// A name as a step in a path of transforms.
fn path_step(name: &str) -> String {
    escape_path(name, |character| matches!(character, '.' | '[' | ']' | '\\'))
}

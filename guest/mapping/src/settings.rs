//! The checked settings of the plugin.

mod change;
mod row;
mod shape;
mod shared;
mod stage;
pub(crate) mod table;
mod transform;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::switches::EventSwitches;
use crate::transform::Transform;
use shared::SharedSettings;
use table::{MappingTable, SettingsResult};
use transform::ACTIONS;

use row::NO_TRANSFORM;
pub(crate) use row::{MappingRow, RowTarget};

/// The name of the whole settings in errors.
const WHOLE: &str = "the mapping plugin's settings";

const KEYS: [&str; 9] = [
    "mappings",
    "fan_out",
    "unmapped",
    "transforms",
    "secrets",
    "tables",
    "streams_allowed",
    "integrations",
    "consent",
];

/// What happens to an event that matches no mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum UnmappedPolicy {
    /// The event counts as filtered.
    #[default]
    Filter,
    /// The event becomes a dead letter.
    DeadLetter,
}

#[derive(Debug)]
pub(crate) struct MappingSettings {
    pub(crate) rows: Vec<MappingRow>,
    pub(crate) fan_out: bool,
    pub(crate) unmapped: UnmappedPolicy,
    pub(crate) switches: EventSwitches,
    /// The transforms for all events, in order.
    pub(crate) transforms: Vec<Arc<Transform>>,
    /// Streams and patterns of streams that templates may choose. Empty if the text of each
    /// template limits them.
    pub(crate) streams_allowed: Vec<String>,
}

/// The parts of an event that the rules need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventNeeds {
    /// The name and type.
    Kind,
    /// The name, the type and a random number.
    Chance,
    /// The whole text.
    Text,
}

/// Transforms that rows use by name.
pub(crate) type NamedTransforms = HashMap<String, Arc<Transform>>;

impl MappingSettings {
    /// Parses settings.
    ///
    /// # Errors
    ///
    /// Fails if settings are wrong. Returns all mistakes, each as a sentence. There is at least
    /// one.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<String>> {
        let fields: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| vec![format!("{WHOLE} are wrong: {error}")])?;
        let table = MappingTable { place: WHOLE, fields: &fields };
        let mut mistakes = Vec::new();
        note_mistake(&mut mistakes, table.check_keys(&KEYS));
        let shared = note_mistake(&mut mistakes, parse_shared(table)).unwrap_or_default();
        let fan_out = note_mistake(&mut mistakes, table.get_flag("fan_out"));
        let unmapped = note_mistake(&mut mistakes, parse_unmapped(table));
        let switches = EventSwitches::parse(table.get("integrations"), table.get("consent"));
        let switches = note_mistake(&mut mistakes, switches);
        let streams_allowed = note_mistake(&mut mistakes, table.get_texts("streams_allowed"));
        let before = mistakes.len();
        let (for_all, named) = parse_transforms(table, &shared, &mut mistakes);
        let of_rows = mistakes.len();
        let has_all = of_rows == before;
        let rows = parse_rows(table, &shared, &named, &mut mistakes);
        if !has_all {
            // A mapping may name one of the wrong transforms.
            let mut rest = mistakes.split_off(of_rows);
            rest.retain(|mistake| !mistake.contains(NO_TRANSFORM));
            mistakes.extend(rest);
        }
        let (Some(fan_out), Some(unmapped), Some(switches), Some(streams_allowed), Some(rows)) =
            (fan_out, unmapped, switches, streams_allowed, rows)
        else {
            return Err(mistakes);
        };
        let unused = named.keys().find(|name| !rows.iter().any(|row| row.uses.contains(*name)));
        if let Some(unused) = unused {
            mistakes.push(format!(
                "no mapping names the transform {unused:?}, so it does nothing: write `transform = \
                 {unused:?}` in a mapping, or leave its `name` out to have it run for all events"
            ));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let streams_allowed = streams_allowed.into_iter().map(str::to_owned).collect();
        Ok(MappingSettings {
            rows,
            fan_out,
            unmapped,
            switches,
            transforms: for_all,
            streams_allowed,
        })
    }
}

/// Returns a valid value, or adds the mistake to the list.
fn note_mistake<T>(mistakes: &mut Vec<String>, read: SettingsResult<T>) -> Option<T> {
    read.map_err(|mistake| mistakes.push(mistake)).ok()
}

impl MappingSettings {
    /// Whether the settings only have plain rows.
    pub(crate) fn is_plain(&self) -> bool {
        self.switches.is_empty()
            && self.transforms.is_empty()
            && self.rows.iter().all(MappingRow::is_plain)
    }

    pub(crate) fn needs(&self) -> EventNeeds {
        let of_rows = self.rows.iter().flat_map(|row| &row.transforms);
        let mut transforms = self.transforms.iter().chain(of_rows);
        if !self.switches.is_empty()
            || self.rows.iter().any(MappingRow::reads_text)
            || transforms.clone().any(|transform| transform.reads_text())
        {
            EventNeeds::Text
        } else if transforms.any(|transform| transform.sample.is_some()) {
            EventNeeds::Chance
        } else {
            EventNeeds::Kind
        }
    }
}

fn parse_unmapped(table: MappingTable<'_>) -> SettingsResult<UnmappedPolicy> {
    match table.get_text("unmapped")? {
        None | Some("filter") => Ok(UnmappedPolicy::Filter),
        Some("dead_letter") => Ok(UnmappedPolicy::DeadLetter),
        Some(_) => Err(table.key_error("unmapped", "write \"filter\" or \"dead_letter\"")),
    }
}

/// Returns `None` if a row is wrong.
fn parse_rows(
    table: MappingTable<'_>,
    shared: &SharedSettings,
    named: &NamedTransforms,
    mistakes: &mut Vec<String>,
) -> Option<Vec<MappingRow>> {
    let before = mistakes.len();
    let mut rows = Vec::new();
    for (index, row) in table.get_items("mappings").iter().enumerate() {
        let row = note_mistake(mistakes, MappingRow::parse(index + 1, row, shared, named));
        rows.extend(row.flatten());
    }
    if mistakes.len() > before {
        return None;
    }
    if rows.iter().all(MappingRow::names_nothing) {
        mistakes.push(
            "no mapping names both an event and a stream: add `[[plugin.settings.mappings]]` \
             with `event` and `stream`, or give `--map EVENT=STREAM` (`*` matches every event)"
                .to_owned(),
        );
        return None;
    }
    Some(rows)
}

/// Returns the valid transforms: those for all events, and those with a name.
fn parse_transforms(
    table: MappingTable<'_>,
    shared: &SharedSettings,
    mistakes: &mut Vec<String>,
) -> (Vec<Arc<Transform>>, NamedTransforms) {
    let (mut for_all, mut named) = (Vec::new(), NamedTransforms::new());
    for (index, value) in table.get_items("transforms").iter().enumerate() {
        let place = format!("transform {}", index + 1);
        let Some((name, transform)) =
            note_mistake(mistakes, parse_transform(&place, value, shared))
        else {
            continue;
        };
        match name {
            None => for_all.push(transform),
            Some(name) => {
                if named.insert(name.clone(), transform).is_some() {
                    let problem = format!("there are two transforms {name:?}: rename one");
                    mistakes.push(format!("{place}: `name`: {problem}"));
                }
            }
        }
    }
    (for_all, named)
}

/// A transform, and its name if it has one.
fn parse_transform(
    place: &str,
    value: &Value,
    shared: &SharedSettings,
) -> SettingsResult<(Option<String>, Arc<Transform>)> {
    let table =
        MappingTable::new(place, value, "`[[plugin.settings.transforms]]` with actions in it")?;
    let keys: Vec<_> = ["name", "when"].into_iter().chain(ACTIONS).collect();
    table.check_keys(&keys)?;
    let transform = transform::parse_transform(table, shared)?;
    if transform.is_empty() {
        return Err(format!(
            "{place} does nothing: add an action, such as `drop_fields = [\"context.ip\"]`"
        ));
    }
    Ok((table.get_text("name")?.map(str::to_owned), Arc::new(transform)))
}

fn parse_shared(table: MappingTable<'_>) -> SettingsResult<SharedSettings> {
    let mut shared = SharedSettings::default();
    for (name, value) in parse_object(table, "secrets")? {
        // The message leaves out the value, which may be a secret.
        let secret = value.as_str().filter(|secret| !secret.is_empty());
        let secret = secret.ok_or_else(|| {
            table.key_error("secrets", format!("{name:?} must be a string that is not empty"))
        })?;
        shared.secrets.insert(name.clone(), secret.to_owned());
    }
    for (name, value) in parse_object(table, "tables")? {
        let rows = value.as_object().ok_or_else(|| {
            table.key_error(
                "tables",
                format!("{name:?} is not a table: write [plugin.settings.tables.{name}]"),
            )
        })?;
        let rows = rows.iter().map(|(key, value)| (key.clone(), value.to_string().into()));
        shared.tables.insert(name.clone(), Arc::new(rows.collect()));
    }
    Ok(shared)
}

fn parse_object<'a>(
    table: MappingTable<'a>,
    key: &str,
) -> SettingsResult<impl Iterator<Item = (&'a String, &'a Value)>> {
    let fields = match table.get(key) {
        None => None,
        Some(Value::Object(fields)) => Some(fields),
        Some(_) => {
            return Err(table.key_error(key, format!("write [plugin.settings.{key}], a table")));
        }
    };
    Ok(fields.into_iter().flatten())
}

/// The names of transforms that a row calls.
type UsedTransforms = HashSet<String>;

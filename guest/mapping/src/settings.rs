//! The plugin's settings, checked.

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

use crate::switches::Switches;
use crate::transform::Transform;
use shared::Shared;
use table::{Outcome, Table};
use transform::ACTIONS;

use row::NO_TRANSFORM;
pub(crate) use row::{Row, Stream};

/// The words for the settings as a whole in errors.
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

/// What happens to an event that no row matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Unmapped {
    /// It is counted as filtered and goes nowhere.
    #[default]
    Filter,
    /// It goes to the dead letters.
    DeadLetter,
}

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) rows: Vec<Row>,
    pub(crate) fan_out: bool,
    pub(crate) unmapped: Unmapped,
    pub(crate) switches: Switches,
    /// Those for all events, in their order.
    pub(crate) transforms: Vec<Arc<Transform>>,
    /// Streams and patterns of streams that templates may choose from; empty
    /// where each template's own text bounds it.
    pub(crate) streams_allowed: Vec<String>,
}

/// What of an event decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Its name and type.
    Kind,
    /// These and chance.
    Chance,
    /// Its text.
    Text,
}

/// Transforms that rows call by name.
pub(crate) type Named = HashMap<String, Arc<Transform>>;

impl Settings {
    /// Read settings.
    ///
    /// # Errors
    ///
    /// Something is wrong: all of it is told, at least one sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<String>> {
        let fields: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| vec![format!("{WHOLE} are wrong: {error}")])?;
        let table = Table { place: WHOLE, fields: &fields };
        let mut mistakes = Vec::new();
        note(&mut mistakes, table.check_keys(&KEYS));
        let shared = note(&mut mistakes, parse_shared(table)).unwrap_or_default();
        let fan_out = note(&mut mistakes, table.flag("fan_out"));
        let unmapped = note(&mut mistakes, parse_unmapped(table));
        let switches = Switches::parse(table.get("integrations"), table.get("consent"));
        let switches = note(&mut mistakes, switches);
        let streams_allowed = note(&mut mistakes, table.texts("streams_allowed"));
        let before = mistakes.len();
        let (for_all, named) = parse_transforms(table, &shared, &mut mistakes);
        let of_rows = mistakes.len();
        let has_all = of_rows == before;
        let rows = parse_rows(table, &shared, &named, &mut mistakes);
        if !has_all {
            // A row may name one of the transforms that are wrong.
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
                "no mapping row names the transform {unused:?}, so it does nothing: write `transform = \
                 {unused:?}` in a row, or leave its `name` out to have it run for all events"
            ));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let streams_allowed = streams_allowed.into_iter().map(str::to_owned).collect();
        Ok(Settings { rows, fan_out, unmapped, switches, transforms: for_all, streams_allowed })
    }
}

/// What was read, if it is right; or else one mistake more.
fn note<T>(mistakes: &mut Vec<String>, read: Outcome<T>) -> Option<T> {
    read.map_err(|mistake| mistakes.push(mistake)).ok()
}

impl Settings {
    /// Whether rows are all that is set, and these plain.
    pub(crate) fn is_plain(&self) -> bool {
        self.switches.is_empty()
            && self.transforms.is_empty()
            && self.rows.iter().all(Row::is_plain)
    }

    pub(crate) fn needs(&self) -> Needs {
        let of_rows = self.rows.iter().flat_map(|row| &row.transforms);
        let mut transforms = self.transforms.iter().chain(of_rows);
        if !self.switches.is_empty()
            || self.rows.iter().any(Row::reads_text)
            || transforms.clone().any(|transform| transform.reads_text())
        {
            Needs::Text
        } else if transforms.any(|transform| transform.sample.is_some()) {
            Needs::Chance
        } else {
            Needs::Kind
        }
    }
}

fn parse_unmapped(table: Table<'_>) -> Outcome<Unmapped> {
    match table.text("unmapped")? {
        None | Some("filter") => Ok(Unmapped::Filter),
        Some("dead_letter") => Ok(Unmapped::DeadLetter),
        Some(_) => Err(table.wrong("unmapped", "write \"filter\" or \"dead_letter\"")),
    }
}

/// None where a row is wrong.
fn parse_rows(
    table: Table<'_>,
    shared: &Shared,
    named: &Named,
    mistakes: &mut Vec<String>,
) -> Option<Vec<Row>> {
    let before = mistakes.len();
    let mut rows = Vec::new();
    for (index, row) in table.items("mappings").iter().enumerate() {
        let row = note(mistakes, Row::parse(index + 1, row, shared, named));
        rows.extend(row.flatten());
    }
    if mistakes.len() > before {
        return None;
    }
    if rows.iter().all(Row::names_nothing) {
        mistakes.push(
            "no mapping row names both an event and a stream: add `[[plugin.settings.mappings]]` \
             with `event` and `stream`, or give `--map EVENT=STREAM` (`*` matches every event)"
                .to_owned(),
        );
        return None;
    }
    Some(rows)
}

/// Those for all events, and those that have a name: all that are right.
fn parse_transforms(
    table: Table<'_>,
    shared: &Shared,
    mistakes: &mut Vec<String>,
) -> (Vec<Arc<Transform>>, Named) {
    let (mut for_all, mut named) = (Vec::new(), Named::new());
    for (index, value) in table.items("transforms").iter().enumerate() {
        let place = format!("transform {}", index + 1);
        let Some((name, transform)) = note(mistakes, parse_transform(&place, value, shared)) else {
            continue;
        };
        match name {
            None => for_all.push(transform),
            Some(name) => {
                if named.insert(name.clone(), transform).is_some() {
                    let problem = format!("there are two of {name:?}: rename one");
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
    shared: &Shared,
) -> Outcome<(Option<String>, Arc<Transform>)> {
    let table = Table::of(place, value, "`[[plugin.settings.transforms]]` with actions in it")?;
    let keys: Vec<_> = ["name", "when"].into_iter().chain(ACTIONS).collect();
    table.check_keys(&keys)?;
    let transform = transform::parse(table, shared)?;
    if transform.is_empty() {
        return Err(format!(
            "{place} does nothing: give it an action, like `drop_fields = [\"context.ip\"]`"
        ));
    }
    Ok((table.text("name")?.map(str::to_owned), Arc::new(transform)))
}

fn parse_shared(table: Table<'_>) -> Outcome<Shared> {
    let mut shared = Shared::default();
    for (name, value) in object(table, "secrets")? {
        // Without the value, which would be shown.
        let secret = value.as_str().filter(|secret| !secret.is_empty());
        let secret = secret.ok_or_else(|| {
            table.wrong("secrets", format!("{name:?} must be a string that is not empty"))
        })?;
        shared.secrets.insert(name.clone(), secret.to_owned());
    }
    for (name, value) in object(table, "tables")? {
        let rows = value.as_object().ok_or_else(|| {
            table.wrong(
                "tables",
                format!("{name:?} is no table: write [plugin.settings.tables.{name}]"),
            )
        })?;
        let rows = rows.iter().map(|(key, value)| (key.clone(), value.to_string().into()));
        shared.tables.insert(name.clone(), Arc::new(rows.collect()));
    }
    Ok(shared)
}

fn object<'a>(
    table: Table<'a>,
    key: &str,
) -> Outcome<impl Iterator<Item = (&'a String, &'a Value)>> {
    let fields = match table.get(key) {
        None => None,
        Some(Value::Object(fields)) => Some(fields),
        Some(_) => return Err(table.wrong(key, format!("write [plugin.settings.{key}], a table"))),
    };
    Ok(fields.into_iter().flatten())
}

/// The names of transforms that a row calls.
type Uses = HashSet<String>;

//! The plugin's settings, checked.

mod change;
mod row;
mod shape;
mod stage;
pub(crate) mod table;
mod transform;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::switches::Switches;
use crate::transform::Transform;
use table::{Outcome, Table};
use transform::{ACTIONS, Shared};

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
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let fields: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| format!("{WHOLE} are wrong: {error}"))?;
        let table = Table { place: WHOLE, fields: &fields };
        table.check_keys(&KEYS)?;
        let shared = parse_shared(table)?;
        let (transforms, named) = parse_transforms(table, &shared)?;
        let rows = parse_rows(table, &shared, &named)?;
        let unused = named.keys().find(|name| !rows.iter().any(|row| row.uses.contains(*name)));
        if let Some(unused) = unused {
            return Err(format!(
                "no mapping row names the transform {unused:?}, so it does nothing: write `transform = \
                 {unused:?}` in a row, or leave its `name` out to have it run for all events"
            ));
        }
        Ok(Settings {
            rows,
            fan_out: table.flag("fan_out")?,
            unmapped: parse_unmapped(table)?,
            switches: Switches::parse(table.get("integrations"), table.get("consent"))?,
            transforms,
            streams_allowed: table
                .texts("streams_allowed")?
                .into_iter()
                .map(str::to_owned)
                .collect(),
        })
    }
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

fn parse_rows(table: Table<'_>, shared: &Shared, named: &Named) -> Outcome<Vec<Row>> {
    let rows = table.items("mappings").iter().enumerate();
    let rows =
        rows.filter_map(|(index, row)| Row::parse(index + 1, row, shared, named).transpose());
    let rows = rows.collect::<Outcome<Vec<_>>>()?;
    if rows.iter().all(Row::names_nothing) {
        return Err("no mapping row names both an event and a stream: add `[[plugin.settings.mappings]]` \
                    with `event` and `stream`, or give `--map EVENT=STREAM` (`*` matches every event)"
            .to_owned());
    }
    Ok(rows)
}

/// Those for all events, and those that have a name.
fn parse_transforms(table: Table<'_>, shared: &Shared) -> Outcome<(Vec<Arc<Transform>>, Named)> {
    let (mut for_all, mut named) = (Vec::new(), Named::new());
    for (index, value) in table.items("transforms").iter().enumerate() {
        let place = format!("transform {}", index + 1);
        let table =
            Table::of(&place, value, "`[[plugin.settings.transforms]]` with actions in it")?;
        let keys: Vec<_> = ["name", "when"].into_iter().chain(ACTIONS).collect();
        table.check_keys(&keys)?;
        let transform = transform::parse(table, shared)?;
        if transform.is_empty() {
            return Err(format!(
                "{place} does nothing: give it an action, like `drop_fields = [\"context.ip\"]`"
            ));
        }
        let transform = Arc::new(transform);
        match table.text("name")? {
            None => for_all.push(transform),
            Some(name) => {
                if named.insert(name.to_owned(), transform).is_some() {
                    return Err(
                        table.wrong("name", format!("there are two of {name:?}: rename one"))
                    );
                }
            }
        }
    }
    Ok((for_all, named))
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

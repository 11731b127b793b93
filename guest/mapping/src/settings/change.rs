//! The settings of actions that change values.

use serde_json::Value;

use super::shared::Shared;
use super::stage::Stage;
use super::table::{Outcome, Table, did_you_mean};
use crate::change::{Change, Clock, Hash};
use crate::edit::Act;
use crate::path::Path;
use crate::redact::Detectors;
use crate::timestamp::{Reading, Writing, Zone};

/// What a redacted value becomes.
const REDACTED: &str = "[redacted]";

/// What changes single values, in this order at each of them.
pub(super) fn change(table: Table<'_>, shared: &Shared) -> Outcome<Stage> {
    let mut changes: Vec<(Path, &'static str, Vec<Change>)> = Vec::new();
    let mut add = |key: &'static str, path: Path, change: Change| match changes
        .iter_mut()
        .find(|(other, ..)| *other == path)
    {
        Some((_, _, changes)) => changes.push(change),
        None => changes.push((path, key, vec![change])),
    };
    for (key, change) in [
        ("trim", Change::Trim),
        ("lowercase", Change::Lowercase),
        ("uppercase", Change::Uppercase),
        ("to_string", Change::ToString),
        ("to_number", Change::ToNumber),
        ("to_bool", Change::ToBool),
    ] {
        for path in table.paths(key)? {
            add(key, path, change.clone());
        }
    }
    for item in table.items("timestamp") {
        let (paths, clock) = parse_clock(table, item)?;
        let change = Change::Timestamp(Box::new(clock));
        paths.into_iter().for_each(|path| add("timestamp", path, change.clone()));
    }
    for item in table.items("redact") {
        let item = Redaction::parse(table, item)?;
        if item.find.is_none() {
            item.paths
                .into_iter()
                .for_each(|path| add("redact", path, Change::Mask(item.with.into())));
        }
    }
    for (path, value) in table.by_path("truncate")? {
        let characters = value.as_u64().and_then(|characters| usize::try_from(characters).ok());
        let characters = characters.ok_or_else(|| {
            table.wrong("truncate", format!("write `{path}` = a number of characters"))
        })?;
        add("truncate", path, Change::Truncate(characters));
    }
    for item in table.items("hash") {
        let (paths, hash) = parse_hash(table, item, shared)?;
        paths.into_iter().for_each(|path| add("hash", path, Change::Hash(hash.clone())));
    }
    let mut stage = Stage::default();
    for (path, key, changes) in changes {
        let placed = stage.act(key, path, Act::Change(changes));
        placed.map_err(|error| format!("{}: {error}", table.place))?;
    }
    Ok(stage)
}

/// One item of `redact`.
struct Redaction<'a> {
    paths: Vec<Path>,
    /// What is found in strings; none where values are redacted whole.
    find: Option<Detectors>,
    with: &'a str,
}

impl<'a> Redaction<'a> {
    fn parse(table: Table<'a>, item: &'a Value) -> Outcome<Self> {
        if item.is_string() {
            return Ok(Redaction {
                paths: item_paths(table, "redact", item)?,
                find: None,
                with: REDACTED,
            });
        }
        let example = "`redact = [\"traits.phone\", { find = [\"email\"] }]`";
        let inner = table.item("redact", item, example)?;
        inner.check_keys(&["path", "paths", "find", "with"])?;
        let paths = item_paths(table, "redact", item)?;
        let find =
            inner.get("find").map(|_| parse_detectors(table, &inner.texts("find")?)).transpose()?;
        let with = inner.text("with")?;
        if find.is_some() && with.is_some() {
            return Err(table.wrong("redact", "`with` is for whole values: leave it or `find` out"));
        }
        if find.is_none() && paths.is_empty() {
            return Err(table.wrong("redact", format!("it wants `path` or `find`: {example}")));
        }
        Ok(Redaction { paths, find, with: with.unwrap_or(REDACTED) })
    }
}

fn parse_detectors(table: Table<'_>, names: &[&str]) -> Outcome<Detectors> {
    let mut detectors = Detectors::default();
    for name in names {
        match *name {
            "email" => detectors.email = true,
            "phone" => detectors.phone = true,
            "card" => detectors.card = true,
            "ip" => detectors.ip = true,
            other => {
                let advice = did_you_mean(other, ["email", "phone", "card", "ip"]);
                return Err(table.wrong("redact", format!("unknown `find` {other:?}: {advice}")));
            }
        }
    }
    if detectors == Detectors::default() {
        return Err(table.wrong("redact", "`find` is empty: write `find = [\"email\", \"card\"]`"));
    }
    Ok(detectors)
}

/// What is redacted wherever it is found, once all values are changed.
///
/// # Errors
///
/// An action is wrong, or two are about the same place.
pub(super) fn redact(table: Table<'_>) -> Outcome<Stage> {
    let mut stage = Stage::default();
    for item in table.items("redact") {
        let Redaction { paths, find: Some(detectors), .. } = Redaction::parse(table, item)? else {
            continue;
        };
        let everywhere = if paths.is_empty() { vec![Path::default()] } else { Vec::new() };
        for path in everywhere.into_iter().chain(paths) {
            let placed = stage.act("redact", path, Act::Redact(detectors));
            placed.map_err(|error| format!("{}: {error}", table.place))?;
        }
    }
    Ok(stage)
}

/// What is flattened, at last.
///
/// # Errors
///
/// An action is wrong, or two are about the same place.
pub(super) fn flatten(table: Table<'_>) -> Outcome<Stage> {
    let mut stage = Stage::default();
    for (path, separator) in table.by_path("flatten")? {
        let separator = separator.as_str().ok_or_else(|| {
            table.wrong("flatten", "write what stands between keys: { properties = \"_\" }")
        })?;
        let placed = stage.act("flatten", path, Act::Flatten(separator.into()));
        placed.map_err(|error| format!("{}: {error}", table.place))?;
    }
    Ok(stage)
}

fn parse_hash(table: Table<'_>, item: &Value, shared: &Shared) -> Outcome<(Vec<Path>, Hash)> {
    if item.is_string() {
        return Ok((item_paths(table, "hash", item)?, Hash::Sha256));
    }
    let example = "`hash = [{ path = \"userId\", with = \"hmac-sha256\", secret = \"pii\" }]`";
    let inner = table.item("hash", item, example)?;
    inner.check_keys(&["path", "paths", "with", "secret"])?;
    let paths = item_paths(table, "hash", item)?;
    if paths.is_empty() {
        return Err(table.wrong("hash", format!("it wants `path`: {example}")));
    }
    let hash = match (inner.text("with")?, inner.text("secret")?) {
        (None | Some("sha256"), None) => Hash::Sha256,
        (Some("sha256"), Some(_)) => {
            return Err(
                table.wrong("hash", "sha256 takes no secret: write `with = \"hmac-sha256\"`")
            );
        }
        (None | Some("hmac-sha256"), Some(name)) => {
            let secret = shared.secrets.get(name).ok_or_else(|| {
                let advice = match shared.secrets.is_empty() {
                    true => "add [plugin.settings.secrets]".to_owned(),
                    false => did_you_mean(name, shared.secrets.keys().map(String::as_str)),
                };
                table.wrong("hash", format!("there is no secret {name:?}: {advice}"))
            })?;
            Hash::with_secret(secret)
        }
        (Some("hmac-sha256"), None) => {
            return Err(table.wrong("hash", format!("hmac-sha256 wants a secret: {example}")));
        }
        (Some(other), _) => {
            let advice = did_you_mean(other, ["sha256", "hmac-sha256"]);
            return Err(table.wrong("hash", format!("unknown `with = {other:?}`: {advice}")));
        }
    };
    Ok((paths, hash))
}

fn parse_clock(table: Table<'_>, item: &Value) -> Outcome<(Vec<Path>, Clock)> {
    let paths = item_paths(table, "timestamp", item)?;
    let mut clock = Clock { reading: Reading::Any, writing: Writing::Rfc3339, zone: Zone::UTC };
    if item.is_string() {
        return Ok((paths, clock));
    }
    let example = "`timestamp = [{ path = \"timestamp\", to = \"unix_millis\" }]`";
    let inner = table.item("timestamp", item, example)?;
    inner.check_keys(&["path", "paths", "from", "to", "zone"])?;
    if paths.is_empty() {
        return Err(table.wrong("timestamp", format!("it wants `path`: {example}")));
    }
    clock.reading = match inner.text("from")?.unwrap_or("any") {
        "any" => Reading::Any,
        "iso8601" => Reading::Iso8601,
        "unix_seconds" => Reading::UnixSeconds,
        "unix_millis" => Reading::UnixMillis,
        other => {
            let advice = did_you_mean(other, ["any", "iso8601", "unix_seconds", "unix_millis"]);
            return Err(table.wrong("timestamp", format!("unknown `from = {other:?}`: {advice}")));
        }
    };
    clock.writing = match inner.text("to")?.unwrap_or("rfc3339") {
        "rfc3339" => Writing::Rfc3339,
        "date" => Writing::Date,
        "unix_seconds" => Writing::UnixSeconds,
        "unix_millis" => Writing::UnixMillis,
        format if format.contains('%') => {
            Writing::format(format).map_err(|error| table.wrong("timestamp", error))?
        }
        other => {
            let advice = did_you_mean(other, ["rfc3339", "date", "unix_seconds", "unix_millis"]);
            let advice = format!("{advice} A format has `%` in it, like `%d.%m.%Y`");
            return Err(table.wrong("timestamp", format!("unknown `to = {other:?}`: {advice}")));
        }
    };
    if let Some(zone) = inner.text("zone")? {
        clock.zone = Zone::parse(zone).map_err(|error| table.wrong("timestamp", error))?;
    }
    Ok((paths, clock))
}

/// The paths of an item: a string, or a table with `path` or `paths`.
fn item_paths(table: Table<'_>, key: &str, item: &Value) -> Outcome<Vec<Path>> {
    let parse = |text: &str| Path::parse(text).map_err(|error| table.wrong(key, error));
    if let Some(path) = item.as_str() {
        return Ok(vec![parse(path)?]);
    }
    let inner = table.item(key, item, "a path or a table")?;
    let texts = inner.texts("path")?.into_iter().chain(inner.texts("paths")?);
    texts.map(parse).collect()
}

//! The settings of actions that change values.

use serde_json::Value;

use super::shared::SharedSettings;
use super::stage::Stage;
use super::table::{MappingTable, SettingsResult, did_you_mean};
use crate::change::{Clock, Hash, ValueChange};
use crate::edit::EditAction;
use crate::path::FieldPath;
use crate::redact::Detectors;
use crate::timestamp::{Reading, Writing, Zone};

/// Replaces a redacted value.
const REDACTED: &str = "[redacted]";

/// Parses the actions that change single values, in their order.
pub(super) fn parse_changes(
    table: MappingTable<'_>,
    shared: &SharedSettings,
) -> SettingsResult<Stage> {
    let mut changes: Vec<(FieldPath, &'static str, Vec<ValueChange>)> = Vec::new();
    let mut add = |key: &'static str, path: FieldPath, change: ValueChange| match changes
        .iter_mut()
        .find(|(other, ..)| *other == path)
    {
        Some((_, _, changes)) => changes.push(change),
        None => changes.push((path, key, vec![change])),
    };
    for (key, change) in [
        ("trim", ValueChange::Trim),
        ("lowercase", ValueChange::Lowercase),
        ("uppercase", ValueChange::Uppercase),
        ("to_string", ValueChange::ToString),
        ("to_number", ValueChange::ToNumber),
        ("to_bool", ValueChange::ToBool),
    ] {
        for path in table.get_paths(key)? {
            add(key, path, change.clone());
        }
    }
    for item in table.get_items("timestamp") {
        let (paths, clock) = parse_clock(table, item)?;
        let change = ValueChange::Timestamp(Box::new(clock));
        paths.into_iter().for_each(|path| add("timestamp", path, change.clone()));
    }
    for item in table.get_items("redact") {
        let item = RedactionItem::parse(table, item)?;
        if item.find.is_none() {
            item.paths
                .into_iter()
                .for_each(|path| add("redact", path, ValueChange::Mask(item.with.into())));
        }
    }
    for (path, value) in table.get_values_by_path("truncate")? {
        let characters = value.as_u64().and_then(|characters| usize::try_from(characters).ok());
        let characters = characters.ok_or_else(|| {
            table.key_error("truncate", format!("write `{path}` = a number of characters"))
        })?;
        add("truncate", path, ValueChange::Truncate(characters));
    }
    for item in table.get_items("hash") {
        let (paths, hash) = parse_hash(table, item, shared)?;
        paths.into_iter().for_each(|path| add("hash", path, ValueChange::Hash(hash.clone())));
    }
    let mut stage = Stage::default();
    for (path, key, changes) in changes {
        let placed = stage.add_action(key, path, EditAction::Change(changes));
        placed.map_err(|error| format!("{}: {error}", table.place))?;
    }
    Ok(stage)
}

/// One item of `redact`.
struct RedactionItem<'a> {
    paths: Vec<FieldPath>,
    /// The detectors; `None` if values are redacted whole.
    find: Option<Detectors>,
    with: &'a str,
}

impl<'a> RedactionItem<'a> {
    fn parse(table: MappingTable<'a>, item: &'a Value) -> SettingsResult<Self> {
        if item.is_string() {
            return Ok(RedactionItem {
                paths: item_paths(table, "redact", item)?,
                find: None,
                with: REDACTED,
            });
        }
        let example = "`redact = [\"traits.phone\", { find = [\"email\"] }]`";
        let inner = table.item_table("redact", item, example)?;
        inner.check_keys(&["path", "paths", "find", "with"])?;
        let paths = item_paths(table, "redact", item)?;
        let find = inner
            .get("find")
            .map(|_| parse_detectors(table, &inner.get_texts("find")?))
            .transpose()?;
        let with = inner.get_text("with")?;
        if find.is_some() && with.is_some() {
            return Err(table.key_error(
                "redact",
                "`with` is only used with whole values: remove `with` or `find`",
            ));
        }
        if find.is_none() && paths.is_empty() {
            return Err(table.key_error("redact", format!("it wants `path` or `find`: {example}")));
        }
        Ok(RedactionItem { paths, find, with: with.unwrap_or(REDACTED) })
    }
}

fn parse_detectors(table: MappingTable<'_>, names: &[&str]) -> SettingsResult<Detectors> {
    let mut detectors = Detectors::default();
    for name in names {
        match *name {
            "email" => detectors.email = true,
            "phone" => detectors.phone = true,
            "card" => detectors.card = true,
            "ip" => detectors.ip = true,
            other => {
                let advice = did_you_mean(other, ["email", "phone", "card", "ip"]);
                return Err(
                    table.key_error("redact", format!("unknown `find` {other:?}: {advice}"))
                );
            }
        }
    }
    if detectors == Detectors::default() {
        return Err(
            table.key_error("redact", "`find` is empty: write `find = [\"email\", \"card\"]`")
        );
    }
    Ok(detectors)
}

/// Parses the redactions, which run once all values are changed.
///
/// # Errors
///
/// Fails if an action is wrong, or if two actions affect the same path.
pub(super) fn parse_redactions(table: MappingTable<'_>) -> SettingsResult<Stage> {
    let mut stage = Stage::default();
    for item in table.get_items("redact") {
        let RedactionItem { paths, find: Some(detectors), .. } = RedactionItem::parse(table, item)?
        else {
            continue;
        };
        let everywhere = if paths.is_empty() { vec![FieldPath::default()] } else { Vec::new() };
        for path in everywhere.into_iter().chain(paths) {
            let placed = stage.add_action("redact", path, EditAction::Redact(detectors));
            placed.map_err(|error| format!("{}: {error}", table.place))?;
        }
    }
    Ok(stage)
}

/// Parses `flatten`, which runs last.
///
/// # Errors
///
/// Fails if an action is wrong, or if two actions affect the same path.
pub(super) fn parse_flatten(table: MappingTable<'_>) -> SettingsResult<Stage> {
    let mut stage = Stage::default();
    for (path, separator) in table.get_values_by_path("flatten")? {
        let separator = separator.as_str().ok_or_else(|| {
            table.key_error("flatten", "write the separator between keys: { properties = \"_\" }")
        })?;
        let placed = stage.add_action("flatten", path, EditAction::Flatten(separator.into()));
        placed.map_err(|error| format!("{}: {error}", table.place))?;
    }
    Ok(stage)
}

fn parse_hash(
    table: MappingTable<'_>,
    item: &Value,
    shared: &SharedSettings,
) -> SettingsResult<(Vec<FieldPath>, Hash)> {
    if item.is_string() {
        return Ok((item_paths(table, "hash", item)?, Hash::Sha256));
    }
    let example = "`hash = [{ path = \"userId\", with = \"hmac-sha256\", secret = \"pii\" }]`";
    let inner = table.item_table("hash", item, example)?;
    inner.check_keys(&["path", "paths", "with", "secret"])?;
    let paths = item_paths(table, "hash", item)?;
    if paths.is_empty() {
        return Err(table.key_error("hash", format!("it wants `path`: {example}")));
    }
    let hash = match (inner.get_text("with")?, inner.get_text("secret")?) {
        (None | Some("sha256"), None) => Hash::Sha256,
        (Some("sha256"), Some(_)) => {
            return Err(
                table.key_error("hash", "sha256 has no secret: write `with = \"hmac-sha256\"`")
            );
        }
        (None | Some("hmac-sha256"), Some(name)) => {
            let secret = shared.secrets.get(name).ok_or_else(|| {
                let advice = match shared.secrets.is_empty() {
                    true => "add [plugin.settings.secrets]".to_owned(),
                    false => did_you_mean(name, shared.secrets.keys().map(String::as_str)),
                };
                table.key_error("hash", format!("unknown secret {name:?}: {advice}"))
            })?;
            Hash::with_secret(secret)
        }
        (Some("hmac-sha256"), None) => {
            return Err(table.key_error("hash", format!("hmac-sha256 wants a secret: {example}")));
        }
        (Some(other), _) => {
            let advice = did_you_mean(other, ["sha256", "hmac-sha256"]);
            return Err(table.key_error("hash", format!("unknown `with = {other:?}`: {advice}")));
        }
    };
    Ok((paths, hash))
}

fn parse_clock(table: MappingTable<'_>, item: &Value) -> SettingsResult<(Vec<FieldPath>, Clock)> {
    let paths = item_paths(table, "timestamp", item)?;
    let mut clock = Clock { reading: Reading::Any, writing: Writing::Rfc3339, zone: Zone::UTC };
    if item.is_string() {
        return Ok((paths, clock));
    }
    let example = "`timestamp = [{ path = \"timestamp\", to = \"unix_millis\" }]`";
    let inner = table.item_table("timestamp", item, example)?;
    inner.check_keys(&["path", "paths", "from", "to", "zone"])?;
    if paths.is_empty() {
        return Err(table.key_error("timestamp", format!("it wants `path`: {example}")));
    }
    clock.reading = match inner.get_text("from")?.unwrap_or("any") {
        "any" => Reading::Any,
        "iso8601" => Reading::Iso8601,
        "unix_seconds" => Reading::UnixSeconds,
        "unix_millis" => Reading::UnixMillis,
        other => {
            let advice = did_you_mean(other, ["any", "iso8601", "unix_seconds", "unix_millis"]);
            return Err(
                table.key_error("timestamp", format!("unknown `from = {other:?}`: {advice}"))
            );
        }
    };
    clock.writing = match inner.get_text("to")?.unwrap_or("rfc3339") {
        "rfc3339" => Writing::Rfc3339,
        "date" => Writing::Date,
        "unix_seconds" => Writing::UnixSeconds,
        "unix_millis" => Writing::UnixMillis,
        format if format.contains('%') => {
            Writing::format(format).map_err(|error| table.key_error("timestamp", error))?
        }
        other => {
            let advice = did_you_mean(other, ["rfc3339", "date", "unix_seconds", "unix_millis"]);
            let advice = format!("{advice} A format contains `%`, as in `%d.%m.%Y`");
            return Err(table.key_error("timestamp", format!("unknown `to = {other:?}`: {advice}")));
        }
    };
    if let Some(zone) = inner.get_text("zone")? {
        clock.zone = Zone::parse(zone).map_err(|error| table.key_error("timestamp", error))?;
    }
    Ok((paths, clock))
}

/// The paths of an item: a string, or a table with `path` or `paths`.
fn item_paths(table: MappingTable<'_>, key: &str, item: &Value) -> SettingsResult<Vec<FieldPath>> {
    let parse = |text: &str| FieldPath::parse(text).map_err(|error| table.key_error(key, error));
    if let Some(path) = item.as_str() {
        return Ok(vec![parse(path)?]);
    }
    let inner = table.item_table(key, item, "a path or a table")?;
    let texts = inner.get_texts("path")?.into_iter().chain(inner.get_texts("paths")?);
    texts.map(parse).collect()
}

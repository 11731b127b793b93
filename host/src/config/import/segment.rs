//! Imports Segment's destination Amazon Kinesis Firehose.
//!
//! The format of its mappings is not published. Every format that Segment's other destinations use
//! is read, and a mapping in any other format becomes a note.

use serde_json::Value;

use super::{
    DestinationType, Imported, ImportedRow, JsonObject, RemainingFields, consent, filters,
    find_field, quote_text,
};
use standpipe_core::secret::Secret;

/// The destination's id and slug in Segment's catalogue.
const DEFINITION_ID: &str = "59022a2270a3e552b955caa9";
const SLUG: &str = "amazon-kinesis-firehose";

/// Segment's default region. Source: the destination's settings in the catalogue.
const REGION: &str = "us-west-2";

/// Keys that identify bare settings. Each one is sufficient. `region` is not among them, because
/// other destinations have it too.
const BARE_SETTINGS: [&str; 3] = ["mappedStreams", "roleAddress", "secretId"];

/// Names under which a mapping may hold its event, without case and separators.
const EVENT_FIELDS: [&str; 7] =
    ["key", "event", "eventname", "segmentevent", "name", "from", "eventtype"];

/// Names under which a mapping may hold its stream, without case and separators.
const STREAM_FIELDS: [&str; 7] = [
    "value",
    "stream",
    "streamname",
    "deliverystream",
    "deliverystreamname",
    "firehosestream",
    "to",
];

pub(super) fn is_destination(fields: &JsonObject) -> bool {
    find_field(fields, "settings").is_some_and(Value::is_object)
        || find_field(fields, "config").is_some_and(Value::is_array)
        || BARE_SETTINGS.iter().any(|key| find_field(fields, key).is_some())
}

pub(super) fn destination_type(destination: &JsonObject) -> DestinationType {
    let metadata = find_field(destination, "metadata").and_then(Value::as_object);
    let said =
        |key| metadata.and_then(|metadata| find_field(metadata, key)).and_then(Value::as_str);
    match (said("id"), said("slug").or_else(|| slug_of_path(destination))) {
        (None, None) => DestinationType::Unstated,
        (Some(DEFINITION_ID), _) | (None, Some(SLUG)) => DestinationType::Firehose,
        (id, slug) => DestinationType::Other(
            slug.filter(|&slug| slug != SLUG).or(id).unwrap_or_default().to_owned(),
        ),
    }
}

/// The slug of a destination. The Config API returns no metadata, but a name that is a path ending
/// with `/destinations/SLUG`.
fn slug_of_path(destination: &JsonObject) -> Option<&str> {
    find_field(destination, "config").filter(|config| config.is_array())?;
    let (_, slug) = find_field(destination, "name")?.as_str()?.rsplit_once("/destinations/")?;
    Some(slug)
}

pub(super) fn import_destination(
    destination: &JsonObject,
    listed: &[&Value],
    imported: &mut Imported,
) {
    let mut settings = RemainingFields(read_settings(destination, imported));
    read_mappings(settings.take("mappedStreams"), imported);
    imported.settings.aws.region = if settings.is_set("region") {
        imported.take_text(&mut settings, "region", "region")
    } else {
        imported.add_note(format!("`region` is missing, so Segment's default, {REGION}, is set"));
        Some(REGION.to_owned())
    };
    read_role(&mut settings, imported);
    read_transforms(&mut settings, destination, listed, imported);
    imported.note_remaining(&settings);
    imported.add_note(
        "Segment does not document what happens to an event that several mappings match. This host \
         prefers the mapping for the event's name, then the one for its type, then `*`, and uses \
         all of them with `fan_out = true` under [plugin.settings]",
    );
}

/// Notes or converts options that filter or change events before they reach the destination.
fn read_transforms(
    settings: &mut RemainingFields,
    destination: &JsonObject,
    listed: &[&Value],
    imported: &mut Imported,
) {
    let consents = settings.take("consentSettings");
    let consents = consents.as_ref().or_else(|| find_field(destination, "consentSettings"));
    let consent = consents.and_then(|consents| consent::read_segment(consents, imported));
    let transforms: Vec<_> =
        consent.into_iter().chain(filters::read_filters(listed, imported)).collect();
    if !transforms.is_empty() {
        imported.settings.plugin.settings.insert("transforms".to_owned(), transforms.into());
    }
    if listed.is_empty() {
        imported.add_note(
            "the export lists no destination filters, which Segment's API returns separately (`GET \
             /destination/ID/filters`): if there are any, import a file with both responses in one \
             list",
        );
    }
}

fn read_settings(destination: &JsonObject, imported: &mut Imported) -> JsonObject {
    if let Some(settings) = find_field(destination, "settings").and_then(Value::as_object) {
        return settings.clone();
    }
    let Some(config) = find_field(destination, "config").and_then(Value::as_array) else {
        return destination.clone();
    };
    let mut settings = JsonObject::new();
    for (index, entry) in config.iter().enumerate() {
        if let Some((key, value)) = config_entry(entry) {
            settings.insert(key.to_owned(), value.clone());
        } else {
            imported
                .add_note(format!("`config` entry {} is left out: it has no `name`", index + 1));
        }
    }
    settings
}

/// The key and the value of a setting. The Config API names a setting by a path whose last part is
/// the key.
fn config_entry(entry: &Value) -> Option<(&str, &Value)> {
    let path = find_field(entry.as_object()?, "name")?.as_str()?;
    let key = path.rsplit('/').next().filter(|key| !key.is_empty())?;
    Some((key, &entry["value"]))
}

fn read_mappings(streams: Option<Value>, imported: &mut Imported) {
    let mut rows = Vec::new();
    let mut add = |place: String, row| rows.push((format!("`mappedStreams` {place}"), row));
    match streams {
        None => {}
        Some(Value::Array(list)) => {
            (1..).zip(&list).for_each(|(number, row)| {
                add(format!("entry {number}"), read_row(row));
            });
        }
        Some(Value::Object(streams)) => streams.iter().for_each(|(event, to)| {
            add(format!("entry {}", quote_text(event)), new_row(Some(event), to.as_str()));
        }),
        Some(_) => {
            imported.add_note("`mappedStreams` is neither a list nor an object, and is left out");
        }
    }
    imported.set_mappings(rows);
}

fn read_row(row: &Value) -> Result<ImportedRow, String> {
    let fields = row.as_object().ok_or("it is not an object with an event and a stream")?;
    let event = find_unique_field("event", &EVENT_FIELDS, fields)?;
    let stream = find_unique_field("stream", &STREAM_FIELDS, fields)?;
    new_row(event.as_str(), stream.as_str())
}

fn new_row(event: Option<&str>, stream: Option<&str>) -> Result<ImportedRow, String> {
    let event = event.ok_or("its event is not text")?;
    let stream = stream.ok_or("its stream is not text")?;
    if event.is_empty() || stream.is_empty() {
        return Err("its event or its stream is empty".to_owned());
    }
    Ok(ImportedRow { event: event.to_owned(), stream: stream.to_owned() })
}

/// The value of the fields with one of the names, in the mapping itself and in its `value`, which
/// may be an object. Different values are an error.
fn find_unique_field<'a>(
    what: &str,
    names: &[&str],
    row: &'a JsonObject,
) -> Result<&'a Value, String> {
    let inner = find_field(row, "value").and_then(Value::as_object);
    let mut found: Vec<&Value> = Vec::new();
    for (key, value) in row.iter().chain(inner.into_iter().flatten()) {
        let may_count = !value.is_object() && !value.is_null();
        if may_count && names.contains(&&*normalize_key(key)) && !found.contains(&value) {
            found.push(value);
        }
    }
    match found[..] {
        [value] => Ok(value),
        [] => Err(format!("no field of it names the {what}")),
        _ => Err(format!("several fields of it could name the {what}")),
    }
}

/// Normalizes a key: `delivery_stream`, `Delivery Stream` and `deliveryStream` are equal.
fn normalize_key(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn read_role(settings: &mut RemainingFields, imported: &mut Imported) {
    let (has_role, has_secret_id) = (settings.is_set("roleAddress"), settings.is_set("secretId"));
    let arn = imported.take_text(settings, "roleAddress", "role_arn");
    let external_id = imported.take_text(settings, "secretId", "external_id");
    if !has_role {
        imported.add_note(
            "`roleAddress` is missing, which Segment requires: set `role_arn` under [aws]",
        );
    }
    if !has_secret_id {
        imported.add_note(
            "`secretId` is missing, which is the workspace's id by default at Segment: set \
             `external_id` under [aws] to the external id in the role's trust policy",
        );
    }
    imported.add_note(
        "the role's trust policy names Segment's principal, \
         arn:aws:iam::595280932656:role/customer-firehose-access or \
         arn:aws:iam::595280932656:root: replace it by the account or role of this host",
    );
    if arn.is_none() && external_id.is_some() {
        imported.add_note(
            "`secretId` is left out, because it has no effect without a role: set `external_id` \
             together with `role_arn` under [aws]",
        );
        return;
    }
    imported.settings.aws.role_arn = arn;
    imported.settings.aws.external_id = external_id.map(Secret::new);
}

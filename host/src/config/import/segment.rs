//! Segment's destination Amazon Kinesis Firehose.
//!
//! The shape of its mapping rows is not published. Every shape that Segment's
//! other destinations use is read, and a row that fits none becomes a note.

use serde_json::Value;

use super::{Fields, Imported, Kind, Row, Unread, consent, field, filters, quoted};
use standpipe_core::secret::Secret;

/// The destination's id and slug in Segment's catalogue.
const DEFINITION_ID: &str = "59022a2270a3e552b955caa9";
const SLUG: &str = "amazon-kinesis-firehose";

/// Segment's default. Source: the destination's settings in the catalogue.
const REGION: &str = "us-west-2";

/// Each of these is enough to know bare settings by. `region` is not: other
/// destinations have it too.
const BARE_SETTINGS: [&str; 3] = ["mappedStreams", "roleAddress", "secretId"];

/// Names under which a row may hold its event, without case and separators.
const EVENT_FIELDS: [&str; 7] =
    ["key", "event", "eventname", "segmentevent", "name", "from", "eventtype"];

/// Names under which a row may hold its stream, without case and separators.
const STREAM_FIELDS: [&str; 7] = [
    "value",
    "stream",
    "streamname",
    "deliverystream",
    "deliverystreamname",
    "firehosestream",
    "to",
];

pub(super) fn recognises(fields: &Fields) -> bool {
    field(fields, "settings").is_some_and(Value::is_object)
        || field(fields, "config").is_some_and(Value::is_array)
        || BARE_SETTINGS.iter().any(|key| field(fields, key).is_some())
}

pub(super) fn kind(destination: &Fields) -> Kind {
    let metadata = field(destination, "metadata").and_then(Value::as_object);
    let said = |key| metadata.and_then(|metadata| field(metadata, key)).and_then(Value::as_str);
    match (said("id"), said("slug").or_else(|| slug_of_path(destination))) {
        (None, None) => Kind::Unsaid,
        (Some(DEFINITION_ID), _) | (None, Some(SLUG)) => Kind::Firehose,
        (id, slug) => {
            Kind::Other(slug.filter(|&slug| slug != SLUG).or(id).unwrap_or_default().to_owned())
        }
    }
}

/// The Config API has no metadata; there the destination's name is a path that
/// ends with `/destinations/SLUG`.
fn slug_of_path(destination: &Fields) -> Option<&str> {
    field(destination, "config").filter(|config| config.is_array())?;
    let (_, slug) = field(destination, "name")?.as_str()?.rsplit_once("/destinations/")?;
    Some(slug)
}

pub(super) fn import(destination: &Fields, listed: &[&Value], imported: &mut Imported) {
    let mut settings = Unread(settings(destination, imported));
    read_mappings(settings.take("mappedStreams"), imported);
    imported.settings.aws.region = if settings.is_set("region") {
        imported.take_text(&mut settings, "region", "region")
    } else {
        imported.note(format!("`region` is missing, so Segment's default, {REGION}, is set"));
        Some(REGION.to_owned())
    };
    read_role(&mut settings, imported);
    read_transforms(&mut settings, destination, listed, imported);
    imported.note_unread(&settings);
    imported.note(
        "Segment does not say what it does with an event that several rows match, whereas this \
         host takes the row of the event's name before that of its type before `*`, and all of \
         them with `fan_out = true` under [plugin.settings]",
    );
}

/// What keeps events away, or changes them, before they reach the destination.
fn read_transforms(
    settings: &mut Unread,
    destination: &Fields,
    listed: &[&Value],
    imported: &mut Imported,
) {
    let consents = settings.take("consentSettings");
    let consents = consents.as_ref().or_else(|| field(destination, "consentSettings"));
    let consent = consents.and_then(|consents| consent::read_segment(consents, imported));
    let transforms: Vec<_> = consent.into_iter().chain(filters::read(listed, imported)).collect();
    if !transforms.is_empty() {
        imported.settings.plugin.settings.insert("transforms".to_owned(), transforms.into());
    }
    if listed.is_empty() {
        imported.note(
            "the export lists no destination filters, which Segment's API answers apart \
             (`GET /destination/ID/filters`): if there are any, import a file with both answers in one \
             list",
        );
    }
}

fn settings(destination: &Fields, imported: &mut Imported) -> Fields {
    if let Some(settings) = field(destination, "settings").and_then(Value::as_object) {
        return settings.clone();
    }
    let Some(config) = field(destination, "config").and_then(Value::as_array) else {
        return destination.clone();
    };
    let mut settings = Fields::new();
    for (index, entry) in config.iter().enumerate() {
        if let Some((key, value)) = config_entry(entry) {
            settings.insert(key.to_owned(), value.clone());
        } else {
            imported.note(format!("`config` entry {} is left out: it has no `name`", index + 1));
        }
    }
    settings
}

/// The Config API names a setting by a path whose last part is the key.
fn config_entry(entry: &Value) -> Option<(&str, &Value)> {
    let path = field(entry.as_object()?, "name")?.as_str()?;
    let key = path.rsplit('/').next().filter(|key| !key.is_empty())?;
    Some((key, &entry["value"]))
}

fn read_mappings(streams: Option<Value>, imported: &mut Imported) {
    let mut rows = Vec::new();
    match streams {
        None => {}
        Some(Value::Array(list)) => {
            let list = list.iter().enumerate();
            rows.extend(list.map(|(index, row)| (format!("row {}", index + 1), read_row(row))));
        }
        Some(Value::Object(streams)) => {
            let named = |event: &str| format!("entry {}", quoted(event));
            rows.extend(
                streams.iter().map(|(event, to)| (named(event), new_row(Some(event), to.as_str()))),
            );
        }
        Some(_) => imported.note("`mappedStreams` is neither rows nor an object, and is left out"),
    }
    let places = rows.into_iter().map(|(place, row)| (format!("`mappedStreams` {place}"), row));
    imported.set_mappings(places);
}

fn read_row(row: &Value) -> Result<Row, String> {
    let fields = row.as_object().ok_or("it is no object with an event and a stream")?;
    let event = the_one("event", &EVENT_FIELDS, fields)?;
    let stream = the_one("stream", &STREAM_FIELDS, fields)?;
    new_row(event.as_str(), stream.as_str())
}

fn new_row(event: Option<&str>, stream: Option<&str>) -> Result<Row, String> {
    let event = event.ok_or("its event is no text")?;
    let stream = stream.ok_or("its stream is no text")?;
    if event.is_empty() || stream.is_empty() {
        return Err("its event or its stream is empty".to_owned());
    }
    Ok(Row { event: event.to_owned(), stream: stream.to_owned() })
}

/// What the fields with one of the names hold, in the row itself and in the
/// object that its `value` may be. They must not hold different things.
fn the_one<'a>(what: &str, names: &[&str], row: &'a Fields) -> Result<&'a Value, String> {
    let inner = field(row, "value").and_then(Value::as_object);
    let mut found: Vec<&Value> = Vec::new();
    for (key, value) in row.iter().chain(inner.into_iter().flatten()) {
        let may_count = !value.is_object() && !value.is_null();
        if may_count && names.contains(&&*plain(key)) && !found.contains(&value) {
            found.push(value);
        }
    }
    match found[..] {
        [value] => Ok(value),
        [] => Err(format!("no field of it names the {what}")),
        _ => Err(format!("several fields of it could name the {what}")),
    }
}

/// `delivery_stream`, `Delivery Stream` and `deliveryStream` are one name.
fn plain(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn read_role(settings: &mut Unread, imported: &mut Imported) {
    let (has_role, has_secret_id) = (settings.is_set("roleAddress"), settings.is_set("secretId"));
    let arn = imported.take_text(settings, "roleAddress", "role_arn");
    let external_id = imported.take_text(settings, "secretId", "external_id");
    if !has_role {
        imported
            .note("`roleAddress` is missing, which Segment requires: set `role_arn` under [aws]");
    }
    if !has_secret_id {
        imported.note(
            "`secretId` is missing, which is the workspace's id by default at Segment: set \
             `external_id` under [aws] to what the role's trust policy asks for",
        );
    }
    imported.note(
        "the role's trust policy names Segment's principal, \
         arn:aws:iam::595280932656:role/customer-firehose-access or \
         arn:aws:iam::595280932656:root: put the account or role that this host runs as in its \
         place",
    );
    if arn.is_none() && external_id.is_some() {
        imported.note(
            "`secretId` is left out, since it has no effect without a role: set `external_id` together \
             with `role_arn` under [aws]",
        );
        return;
    }
    imported.settings.aws.role_arn = arn;
    imported.settings.aws.external_id = external_id.map(Secret::new);
}

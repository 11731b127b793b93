//! Imports RudderStack's destination FIREHOSE.
//!
//! RudderStack itself decides between role and keys, and about the external id. The import contains
//! the result of these decisions and not the settings, so that the host uses the same credentials
//! as RudderStack.

use serde_json::{Value, json};

use super::remaining_fields::is_filled_in;
use super::{
    DestinationType, ImportError, Imported, ImportedRow, JsonObject, RemainingFields, consent,
    find_field, is_blank,
};
use standpipe_core::secret::Secret;

/// The session name that RudderStack uses. Trust policies and CloudTrail filters may contain it.
/// Source: RudderStack's AWS session code, for the service `firehose`.
const SESSION_NAME: &str = "rudderstack-aws-firehose-access";

/// The account that trust policies contain. Source: RudderStack's documentation on the IAM role.
const ACCOUNT: &str = "422074288268";

/// Keys that identify a bare config. Each one is sufficient. `region` is not among them, because
/// other destinations have it too.
const BARE_CONFIG: [&str; 4] = ["mapEvents", "iamRoleARN", "roleBasedAuth", "accessKeyID"];

const STATIC_KEYS: [&str; 4] = ["accessKeyID", "accessKey", "secretAccessKey", "sessionToken"];

/// Whether an object is a destination. In the export of a workspace, sources have a config too.
pub(super) fn is_destination(fields: &JsonObject) -> bool {
    find_field(fields, "config").is_some_and(Value::is_object)
        && find_field(fields, "sourceDefinition").is_none()
        || BARE_CONFIG.iter().any(|key| find_field(fields, key).is_some())
}

pub(super) fn destination_type(destination: &JsonObject) -> DestinationType {
    let definition = find_field(destination, "destinationDefinition");
    let name = definition.and_then(|definition| find_field(definition.as_object()?, "name"));
    match name.or_else(|| find_field(destination, "type")).and_then(Value::as_str) {
        None => DestinationType::Unstated,
        Some(name) if name.eq_ignore_ascii_case("FIREHOSE") => DestinationType::Firehose,
        Some(name) => DestinationType::Other(name.to_owned()),
    }
}

pub(super) fn import_destination(
    destination: &JsonObject,
    imported: &mut Imported,
) -> Result<(), ImportError> {
    let config =
        find_field(destination, "config").and_then(Value::as_object).unwrap_or(destination);
    let mut config = RemainingFields(config.clone());
    read_mappings(config.take("mapEvents"), imported);
    if !config.is_set("region") {
        imported
            .add_note("`region` is missing, which RudderStack requires: set `region` under [aws]");
    }
    imported.settings.aws.region = imported.take_text(&mut config, "region", "region");
    read_credentials(&mut config, destination, imported)?;
    note_filters(&mut config, imported);
    imported.note_remaining(&config);
    imported.add_note(
        "RudderStack ended no record with a newline, but this host does: set `newline = false` \
         under [delivery] if readers of the records depend on that",
    );
    Ok(())
}

fn read_mappings(rows: Option<Value>, imported: &mut Imported) {
    let rows = rows.unwrap_or_else(|| json!([]));
    if !rows.is_array() {
        imported.add_note("`mapEvents` is not a list, so RudderStack has no mapping");
    }
    let rows = (1..).zip(rows.as_array().into_iter().flatten());
    let rows = rows.map(|(number, row)| (format!("`mapEvents` entry {number}"), read_row(row)));
    imported.set_mappings(rows);
}

/// The keys are case-sensitive here, because RudderStack reads these rows with other code than the
/// settings.
fn read_row(row: &Value) -> Result<ImportedRow, String> {
    let row = row.as_object().ok_or("it is not an object with `from` and `to`")?;
    let text = |key: &str| match row.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("its `{key}` is not text")),
    };
    let event = text("from")?.ok_or("its `from` is missing")?;
    if event.is_empty() {
        return Err("its `from` is empty".to_owned());
    }
    let stream = text("to")?.unwrap_or_default();
    if is_filled_in(&event) || is_filled_in(&stream) {
        return Err("RudderStack fills it in, from its environment or from the event".to_owned());
    }
    Ok(ImportedRow { event, stream })
}

fn read_credentials(
    config: &mut RemainingFields,
    destination: &JsonObject,
    imported: &mut Imported,
) -> Result<(), ImportError> {
    imported.settings.aws.profile = imported.take_text(config, "sharedConfigProfile", "profile");
    if imported.settings.aws.profile.is_some() {
        imported.add_note(
            "`profile` must exist in the shared AWS configuration files on the machine of this host",
        );
    }
    if is_role_used(config, imported)? {
        leave_out(config, &STATIC_KEYS, "RudderStack uses no static keys next to a role", imported);
        read_role(config, destination, imported);
    } else {
        leave_out(
            config,
            &["iamRoleARN", "externalID"],
            "RudderStack assumes no role here",
            imported,
        );
        config.take("workspaceID");
        read_static_keys(config, imported);
    }
    Ok(())
}

fn is_role_used(
    config: &mut RemainingFields,
    imported: &mut Imported,
) -> Result<bool, ImportError> {
    let has_role = config.is_set("iamRoleARN");
    match config.take("roleBasedAuth") {
        None => Ok(has_role),
        Some(Value::Bool(true)) if !has_role => {
            imported.add_note(
                "`roleBasedAuth` is true without an `iamRoleARN`, which RudderStack treats as false",
            );
            Ok(false)
        }
        Some(Value::Bool(is_wanted)) => Ok(is_wanted),
        Some(_) => Err(ImportError::NotBoolean { key: "roleBasedAuth" }),
    }
}

fn read_role(config: &mut RemainingFields, destination: &JsonObject, imported: &mut Imported) {
    let external_id = external_id(config, destination, imported);
    imported.add_note(format!(
        "the role's trust policy names RudderStack's account {ACCOUNT}: replace it by the account \
         or role of this host"
    ));
    if let Some(arn) = imported.take_text(config, "iamRoleARN", "role_arn") {
        let aws = &mut imported.settings.aws;
        aws.role_arn = Some(arn);
        aws.external_id = external_id.map(Secret::new);
        aws.session_name = Some(SESSION_NAME.to_owned());
        return;
    }
    let external_id =
        external_id.map(|id| format!("`external_id = {id:?}` and ")).unwrap_or_default();
    imported.add_note(format!(
        "together with `role_arn`, set {external_id}`session_name = {SESSION_NAME:?}`"
    ));
}

/// The external id. RudderStack defaults to the workspace id, which prevents other customers from
/// assuming the role.
fn external_id(
    config: &mut RemainingFields,
    destination: &JsonObject,
    imported: &mut Imported,
) -> Option<String> {
    let own = config.take("workspaceID");
    if config.is_set("externalID") {
        return imported.take_text(config, "externalID", "external_id");
    }
    let workspace_ids =
        [own.as_ref(), find_field(destination, "workspaceId")].into_iter().flatten();
    let is_usable = |id: &&str| !id.is_empty() && !is_filled_in(id);
    let workspace_id = workspace_ids.filter_map(Value::as_str).find(is_usable);
    imported.add_note(match workspace_id {
        Some(_) => {
            "`external_id` is the workspace's id, which RudderStack uses if `externalID` is not set"
        }
        None => {
            "neither `externalID` nor the workspace's id is present: set `external_id` under [aws] \
             to the external id in the role's trust policy"
        }
    });
    workspace_id.map(str::to_owned)
}

fn read_static_keys(config: &mut RemainingFields, imported: &mut Imported) {
    let access_key_id = imported.take_text(config, "accessKeyID", "access_key_id");
    let secret = if config.is_set("secretAccessKey") { "secretAccessKey" } else { "accessKey" };
    let secret_access_key = imported.take_text(config, secret, "secret_access_key");
    config.take("accessKey");
    let session_token = imported.take_text(config, "sessionToken", "session_token");
    match (access_key_id, secret_access_key) {
        (Some(access_key_id), Some(secret_access_key)) => {
            let aws = &mut imported.settings.aws;
            aws.access_key_id = Some(access_key_id);
            aws.secret_access_key = Some(Secret::new(secret_access_key));
            aws.session_token = session_token.map(Secret::new);
        }
        (None, None) if session_token.is_none() => {}
        _ => imported.add_note(
            "the static keys are left out, because `accessKeyID` and `accessKey` have no effect \
             without each other: set both `access_key_id` and `secret_access_key` under [aws], or \
             neither",
        ),
    }
}

fn leave_out(config: &mut RemainingFields, keys: &[&str], reason: &str, imported: &mut Imported) {
    for key in keys {
        if config.is_set(key) {
            imported.add_note(format!("`{key}` is left out: {reason}"));
        }
        config.take(key);
    }
}

/// Notes options that filter or change events before they reach the destination.
fn note_filters(config: &mut RemainingFields, imported: &mut Imported) {
    consent::read_rudderstack(config, imported);
    let is_filtering = config.take("eventFilteringOption").is_some_and(|it| it != "disable");
    let mut has = |key| config.take(key).is_some_and(|events| !is_blank(&events));
    let has_events = has("whitelistedEvents") | has("blacklistedEvents");
    if is_filtering && has_events {
        imported.add_note(
            "`eventFilteringOption` is left out: RudderStack's SDKs filter by it in device mode, and \
             Firehose gets its events in cloud mode. If you want it here, add mappings with `drop = true` \
             for the events of `blacklistedEvents`",
        );
    }
}

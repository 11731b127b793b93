//! Reads a response to `DescribeDeliveryStream`.

use serde_json::Value;

use super::{StreamDescription, StreamStatus, destination, origin};
use crate::fields::{JsonFields, unknown_word};
use crate::{InvalidResponse, ResponseDefect, truncate_detail};

/// Parses the response to `DescribeDeliveryStream` for the stream of this name.
///
/// # Errors
///
/// Fails if it lacks a required member, or is about another stream.
pub fn read_description(name: &str, answer: &[u8]) -> Result<StreamDescription, InvalidResponse> {
    if answer.trim_ascii().is_empty() {
        return Err(ResponseDefect::Empty.into());
    }
    let answer: Value = serde_json::from_slice(answer).map_err(|_| ResponseDefect::NotAnObject)?;
    if !answer.is_object() {
        return Err(ResponseDefect::NotAnObject.into());
    }
    Ok(read_fields(name, JsonFields::new(&answer))?)
}

fn read_fields(name: &str, answer: JsonFields<'_>) -> Result<StreamDescription, ResponseDefect> {
    let described = required_field(answer, "DeliveryStreamDescription", JsonFields::object)?;
    if required_field(described, "DeliveryStreamName", JsonFields::text)? != name {
        return Err(ResponseDefect::OtherStream);
    }
    let kind = required_field(described, "DeliveryStreamType", JsonFields::text)?;
    let destinations = required_field(described, "Destinations", JsonFields::all_objects)?;
    let arn = required_field(described, "DeliveryStreamARN", JsonFields::arn)?;
    let status = required_field(described, "DeliveryStreamStatus", JsonFields::text)?;
    let encryption = described.inner("DeliveryStreamEncryptionConfiguration");
    Ok(StreamDescription {
        name: name.to_owned(),
        arn,
        status: StreamStatus { word: unknown_word(status), failure: read_failure(described) },
        kind: unknown_word(kind),
        version: required_field(described, "VersionId", JsonFields::owned)?,
        created: described.seconds("CreateTimestamp"),
        updated: described.seconds("LastUpdateTimestamp"),
        origin: origin::read_origin(kind, described),
        destinations: destinations.into_iter().flat_map(destination::read_destinations).collect(),
        has_more_destinations: required_field(described, "HasMoreDestinations", JsonFields::is)?,
        is_encrypted: encryption.text("Status") == Some("ENABLED"),
    })
}

/// A required member of a response.
fn required_field<'a, T>(
    object: JsonFields<'a>,
    key: &'static str,
    read: impl FnOnce(JsonFields<'a>, &str) -> Option<T>,
) -> Result<T, ResponseDefect> {
    read(object, key).ok_or(match object.has(key) {
        true => ResponseDefect::WrongType(key),
        false => ResponseDefect::Missing(key),
    })
}

fn read_failure(described: JsonFields<'_>) -> Option<String> {
    let failure = described.object("FailureDescription")?;
    let parts = [failure.text("Type"), failure.text("Details")];
    let words = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
    Some(truncate_detail(&words))
}

//! Reads an answer to `DescribeDeliveryStream`.

use serde_json::Value;

use super::{Status, StreamDescription, destination, origin};
use crate::fields::{Fields, unknown_word};
use crate::{AnswerDefect, InvalidAnswer};
use standpipe_core::limits;

/// Read the answer to `DescribeDeliveryStream` for the stream of this name.
///
/// # Errors
///
/// It lacks a member that each description has, or is about another stream.
pub fn read_description(name: &str, answer: &[u8]) -> Result<StreamDescription, InvalidAnswer> {
    if answer.trim_ascii().is_empty() {
        return Err(AnswerDefect::Empty.into());
    }
    let answer: Value = serde_json::from_slice(answer).map_err(|_| AnswerDefect::NotAnObject)?;
    if !answer.is_object() {
        return Err(AnswerDefect::NotAnObject.into());
    }
    Ok(read(name, Fields::new(&answer))?)
}

fn read(name: &str, answer: Fields<'_>) -> Result<StreamDescription, AnswerDefect> {
    let described = required(answer, "DeliveryStreamDescription", Fields::object)?;
    if required(described, "DeliveryStreamName", Fields::text)? != name {
        return Err(AnswerDefect::OtherStream);
    }
    let kind = required(described, "DeliveryStreamType", Fields::text)?;
    let destinations = required(described, "Destinations", Fields::all_objects)?;
    let encryption = described.inner("DeliveryStreamEncryptionConfiguration");
    Ok(StreamDescription {
        name: name.to_owned(),
        arn: required(described, "DeliveryStreamARN", Fields::arn)?,
        status: Status {
            word: unknown_word(required(described, "DeliveryStreamStatus", Fields::text)?),
            failure: failure(described),
        },
        kind: unknown_word(kind),
        version: required(described, "VersionId", Fields::owned)?,
        created: described.seconds("CreateTimestamp"),
        updated: described.seconds("LastUpdateTimestamp"),
        origin: origin::read(kind, described),
        destinations: destinations.into_iter().flat_map(destination::read).collect(),
        has_more_destinations: required(described, "HasMoreDestinations", Fields::is)?,
        is_encrypted: encryption.text("Status") == Some("ENABLED"),
    })
}

/// A member that each answer has.
fn required<'a, T>(
    object: Fields<'a>,
    key: &'static str,
    read: impl FnOnce(Fields<'a>, &str) -> Option<T>,
) -> Result<T, AnswerDefect> {
    read(object, key).ok_or(match object.has(key) {
        true => AnswerDefect::WrongType(key),
        false => AnswerDefect::Missing(key),
    })
}

fn failure(described: Fields<'_>) -> Option<String> {
    let failure = described.object("FailureDescription")?;
    let parts = [failure.text("Type"), failure.text("Details")];
    let words = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
    Some(words.chars().take(limits::DETAIL_BYTES_MAX / 4).collect())
}

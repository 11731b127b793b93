//! Reads what Amazon says of a delivery stream.
//!
//! Only the fields that a [`Stream`] has are looked at: tokens, users, passwords
//! and attributes are never taken out of the answer. What is unknown is kept by its
//! name, and a field of a type that it should not have is as good as none: neither
//! is an error. What is required of every description is: without it nobody knows
//! where a stream's records end up, which is not the same as that they end nowhere.

mod destination;
mod origin;

use serde_json::Value;

use super::fields::Fields;
use crate::{Destination, Status, Stream};

/// A page of a description: all of it, but perhaps not all destinations.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) stream: Stream,
    /// The destination to go on behind, where there are more.
    pub(super) next: Option<String>,
}

/// Read the answer to `DescribeDeliveryStream` for the stream of this name.
///
/// # Errors
///
/// It lacks something that each description has; in words.
pub fn read_description(name: &str, answer: &Value) -> Result<Stream, String> {
    read_page(name, answer).map(|page| page.stream)
}

/// The same with where to go on.
pub(super) fn read_page(name: &str, answer: &Value) -> Result<Page, String> {
    let described = Fields::new(answer).inner("DeliveryStreamDescription");
    let arn = described.arn("DeliveryStreamARN");
    let arn = arn.ok_or("the answer has no DeliveryStreamARN, or one that is no ARN")?;
    let required = |key| {
        let text = described.text(key);
        text.ok_or_else(|| format!("the answer has no {key}: it is not complete"))
    };
    let kind = required("DeliveryStreamType")?;
    let word = required("DeliveryStreamStatus")?;
    let version = required("VersionId")?;
    let encryption = described.inner("DeliveryStreamEncryptionConfiguration");
    let listed = described.all_objects("Destinations");
    let listed = listed.ok_or("the answer has no Destinations: it is not complete")?;
    let destinations: Vec<_> = listed.into_iter().flat_map(destination::read).collect();
    let next = match described.is("HasMoreDestinations") {
        Some(true) => Some(last_id(&destinations).ok_or(
            "the answer says that there are more destinations, and not behind which to go on",
        )?),
        Some(false) => None,
        None => return Err("the answer has no HasMoreDestinations: it is not complete".to_owned()),
    };
    let stream = Stream {
        name: name.to_owned(),
        arn,
        status: status(word, described),
        kind: kind.to_owned(),
        version: version.to_owned(),
        created: described.seconds("CreateTimestamp"),
        updated: described.seconds("LastUpdateTimestamp"),
        origin: origin::read(kind, described),
        destinations,
        is_encrypted: encryption.text("Status") == Some("ENABLED"),
    };
    Ok(Page { stream, next })
}

fn last_id(destinations: &[Destination]) -> Option<String> {
    destinations.last().map(|last| last.id.clone()).filter(|id| !id.is_empty())
}

fn status(word: &str, described: Fields<'_>) -> Status {
    let word = word.to_owned();
    let failure = described.object("FailureDescription").map(|failure| {
        let parts = [failure.text("Type"), failure.text("Details")];
        let words = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
        words.chars().take(standpipe_core::limits::DETAIL_BYTES_MAX / 4).collect()
    });
    Status { word, failure }
}

#[cfg(test)]
mod tests;

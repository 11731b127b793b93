//! Reads what Amazon says of a delivery stream.
//!
//! Only the fields that a [`Stream`] has are looked at: tokens, users, passwords
//! and attributes are never taken out of the answer. What is unknown is kept by its
//! name, and a field of a type that it should not have is as good as none: neither
//! is an error.

mod destination;
mod origin;

use serde_json::Value;

use super::fields::Fields;
use crate::catalog::{Destination, Status, Stream};
use crate::limits;

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
/// It tells no ARN; in words.
pub fn read_description(name: &str, answer: &Value) -> Result<Stream, String> {
    read_page(name, answer).map(|page| page.stream)
}

/// The same with where to go on.
pub(super) fn read_page(name: &str, answer: &Value) -> Result<Page, String> {
    let described = Fields::new(answer).inner("DeliveryStreamDescription");
    let arn = described.arn("DeliveryStreamARN");
    let arn = arn.ok_or("the answer has no DeliveryStreamARN, or one that is no ARN")?;
    let kind = described.text("DeliveryStreamType").unwrap_or_default();
    let encryption = described.inner("DeliveryStreamEncryptionConfiguration");
    let destinations: Vec<_> =
        described.objects("Destinations").flat_map(destination::read).collect();
    let next = described.is("HasMoreDestinations") == Some(true);
    let next = next.then(|| last_id(&destinations)).flatten();
    let stream = Stream {
        name: name.to_owned(),
        arn,
        status: status(described),
        kind: kind.to_owned(),
        version: described.owned("VersionId").unwrap_or_default(),
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

fn status(described: Fields<'_>) -> Status {
    let word = described.text("DeliveryStreamStatus").unwrap_or("UNKNOWN").to_owned();
    let failure = described.object("FailureDescription").map(|failure| {
        let parts = [failure.text("Type"), failure.text("Details")];
        let words = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
        words.chars().take(limits::DETAIL_BYTES_MAX / 4).collect()
    });
    Status { word, failure }
}

#[cfg(test)]
mod tests;

//! The result of discovery.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;

use standpipe_aws::{Arn, StreamDescription};

/// Converts a time of AWS, in seconds since 1970 with a fraction. Returns `None` if it is not a
/// valid date.
pub fn time_of(seconds: f64) -> Option<OffsetDateTime> {
    // A float beyond all dates becomes the largest integer, which is not a valid date.
    let time = OffsetDateTime::from_unix_timestamp_nanos((seconds * 1e9) as i128).ok()?;
    (seconds.is_finite() && (0..=9999).contains(&time.year())).then_some(time)
}

/// The result for an account and a region.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Inventory {
    /// The account of the streams, or `None` if it is unknown.
    pub account: Option<String>,
    /// The region of the streams.
    pub region: String,
    /// The streams that were read, by name.
    pub streams: Vec<StreamDescription>,
    /// Streams that the patterns exclude.
    pub filtered: Vec<String>,
    /// Streams that were listed but could not be read.
    pub unread: Vec<UnreadableStream>,
    /// Streams that were deleted between the list and their description.
    pub vanished: Vec<String>,
    /// Whether the list is complete. If it is not, nothing may be deleted because of it.
    pub is_complete: bool,
    /// The DynamoDB tables whose changes feed a Kinesis stream, by the stream.
    #[serde(skip)]
    pub tables: BTreeMap<Arn, Vec<Arn>>,
    /// Other warnings, such as about tables that could not be read.
    pub warnings: Vec<String>,
}

/// A stream that was listed but could not be read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnreadableStream {
    /// The stream.
    pub name: String,
    /// The error.
    pub cause: String,
}

//! The result of discovery.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;

use standpipe_aws::{Arn, StreamDescription};

/// Converts a time of AWS's, in seconds since 1970 with a fraction. None if it is not a date.
pub fn time_of(seconds: f64) -> Option<OffsetDateTime> {
    // A float beyond all dates becomes the greatest integer, which is not a date.
    let time = OffsetDateTime::from_unix_timestamp_nanos((seconds * 1e9) as i128).ok()?;
    (seconds.is_finite() && (0..=9999).contains(&time.year())).then_some(time)
}

/// What was found in an account and a region.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Inventory {
    /// The account of the streams; none if it is unknown.
    pub account: Option<String>,
    /// Where they are.
    pub region: String,
    /// The streams that were read, by name.
    pub streams: Vec<StreamDescription>,
    /// Those that the patterns left out.
    pub filtered: Vec<String>,
    /// Those that were listed and could not be read.
    pub unread: Vec<UnreadableStream>,
    /// Those that went between the list and their description.
    pub vanished: Vec<String>,
    /// Whether the list was read to its end. Nothing may be deleted by one that
    /// was not.
    pub is_complete: bool,
    /// The DynamoDB tables whose changes feed a Kinesis stream, by the stream.
    #[serde(skip)]
    pub tables: BTreeMap<Arn, Vec<Arn>>,
    /// What else a person should know, such as tables that could not be looked at.
    pub warnings: Vec<String>,
}

/// A stream that was listed and could not be read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnreadableStream {
    /// The stream.
    pub name: String,
    /// Why.
    pub cause: String,
}

//! Descriptions of delivery streams: the reader and the model of
//! `DescribeDeliveryStream`, for delivery and for the catalog.
//!
//! Only the members that a [`StreamDescription`] has are looked at: tokens, users,
//! passwords and attributes are never taken out of the response. What is unknown is kept by
//! its name, and an optional member of a type that it should not have is as good as none:
//! neither is an error. What is required of every description is: without it nobody knows
//! where a stream's records end up, which is not the same as that they end nowhere.
//!
//! The response is read as JSON and not by the SDK's own types, which drop what they do not
//! know, and give required members that are missing a value.

mod address;
mod destination;
mod model;
mod origin;
mod read;

pub use model::{
    Destination, DestinationKind, GlueSchema, IndexRotation, Processor, RecordSplit, S3Location,
    SearchEngine, Sink, StreamDescription, StreamOrigin, StreamStatus, TableName,
};
pub use read::read_description;

#[cfg(test)]
mod tests;

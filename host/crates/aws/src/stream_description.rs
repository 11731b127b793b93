//! Descriptions of delivery streams: the reader and the model of
//! `DescribeDeliveryStream`, for delivery and for the catalog.
//!
//! Only the members of a [`StreamDescription`] are read: tokens, users, passwords and attributes
//! are never taken from the response. Unknown parts are kept by name, and an optional member with a
//! wrong type counts as missing: neither is an error. But members that every description has are
//! required: without them, the destinations of a stream would be unknown, which is not the same as
//! a stream without destinations.
//!
//! The response is read as JSON and not with the SDK's own types, which drop unknown members, and
//! fill in missing required ones.

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

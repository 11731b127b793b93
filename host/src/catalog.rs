//! The catalog: what delivery streams there are, what feeds them, and where their
//! records end up, for OpenMetadata, OpenLineage, files and people.
//!
//! Data goes one way: `reading` asks Amazon for an [`Inventory`], a [`Graph`] is
//! drawn from it (and from what the plugin says it sends where), and the sinks
//! tell it on. Nothing here sees an event, and nothing of the way of events knows
//! of this module: it can be removed without touching them.

mod arn;
mod asset;
mod graph;
pub mod ingest;
pub mod openmetadata;
pub mod report;
mod stream;
pub mod web;

pub use arn::Arn;
pub use asset::{Asset, Rotation, SearchEngine, Table};
pub use graph::{Edge, Graph, Role, Route};
pub use stream::{
    Destination, Inventory, Origin, Processor, S3Place, Schema, Sink, Status, Stream, Unread,
};

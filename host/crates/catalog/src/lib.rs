//! The catalog: what delivery streams there are, what feeds them, and where their
//! records end up, for OpenMetadata, OpenLineage, files and people.
//!
//! Data goes one way: `reading` asks Amazon for an [`Inventory`], a [`Graph`] is
//! drawn from it (and from what the plugin says it sends where), and the sinks
//! tell it on. Nothing here sees an event, and nothing of the way of events knows
//! of this module: it can be removed without touching them.

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

mod asset;
pub mod document;
pub mod drawing;
mod filter;
mod graph;
pub mod ingest;
mod inventory;
pub mod limits;
pub mod openlineage;
pub mod openmetadata;
pub mod picture;
pub mod prefix;
pub mod probe;
pub mod reading;
pub mod report;
mod round;
pub mod schedule;
mod settings;
mod url_parts;
pub mod web;
mod whole;

pub use asset::Asset;
pub use filter::{Filter, FilterError};
pub use graph::{Edge, Graph, Role, Route};
pub use inventory::{Inventory, Unread, time_of};
pub use round::{Looked, Round, RoundError, Told, look, read_inventory};
pub use round::{open_metadata, open_secrets};
pub use settings::{
    CatalogSettings, Files, Judgement, OpenLineageServer, RawCatalog, RawCatalogFiles, RawLineage,
    RawOpenLineage, RawOpenMetadata,
};
pub use standpipe_aws::{
    Arn, Destination, Origin, Processor, Rotation, S3Place, Schema, SearchEngine, Sink, Status,
    StreamDescription, Table,
};

//! The catalog: the delivery streams, their sources, and their destinations, for OpenMetadata,
//! OpenLineage, files and people.
//!
//! Data flows in one direction: `discovery` reads an [`Inventory`] from AWS, `lineage` builds a
//! [`Graph`] from it and from the plugin's routes, and the sinks write it. This crate never sees an
//! event, and no code on the event path uses it, so it can be removed without affecting that path.

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

mod asset;
mod atomic_file;
pub mod discovery;
pub mod document;
mod filter;
mod graph;
pub mod http_client;
pub mod ingest;
mod inventory;
pub mod limits;
pub mod lineage;
pub mod openlineage;
pub mod openmetadata;
pub mod prefix;
pub mod probe;
pub mod render;
pub mod report;
pub mod schedule;
mod settings;
mod sync;
mod url_parts;

pub use asset::Asset;
pub use filter::{FilterError, StreamFilter};
pub use graph::{Edge, EdgeRole, EventRoute, Graph};
pub use inventory::{Inventory, UnreadableStream, time_of};
pub use settings::{
    CatalogSettings, OpenLineageServer, OutputFiles, RawCatalog, RawCatalogFiles, RawLineage,
    RawOpenLineage, RawOpenMetadata, SuccessCriteria,
};
pub use standpipe_aws::{
    Arn, Destination, GlueSchema, IndexRotation, Processor, S3Location, SearchEngine, Sink,
    StreamDescription, StreamOrigin, StreamStatus, TableName,
};
pub use sync::{CatalogSync, Snapshot, SyncError, SyncReport, read_inventory, take_snapshot};
pub use sync::{open_openmetadata, open_secrets};

//! Delivery streams and their lineage, written to a stand-in of OpenMetadata.

mod deletion;
mod faults;
mod incomplete;
mod lineage;
mod pipelines;
mod world;

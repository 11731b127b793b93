//! Tests writing delivery streams and their lineage to an OpenMetadata stand-in.

mod deletion;
mod faults;
mod incomplete;
mod lineage;
mod pipelines;
mod world;

//! Lineage in the format of OpenLineage (specification 2-0-2), for tools such as Marquez: a
//! `JobEvent` for each delivery stream, and one for each DynamoDB table that feeds a Kinesis
//! stream.
//!
//! A JobEvent contains the inputs and outputs of a job without a run, because delivery streams run
//! permanently. Tools that only know runs reject events without `run` (such as OpenMetadata, which
//! gets pipelines through its own API).
//!
//! `names` describes the names of jobs and datasets. Facets are `jobType` and `documentation` of
//! jobs, `documentation` and `symlinks` of datasets. There are no columns, because AWS returns
//! none, and no owners. There is no custom facet: its schema would have to be published at a
//! permanent address, and datasets and the job's documentation already contain its information
//! (which events, under which condition).

mod event;
mod file;
mod names;
mod server;

pub use event::{EventOptions, JobEvent, job_events};
pub use file::{FileError, write_file};
pub use names::LineageName;
pub use server::{LineageServer, SendError, SendReport};

#[cfg(test)]
mod tests;

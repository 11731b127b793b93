//! Lineage in the form of OpenLineage (specification 2-0-2), for tools such as
//! Marquez: a `JobEvent` for each delivery stream, and one for each table of
//! DynamoDB that feeds a Kinesis stream.
//!
//! A JobEvent says what a job reads and writes without saying that it ran: delivery
//! streams run always. It has no `run`, which tools that know runs alone refuse
//! (OpenMetadata is one: it gets pipelines through its own API).
//!
//! How things are called is described in `names`. Facets are `jobType` and
//! `documentation` of jobs, `documentation` and `symlinks` of datasets. There are no
//! columns, since AWS returns none, and no owners. Nor is there a facet of our
//! own: its schema would have to be published at an address that stays, and what it
//! would hold (which events, under which condition) is said by datasets and by the
//! job's documentation.

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

//! Writes records to delivery streams.
//!
//! Each worker has an [`RecordAccumulator`] with an open batch for every stream that it
//! has met; a batch that is full, or old enough, goes to its stream's queue and
//! from there through [`FirehoseClient`], which is Amazon or a local
//! directory. What Firehose does not take is sent again, and nothing else: the
//! response says what happened to every record.
//!
//! Records of a batch keep the order of their events. Nothing is promised about
//! the order of different batches, nor about records that were sent again.
//!
//! A stream is served by a task of its own from its first record on, and retired once
//! it has been idle for long enough; what events name is bounded besides. So names that
//! are made of data can take neither memory nor descriptors without end.
//!
//! Nothing here knows what a plugin is.

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

mod aggregation;
mod aggregation_decision;
mod aggregation_watcher;
mod amazon_client;
mod batch;
pub mod dead_letters;
mod error_kind;
pub mod faulty_client;
mod firehose_client;
mod firehose_clients;
mod lane;
pub mod limits;
mod local_directory;
mod log_limit;
mod metrics;
mod overflow;
mod pacer;
mod record_accumulator;
mod request_body;
mod request_runner;
mod retired_streams;
mod send_queue;
mod sender;
mod settings;
mod stream;
mod streams;

pub use aggregation::Aggregation;
pub use aggregation_decision::{AggregationChoice, AggregationDecision, decide_aggregation};
pub use amazon_client::{AmazonClient, read_put_answer};
pub use batch::{Batch, Provenance, Record};
use error_kind::ErrorKind;
pub use firehose_client::{
    DescribeFuture, FirehoseClient, PutFuture, PutResponse, RecordRefusal, RequestError, RetryClass,
};
pub use firehose_clients::{FirehoseClients, Identity};
pub use local_directory::LocalDirectory;
pub use pacer::{Quota, StartRate};
pub use record_accumulator::{RecordAccumulator, RecordNotAdded, StreamSlot};
pub use settings::{RawAggregate, RawAggregateUpTo, RawDelivery, RawStream};
pub use stream::{StreamReport, StreamSettings};
pub use streams::{Delivery, DeliverySettings, NamedBy, TooManyStreams, WeakDelivery};

#[cfg(test)]
mod tests;

//! Writes records to delivery streams.
//!
//! Each worker has a [`RecordAccumulator`] with an open batch for every stream that it uses. A
//! batch that is full or due goes to its stream's queue, and from there through [`FirehoseClient`],
//! which is AWS or a local directory. Only records that Firehose does not accept are sent again:
//! the response contains the result for every record.
//!
//! Records of a batch keep the order of their events. There is no guarantee about the order of
//! different batches, or of records that were sent again.
//!
//! Each stream has its own task from its first record on, and is retired after it has been idle for
//! long enough. The number of dynamic streams is limited too. So names that are created from data
//! cannot use unlimited memory or descriptors.
//!
//! This crate does not depend on plugins.

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

mod aggregation;
mod aggregation_decision;
mod aggregation_watcher;
mod amazon_client;
mod batch;
mod compression;
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
pub use aggregation_decision::{
    AggregationChoice, AggregationDecision, decide_aggregation, decide_compression,
};
pub use amazon_client::{AmazonClient, read_put_answer};
pub use batch::{Batch, Provenance, Record};
pub use compression::{CompressionFormat, RecordCompression};
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

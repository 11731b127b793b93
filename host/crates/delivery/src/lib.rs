//! Writes records to delivery streams.
//!
//! Each worker has an [`Outbox`] with an open batch for every stream that it
//! has met; a batch that is full, or old enough, goes to its stream's queue and
//! from there through the port to [`Firehose`], which is Amazon or a local
//! directory. What Firehose does not take is sent again, and nothing else: the
//! answer tells the fate of every record.
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

mod amazon;
mod attempt;
mod batch;
mod body;
pub mod dead;
mod decision;
mod describer;
mod directory;
mod error_kind;
pub mod faulty;
mod identity;
mod lane;
pub mod limits;
mod log_limit;
mod metrics;
mod outbox;
mod overflow;
mod pacer;
mod packing;
mod port;
mod retired;
mod sender;
mod settings;
mod stream;
mod streams;
mod waiting;

pub use amazon::{Amazon, read_put_answer};
pub use batch::{Batch, Provenance, Record};
pub use decision::{PackChoice, PackDecision, decide};
pub use directory::Directory;
use error_kind::ErrorKind;
pub use identity::{Identity, Ports};
pub use outbox::{NotAdded, Outbox, Place};
pub use pacer::{Quota, StartRate};
pub use packing::Pack;
pub use port::{Answer, Describe, Firehose, Put, Refusal, RequestError, Verdict};
pub use settings::{RawDelivery, RawPack, RawPackUpTo, RawStream};
pub use stream::{StreamReport, StreamSettings};
pub use streams::{Delivery, DeliverySettings, NamedBy, TooManyStreams, WeakDelivery};

#[cfg(test)]
mod tests;

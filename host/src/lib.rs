//! Delivers analytics events to Amazon Data Firehose. A WebAssembly component decides which
//! delivery stream each event goes to and what its record contains.
//!
//! The program `host` is one user of this library. Other programs start with [`Builder`].
//!
//! # Embedding
//!
//! Embed Standpipe in another program: a gateway submits events about its own traffic, and gets the
//! outcome of each.
//!
//! ```
//! use standpipe::{Builder, EventOutcome};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path();
//! let settings = r#"
//!     [plugin.settings]
//!     mappings = [{ event = "Signed Up", stream = "accounts" }]
//! "#;
//! let host = Builder::from_toml(settings, directory)?
//!     .local_directory(directory.join("records"))
//!     .start(&tokio::runtime::Handle::current())
//!     .await?;
//! let ended = host.submit(r#"{"type":"track","event":"Signed Up"}"#).await?;
//! assert_eq!(ended, EventOutcome::Delivered);
//! let summary = host.stop().await;
//! assert_eq!(summary.delivered, 1);
//! # Ok(())
//! # }
//! ```
//!
//! A program can contain several hosts. They share nothing, but each needs its own data directory.
//! A host does not install a logger (its messages go to `tracing`), does not read the process's
//! arguments, and does not end the process. This API contains no types of the WebAssembly engine or
//! of the AWS SDK.
//!
//! ## Submitting events
//!
//! An event is the text of a JSON object in UTF-8. Workers check that, and not the thread that
//! submits. Other text becomes a dead letter. Line ends between tokens become spaces, because a
//! record is one line.
//!
//! The number of unsettled events is [limited](Builder::events_max). Above the limit,
//! [`Host::try_submit`] returns the event at once and counts it, and [`Host::submit`] waits.
//! Accepted events are in memory until they are delivered: if the process is killed, they are lost.
//! If that is not acceptable, set `[[sources]]` and pass requests to [`Host::handle`]: it responds
//! once the events are on disk.
//!
//! ## Around a service
//!
//! [`GatewayLayer`] wraps any `tower` service: it handles requests of analytics SDKs in place of
//! the service, and creates events from other requests. Other proxies create events with
//! [`RequestCapture::begin`].
//!
//! # Features
//!
//! All are enabled by default. A gateway needs none of them.
//!
//! - `cli`: the program `host` with its commands.
//! - `collector`: the HTTP APIs of Segment and RudderStack in front of a durable spool.
//! - `catalog`: delivery streams and their lineage, for data catalogs.
//! - `queue`: a queue between collectors and mappers, in NATS JetStream or Amazon SQS.

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

// The modules below, from the highest floor to the lowest. Each imports only from lower floors, and
// never from its own floor. The crates of host/crates are below all of them.
//
// 9  cli                        subcommands
// 8  bench   check   gateway    a run, measured; tried out; or a part of another program
// 7  run                        build, spawn, drain
// 6  config                     raw settings to checked settings
// 5  admin                      health, metrics, changes of the plugin
// 4  pipeline                   source -> plugin -> delivery -> acknowledgement
// 3  source                     files, standard input, dead letters, events of an embedder
// 0  limits   log_fields        bounds that this crate enforces; log events on one line
//    stop                       how a run ends
//
// Public hidden modules are for the program and the tests. They are not part of the API.

#[doc(hidden)]
pub mod admin;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod bench;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod check;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod config;
mod gateway;
#[doc(hidden)]
pub mod limits;
#[cfg(any(feature = "cli", feature = "catalog"))]
mod log_fields;
#[doc(hidden)]
pub mod pipeline;
// Commands such as `host check` use single steps of a run, which other programs do not.
#[cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]
#[doc(hidden)]
pub mod run;
#[cfg(all(test, feature = "collector"))]
mod simulation;
#[doc(hidden)]
pub mod source;
mod stop;

pub use config::{ConfigError, Mistake, Settings};
pub use gateway::{
    Builder, CapturedBody, ClientAddress, Exchange, Gateway, GatewayLayer, Host, Plugin,
    RequestCapture, ResponseBody, StartError, StartErrorCause, SwapError,
};
pub use run::Summary;
pub use source::{OutcomeFuture, SubmissionStats, SubmitError, TrySubmitError};
pub use standpipe_core::event::{EventOutcome, Reason};
pub use standpipe_plugin_host::swap::Swapped;

/// The trait that an embedding program implements to write records to other destinations than
/// Amazon Data Firehose or a directory, and a client that fails on purpose, for tests.
pub mod firehose {
    pub use standpipe_aws::{Destination, DestinationKind, StreamDescription};
    pub use standpipe_core::event::StreamName;
    pub use standpipe_delivery::faulty_client::{FaultyClient, InjectedFault};
    pub use standpipe_delivery::{
        Batch, DescribeFuture, FirehoseClient, PutFuture, PutResponse, RecordRefusal, RequestError,
        RetryClass,
    };
}

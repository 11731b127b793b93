//! Delivers analytics events to Amazon Data Firehose. A WebAssembly component decides which
//! delivery stream each event goes to and what its record contains.
//!
//! The program `host` is one embedder of this library; [`Builder`] is where another one
//! starts.
//!
//! # Embedding
//!
//! Embed Standpipe in another program: a gateway submits events of its own traffic, and gets
//! the outcome of each.
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
//! There can be several hosts in a program; they share nothing, as long as each has
//! a data directory of its own. None of them installs a logger (what they have to say
//! goes to `tracing`), reads the process's arguments or ends it. Nothing of the
//! WebAssembly engine or of the AWS SDK shows here.
//!
//! ## Submitting events
//!
//! An event is the text of a JSON object in UTF-8. Workers check that, and not the thread that
//! submits; other text becomes a dead letter. Line ends between tokens become spaces, since a
//! record is one line.
//!
//! The number of unsettled events is [limited](Builder::events_max). Beyond the limit
//! [`Host::try_submit`] returns the event at once and counts it, and [`Host::submit`] waits.
//! Accepted events are in memory until they are delivered: a killed process loses them. If that
//! is not acceptable, set `[[sources]]` and pass requests to [`Host::handle`]: it responds once
//! the events are on disk.
//!
//! ## Around a service
//!
//! [`GatewayLayer`] wraps any `tower` service: it responds to analytics SDKs in the service's
//! place, and makes events of the requests that pass through. Other proxies make them with
//! [`RequestCapture::begin`].
//!
//! # Features
//!
//! All are on by default; a gateway needs none of them.
//!
//! - `cli`: the program `host` with its commands.
//! - `collector`: the HTTP APIs of Segment and RudderStack in front of a durable spool.
//! - `catalog`: delivery streams and their lineage, for data catalogs.

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

// The modules below, from the highest floor to the lowest. Each imports from lower floors
// only, never from a neighbour; the crates of host/crates are below all of them.
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
// Those that are public and hidden serve the program and the tests; they are not part of the API.

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
// Commands such as `host check` use steps of a run that an embedder never takes alone.
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

/// What an embedder implements to write records elsewhere than to Amazon Data Firehose
/// or a directory, and a client that fails on purpose, for tests.
pub mod firehose {
    pub use standpipe_aws::{Destination, DestinationKind, StreamDescription};
    pub use standpipe_core::event::StreamName;
    pub use standpipe_delivery::faulty_client::{FaultyClient, InjectedFault};
    pub use standpipe_delivery::{
        Batch, DescribeFuture, FirehoseClient, PutFuture, PutResponse, RecordRefusal, RequestError,
        RetryClass,
    };
}

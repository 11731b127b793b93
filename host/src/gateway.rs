//! The host as a part of another program: a gateway that sees the traffic anyway
//! hands its events in, and is told what became of each.
//!
//! ```
//! use standpipe::gateway::{Builder, Ended};
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
//!     .into_directory(directory.join("records"))
//!     .start(&tokio::runtime::Handle::current())
//!     .await?;
//! let ended = host.submit(r#"{"type":"track","event":"Signed Up"}"#).await?;
//! assert_eq!(ended, Ended::Delivered);
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
//! # Handing events in
//!
//! An event is a JSON object as text, in UTF-8. Whether it is one is looked at by the
//! workers, off the threads of whoever hands it in; what is none goes to the dead
//! letters. Line ends between its tokens become spaces, since a record is one line.
//!
//! How much may be under way is [bounded](Builder::events_max). Beyond,
//! [`Host::try_submit`] gives the event back at once and counts that, and
//! [`Host::submit`] waits. Events that were accepted are in memory until they are
//! delivered: a process that is killed loses them. Where that must not be, give the
//! settings `[[sources]]` and have [`Host::answer`] take the requests: they are
//! answered once the events are on the disk.
//!
//! # Around a service
//!
//! [`Layer`] wraps any service of `tower`: it answers the calls of analytics SDKs in
//! its place, and makes events of the requests that pass through. Proxies that are no
//! such services make them with [`Copies::begin`].

mod body;
mod builder;
mod copies;
mod exchange;
mod layer;
mod plugin;
mod running;
mod service;
mod submitting;
mod swapping;

pub use body::{AnswerBody, RequestBody};
pub use builder::{Builder, StartError};
pub use copies::Copies;
pub use exchange::Exchange;
pub use layer::Layer;
pub use plugin::{Plugin, SwapRefused, Swapped};
pub use running::Host;
pub use service::{Client, Gateway};

pub use crate::config::{ConfigError, Mistake};
pub use crate::run::Summary;
pub use crate::source::{NotSettled, Receipt, Refused, SubmitReport as Stats};
pub use standpipe_core::event::{Ended, Reason};

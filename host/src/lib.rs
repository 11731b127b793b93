//! Analytics events in, a WebAssembly component decides where each goes and
//! what it looks like, Amazon Data Firehose out.
//!
//! The program `host` is one embedder of this library; [`gateway::Builder`] is where
//! another one starts.
//!
//! # Floors
//!
//! A module imports from lower floors only, never from a neighbour:
//!
//! ```text
//! 9  cli                                   subcommands
//! 8  bench   check   gateway               a run, measured; tried out; or a part of another program
//! 7  run                                   build, spawn, drain
//! 6  config                                raw settings to checked settings
//! 5  admin                                 health, metrics, changes of the plugin
//! 4  pipeline   swap                       source -> plugin -> delivery -> ack; another plugin takes over
//! 3  source   collector   plugin   delivery   catalog   neighbours, blind to each other
//! 2  dead   secrets                        dead letters; managers of secrets
//! 1  aws   http   policy   spool           an AWS client, a server, IAM policies, a durable queue
//! 0  event   limits   clock   private   secret   blocking   the words everyone speaks
//!    escape   fingerprint                  text from outside on one line; one state of a file
//!    gzip                                  compressed text
//! ```
//!
//! Data goes one way: source, plugin, delivery. The only thing that travels
//! back is an [`event::Ack`].

pub mod admin;
pub mod aws;
pub mod bench;
mod blocking;
pub mod catalog;
pub mod check;
pub mod cli;
pub mod clock;
pub mod collector;
pub mod config;
pub mod dead;
pub mod delivery;
pub mod escape;
pub mod event;
mod fingerprint;
pub mod gateway;
mod gzip;
pub mod http;
pub mod limits;
pub mod pipeline;
pub mod plugin;
pub mod policy;
pub mod private;
pub mod run;
pub mod secret;
pub mod secrets;
#[cfg(test)]
mod simulation;
pub mod source;
pub mod spool;
pub mod swap;

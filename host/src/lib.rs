//! Analytics events in, a WebAssembly component decides where each goes and
//! what it looks like, Amazon Data Firehose out.
//!
//! The program `host` is one embedder of this library; [`gateway::Builder`] is where
//! another one starts.
//!
//! # Floors
//!
//! This crate composes those of host/crates. Its modules import from lower floors only,
//! never from a neighbour:
//!
//! ```text
//! 9  cli                        subcommands
//! 8  bench   check   gateway    a run, measured; tried out; or a part of another program
//! 7  run                        build, spawn, drain
//! 6  config                     raw settings to checked settings
//! 5  admin                      health, metrics, changes of the plugin
//! 4  pipeline                   source -> plugin -> delivery -> acknowledgement
//! 3  source                     files, standard input, dead letters, events of an embedder
//! 0  limits   log_fields        bounds that this crate enforces; log events on one line
//! ```
//!
//! Data goes one way: source, plugin, delivery. The only thing that travels
//! back is an [`Ack`](standpipe_core::event::Ack).

pub mod admin;
#[cfg(feature = "cli")]
pub mod bench;
#[cfg(feature = "cli")]
pub mod check;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod gateway;
pub mod limits;
#[cfg(any(feature = "cli", feature = "catalog"))]
mod log_fields;
pub mod pipeline;
// Commands such as `host check` use steps of a run that an embedder never takes alone.
#[cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]
pub mod run;
#[cfg(test)]
mod simulation;
pub mod source;

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
//! 0  limits                     bounds that this crate enforces
//! ```
//!
//! Data goes one way: source, plugin, delivery. The only thing that travels
//! back is an [`Ack`](standpipe_core::event::Ack).

pub mod admin;
pub mod bench;
pub mod check;
pub mod cli;
pub mod config;
pub mod gateway;
pub mod limits;
pub mod pipeline;
pub mod run;
#[cfg(test)]
mod simulation;
pub mod source;

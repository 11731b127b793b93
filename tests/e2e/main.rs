//! End-to-end tests: the real program, real files, real sockets.

mod accounting;
mod amazon;
mod bench;
mod cases;
mod check;
mod collector;
mod commands;
mod copies;
mod credentials;
mod dead;
mod full_disk;
mod iam;
mod inputs;
mod layout;
mod leaks;
mod messages;
mod native;
mod packing;
mod plugins;
mod refusals;
mod sample;
mod sdks;
mod secrets;
mod signals;
mod spool;
mod unreliable;

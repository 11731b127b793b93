//! End-to-end tests: the real program, real files, real sockets.

mod accounting;
mod amazon;
mod cases;
mod commands;
mod faults_on_purpose;
mod inputs;
mod layout;
mod refusals;
mod sample;
mod signals;

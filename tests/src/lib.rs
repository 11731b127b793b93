//! Helpers of the end-to-end tests.
//!
//! [`Program`] starts the real program in its own directory. [`Stub`] is a Firehose that enforces
//! the limits of the real one and fails on purpose. [`moto`] and [`ministack`] are third-party
//! implementations of the AWS API, and [`linter`] lints IAM policies. [`Endpoint`] sends the
//! responses of a test. [`oracle`] computes the expected outcome of each event, and [`events`]
//! generates events. [`Collector`] is the program as a server, with the [`settings`] of a test.
//! [`client`] sends invalid requests to it, [`http2`] invalid HTTP/2 frames, [`Sdk`] the requests
//! of the vendors' SDKs, and [`Curl`] requests over TLS or HTTP/2. [`metrics`] reads its metrics,
//! [`openapi`] compares its responses with their document, and [`minisign`] signs plugins.
//! [`Proxy`] is nginx or Envoy beside the program, [`Template`] the initial plugin of an author.
//! [`nats`] starts NATS servers and kills them, [`TcpProxy`] is a network that can be cut, and
//! [`SqsProxy`] injects faults into requests to SQS.
//! [`swap_trial`] swaps plugins while events flow. [`catalog`] creates the input of the catalog,
//! [`openmetadata`] is an OpenMetadata API that rejects what the real one rejects, and [`pictures`]
//! renders the catalog's pictures.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod binary;
pub mod case;
pub mod catalog;
pub mod client;
mod collector;
pub mod compiled;
mod component;
pub mod compressed;
mod curl;
mod dead_letter;
pub mod disk;
pub mod endpoint;
pub mod events;
pub mod http2;
mod http_request;
pub mod linter;
pub mod metrics;
pub mod minisign;
pub mod ministack;
pub mod moto;
pub mod mounted;
pub mod nats;
pub mod openapi;
pub mod openmetadata;
pub mod oracle;
pub mod outside;
pub mod pictures;
mod port;
mod program;
mod proxy;
mod running;
mod sdk;
pub mod settings;
pub mod signature;
mod sqs_proxy;
pub mod stub;
pub mod swap_trial;
mod tcp_proxy;
mod template;
pub mod tools;
mod transcript;

pub use binary::{cargo_metadata, pingora_gateway, program_path};
pub use collector::Collector;
pub use component::{misbehaving_plugin, stamp_component};
pub use curl::Curl;
pub use dead_letter::DeadLetter;
pub use endpoint::Endpoint;
pub use port::free_port;
pub use program::{FinishedRun, Program, make_data_directory};
pub use proxy::Proxy;
pub use running::{ProcessUsage, ProgramThread, Running};
pub use sdk::Sdk;
pub use sqs_proxy::{EventPassages, SqsFaultRates, SqsProxy, SqsRecord};
pub use stub::{Stub, StubResponse};
pub use tcp_proxy::TcpProxy;
pub use template::Template;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The time after which a waiting test fails.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The top directory of the workspace.
pub fn workspace_directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Waits until a condition holds, and fails if it does not in time.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

//! Requests to servers that the operator allows.
//!
//! Without `allow` under `[plugin.network]` in the settings of the host, each request fails. Only a
//! component can call [`fetch_all`]: natively it panics, so keep it behind a trait of your own if your
//! tests run natively.

use crate::network_bindings::standpipe::mapping::web;

pub use web::{Failure, FailureKind, Redirects, Request, Response};

/// Sends all requests at the same time, and waits for all responses. The results are in the order of
/// the requests.
pub fn fetch_all(requests: &[Request]) -> Vec<Result<Response, Failure>> {
    web::fetch_all(requests)
}

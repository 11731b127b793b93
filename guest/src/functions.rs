//! HTTP requests of other services, which become events.
//!
//! A plugin that implements [`RequestHandler`] and calls [`export_functions!`](crate::export_functions)
//! instead of [`export!`](crate::export) can be the function of a source: `path` in the table
//! `[sources.function]` of the host's settings. The host calls [`Plugin::configure`] with the settings
//! in this table, and then [`RequestHandler::handle_request`] for each request. It does not call
//! [`Plugin::map`].
//!
//! ```
//! use standpipe_plugin::functions::{Failure, HttpRequest, RequestHandler};
//! use standpipe_plugin::{Event, Outputs, Plugin, Setup};
//!
//! struct Payments;
//!
//! impl Plugin for Payments {
//!     fn configure(_settings: &str, _setup: &mut Setup) -> Result<Self, String> {
//!         Ok(Payments)
//!     }
//!     fn map(&mut self, _event: &Event, _outputs: &mut Outputs) {}
//! }
//!
//! impl RequestHandler for Payments {
//!     fn handle_request(&mut self, request: HttpRequest) -> Result<Vec<String>, Failure> {
//!         let body = String::from_utf8(request.body);
//!         let body = body.map_err(|_| Failure::rejected("the body is not UTF-8"))?;
//!         if !body.starts_with('{') {
//!             return Err(Failure::rejected("the body is not an object"));
//!         }
//!         Ok(vec![format!(
//!             r#"{{"type":"track","event":"Payment","userId":"shop","properties":{body}}}"#
//!         )])
//!     }
//! }
//!
//! standpipe_plugin::export_functions!(Payments);
//! # fn main() {}
//! ```

use crate::function_bindings::exports::standpipe::mapping::functions as contract;
use crate::{Exported, Plugin};

pub use contract::{Failure, FailureKind, HttpRequest};

/// A plugin that turns HTTP requests into events.
pub trait RequestHandler: Plugin {
    /// Returns the events of a request: JSON texts, each of them one object. An empty list is valid.
    ///
    /// # Errors
    ///
    /// Says whether the sender should send the request again, and for the log of the host why.
    fn handle_request(&mut self, request: HttpRequest) -> Result<Vec<String>, Failure>;
}

impl Failure {
    /// The request is invalid. Its sender gets status 400, and should not send it again.
    pub fn rejected(message: impl Into<String>) -> Self {
        Failure { kind: FailureKind::Rejected, message: message.into() }
    }

    /// The request cannot be handled now. Its sender gets status 503, and should send it again.
    pub fn retry(message: impl Into<String>) -> Self {
        Failure { kind: FailureKind::Retry, message: message.into() }
    }
}

impl<T> contract::Guest for T
where
    T: Exported,
    T::Plugin: RequestHandler,
{
    fn handle_request(request: HttpRequest) -> Result<Vec<String>, Failure> {
        T::with_instance(|instance| {
            let plugin = instance.as_mut().expect("the host calls configure before handle-request");
            plugin.handle_request(request)
        })
    }
}

/// Exports a [`Plugin`] that is also a [`RequestHandler`]. It replaces [`export!`](crate::export).
#[macro_export]
macro_rules! export_functions {
    ($plugin:ty) => {
        $crate::export_component!($plugin, {
            $crate::bindings::export_bindings!(Component with_types_in $crate::bindings);
            $crate::function_bindings::export_function_bindings!(
                Component with_types_in $crate::function_bindings
            );
        });
    };
}

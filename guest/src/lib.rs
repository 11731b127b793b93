//! Write a mapping plugin for Standpipe.
//!
//! A plugin decides for each analytics event which Amazon Data Firehose delivery streams get it,
//! and with which payload. Implement [`Plugin`], call [`export!`] once, and build for
//! `wasm32-wasip2`. This is a complete plugin:
//!
//! ```
//! use standpipe_plugin::{Event, Outputs, Plugin, Setup, Stream};
//!
//! struct Orders { orders: Stream, rest: Stream }
//!
//! impl Plugin for Orders {
//!     fn configure(_settings: &str, setup: &mut Setup) -> Result<Self, String> {
//!         Ok(Orders { orders: setup.declare("orders")?, rest: setup.declare("rest")? })
//!     }
//!     fn map(&mut self, event: &Event, outputs: &mut Outputs) {
//!         let order = event.name.as_deref().is_some_and(|name| name.starts_with("Order "));
//!         outputs.deliver(if order { self.orders } else { self.rest });
//!     }
//! }
//!
//! standpipe_plugin::export!(Orders);
//! # fn main() {}
//! ```
//!
//! ```toml
//! # Cargo.toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//! ```
//!
//! ```text
//! cargo build --release --target wasm32-wasip2
//! host run --plugin target/wasm32-wasip2/release/orders.wasm --local out events.ndjson
//! ```
//!
//! # What to know
//!
//! - [`Plugin::configure`] runs once for each instance and declares every
//!   stream that the plugin may name; [`Plugin::map`] runs once for each event.
//! - If the decisions of a plugin depend only on message type, event name and source, call
//!   [`Setup::read_kind_only`]. The host then calls the plugin once for all equal events of a
//!   batch, which costs almost nothing. By default, the plugin gets every event with its text.
//! - Without an output, an event is filtered. With several outputs, an event is delivered several
//!   times.
//! - A panic only affects the events that cause it: they become dead letters, and the others are
//!   mapped again in a new instance. The host can drop an instance at any time, so keep nothing in
//!   it that must not be lost.
//! - A plugin has no access to files, sockets and environment. Clocks and random numbers work, and
//!   printed text becomes log lines of the host. Waiting (sleep, poll) traps.
//! - With the feature `network`, the modules `web` and `geolocation` send requests to servers that
//!   the operator allows, and look up IP addresses.
//! - With the feature `functions`, a plugin can turn HTTP requests of other services into events: see
//!   the module `functions`.
//! - [`Plugin::routes`] can report which events go to which stream, for catalogs.
//! - The whole contract, for every language, is `wit/mapping.wit`.
//!
//! # Test without WebAssembly
//!
//! A plugin is an ordinary Rust type, so its tests run natively:
//!
//! ```
//! # use standpipe_plugin::{Event, Outputs, Plugin, Setup, Stream};
//! # struct Orders { orders: Stream, rest: Stream }
//! # impl Plugin for Orders {
//! #     fn configure(_settings: &str, setup: &mut Setup) -> Result<Self, String> {
//! #         Ok(Orders { orders: setup.declare("orders")?, rest: setup.declare("rest")? })
//! #     }
//! #     fn map(&mut self, event: &Event, outputs: &mut Outputs) {
//! #         outputs.deliver(if event.name.is_some() { self.orders } else { self.rest });
//! #     }
//! # }
//! let mut plugin = standpipe_plugin::testing::Harness::<Orders>::configure("{}")?;
//! let event = Event { name: Some("Order Completed".into()), ..standpipe_plugin::testing::event("{}") };
//! assert_eq!(plugin.map(event), [standpipe_plugin::testing::deliver("orders")]);
//! # Ok::<(), String>(())
//! ```

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

#[cfg(feature = "functions")]
pub mod functions;
#[cfg(feature = "network")]
pub mod geolocation;
mod plugin;
pub mod testing;
#[cfg(feature = "network")]
pub mod web;

#[doc(hidden)]
pub mod bindings {
    //! The bindings that wit-bindgen generates from the contract.
    #![allow(missing_docs, clippy::all, clippy::pedantic)]

    wit_bindgen::generate!({
        path: "../wit",
        world: "plugin-with-routes",
        pub_export_macro: true,
        export_macro_name: "export_bindings",
        default_bindings_module: "standpipe_plugin::bindings",
        generate_all,
    });
}

#[cfg(feature = "functions")]
#[doc(hidden)]
pub mod function_bindings {
    //! The bindings of the contract's optional export of functions.
    #![allow(missing_docs, clippy::all, clippy::pedantic)]

    wit_bindgen::generate!({
        path: "../wit",
        world: "request-functions",
        pub_export_macro: true,
        export_macro_name: "export_function_bindings",
        default_bindings_module: "standpipe_plugin::function_bindings",
        generate_all,
    });
}

#[cfg(feature = "network")]
mod network_bindings {
    //! The bindings of the contract's optional imports.
    #![allow(missing_docs, unreachable_pub, dead_code, clippy::all, clippy::pedantic)]

    wit_bindgen::generate!({
        path: "../wit",
        world: "network",
        generate_all,
    });
}

pub use bindings::exports::standpipe::mapping::mapper::{Event, Reads};
pub use bindings::exports::standpipe::mapping::routes::Route;
pub use plugin::{Outputs, Plugin, Setup, Stream};

#[doc(hidden)]
pub use plugin::Exported;

/// Exports a [`Plugin`] as the component's implementation of the contract.
///
/// Call it once, at the top level of the crate. For other targets than WebAssembly, it does
/// nothing, so the same crate can be tested natively.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        $crate::export_component!($plugin, {
            $crate::bindings::export_bindings!(Component with_types_in $crate::bindings);
        });
    };
}

/// Defines the type that the exports of the contract are implemented for.
#[doc(hidden)]
#[macro_export]
macro_rules! export_component {
    ($plugin:ty, { $($exports:tt)* }) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            impl $crate::Exported for Component {
                type Plugin = $plugin;

                fn with_instance<R>(
                    run: impl FnOnce(&mut ::core::option::Option<$plugin>) -> R,
                ) -> R {
                    ::std::thread_local! {
                        static INSTANCE: ::core::cell::RefCell<::core::option::Option<$plugin>> =
                            const { ::core::cell::RefCell::new(None) };
                    }
                    INSTANCE.with_borrow_mut(run)
                }
            }

            $($exports)*
        };
    };
}

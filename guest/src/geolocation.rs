//! Where IP addresses are, by a database of the operator.

use crate::network_bindings::standpipe::mapping::geolocation;

/// Looks up an IP address. The result is what the database contains about the address, as JSON text,
/// or `None`. Only a component can call this: natively it panics.
///
/// # Errors
///
/// Fails if the host has no database, or if the text is not an IP address.
pub fn locate(address: &str) -> Result<Option<String>, String> {
    geolocation::locate(address)
}

//! The description of the admin API in OpenAPI 3.1, which is a file of the docs. Tests hold its schemas
//! equal to the types of the responses, and its paths to the routes.

/// The document, JSON text.
pub(super) const DOCUMENT: &str = include_str!("../../docs/openapi.json");

#[cfg(test)]
mod tests;

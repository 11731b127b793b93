//! The description of the admin API in OpenAPI 3.1, which is a file of the docs. Tests compare its
//! schemas with the types of the responses, and its paths with the routes.

/// The document as JSON text.
pub(super) const DOCUMENT: &str = include_str!("../../docs/openapi.json");

#[cfg(test)]
mod tests;

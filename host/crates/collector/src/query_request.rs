//! Requests with all data in their query: the vendors' pixels, and webhooks with an empty body. The
//! query is converted to the equivalent body.

use super::decode::{InvalidBody, pixel};
use super::dialect::MessageType;
use super::{BodyShape, webhook};
use standpipe_core::clock;

/// A request whose query contains the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueryRequest {
    /// Segment's pixel.
    Segment(MessageType),
    /// RudderStack's pixel.
    RudderStack(MessageType),
    /// A webhook.
    Webhook,
}

impl QueryRequest {
    pub(super) fn shape(self) -> BodyShape {
        match self {
            QueryRequest::Segment(message_type) | QueryRequest::RudderStack(message_type) => {
                BodyShape::One(message_type)
            }
            QueryRequest::Webhook => BodyShape::Webhook,
        }
    }

    /// Returns whether a page sends it.
    pub(super) fn is_of_page(self) -> bool {
        self != QueryRequest::Webhook
    }

    /// Creates the equivalent body. Returns `None` if the query contains no event.
    pub(super) fn body(self, query: &str) -> Result<Option<Vec<u8>>, InvalidBody> {
        let pairs = || {
            let pairs = form_urlencoded::parse(query.as_bytes());
            pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect::<Vec<_>>()
        };
        Ok(match self {
            QueryRequest::Segment(_) => Some(pixel::make_segment_body(&pairs())),
            QueryRequest::RudderStack(path) => {
                pixel::make_rudderstack_body(&pairs(), path, clock::now())
            }
            QueryRequest::Webhook => Some(webhook::of_query(query)?),
        })
    }
}

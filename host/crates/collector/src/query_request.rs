//! Requests that say everything in their query: the vendors' pixels and webhooks with an empty
//! body. The query becomes the body that says the same.

use super::decode::{InvalidBody, pixel};
use super::dialect::MessageType;
use super::{BodyShape, webhook};
use standpipe_core::clock;

/// A request that has all it says in its query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueryRequest {
    /// An image of Segment's form.
    Segment(MessageType),
    /// An image of RudderStack's form.
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

    /// Whether a page asks for it.
    pub(super) fn is_of_page(self) -> bool {
        self != QueryRequest::Webhook
    }

    /// The body that says the same; none if there is no event in it.
    pub(super) fn body(self, query: &str) -> Result<Option<Vec<u8>>, InvalidBody> {
        let pairs = || {
            let pairs = form_urlencoded::parse(query.as_bytes());
            pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect::<Vec<_>>()
        };
        Ok(match self {
            QueryRequest::Segment(_) => Some(pixel::segment(&pairs())),
            QueryRequest::RudderStack(path) => pixel::rudderstack(&pairs(), path, clock::now()),
            QueryRequest::Webhook => Some(webhook::of_query(query)?),
        })
    }
}

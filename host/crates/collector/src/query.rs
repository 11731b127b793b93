//! Requests that say everything in their query: the vendors' pixels and webhooks with an empty
//! body. The query becomes the body that says the same.

use super::decode::{BadBody, pixel};
use super::dialect::MessageType;
use super::{Shape, webhook};
use standpipe_core::clock;

/// A request that has all it says in its query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Query {
    /// An image of Segment's form.
    Segment(MessageType),
    /// An image of RudderStack's form.
    RudderStack(MessageType),
    /// A webhook.
    Webhook,
}

impl Query {
    pub(super) fn shape(self) -> Shape {
        match self {
            Query::Segment(message_type) | Query::RudderStack(message_type) => {
                Shape::One(message_type)
            }
            Query::Webhook => Shape::Webhook,
        }
    }

    /// Whether a page asks for it.
    pub(super) fn is_of_page(self) -> bool {
        self != Query::Webhook
    }

    /// The body that says the same; none if there is no event in it.
    pub(super) fn body(self, query: &str) -> Result<Option<Vec<u8>>, BadBody> {
        let pairs = || {
            let pairs = form_urlencoded::parse(query.as_bytes());
            pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect::<Vec<_>>()
        };
        Ok(match self {
            Query::Segment(_) => Some(pixel::segment(&pairs())),
            Query::RudderStack(path) => pixel::rudderstack(&pairs(), path, clock::now()),
            Query::Webhook => Some(webhook::of_query(query)?),
        })
    }
}

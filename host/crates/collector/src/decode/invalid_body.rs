//! Why a whole body is refused, with the text for the client. The text quotes nothing of the body,
//! and contains a byte offset if there is one.

use thiserror::Error;

use crate::limits;
use standpipe_core::event::{Malformed, OutlineError};

/// Why a whole body is refused. The texts quote no part of the body.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidBody {
    /// The body contains only whitespace.
    #[error("the body is empty")]
    Empty,
    /// Some bytes are not UTF-8.
    #[error("the body is not UTF-8 from byte {at}")]
    NotUtf8 {
        /// The position of the first invalid byte, counted from 0.
        at: usize,
    },
    /// The body is not JSON.
    #[error("the body is not JSON from byte {at}")]
    NotJson {
        /// The position at which parsing stopped, counted from 0.
        at: usize,
    },
    /// The body is JSON, but not an object.
    #[error("the body is JSON, but not an object")]
    NotAnObject,
    /// Objects and arrays are nested too deeply.
    #[error("objects and arrays are nested deeper than {levels_max} levels")]
    TooDeep {
        /// The permitted depth.
        levels_max: usize,
    },
    /// The body has no array `batch`.
    #[error("the body has no array `batch`")]
    NoBatch,
    /// The array is empty.
    #[error("the batch is empty")]
    EmptyBatch,
    /// The events, with added members, have too many bytes.
    #[error("the events have more than {max} bytes", max = limits::COLLECTED_BYTES_MAX)]
    TooLong,
    /// There are too many events.
    #[error("the request has more than {max} events", max = limits::COLLECT_EVENTS_MAX)]
    TooManyEvents,
    /// The shared members of the batch, and others that are added to its events, have too many
    /// bytes.
    #[error(
        "the additions to the events, with context, integrations and sentAt of the batch in each, \
         have more than {max} bytes",
        max = limits::COLLECT_ADDED_BYTES_MAX
    )]
    AddsTooMuch,
    /// There are too many members or items.
    #[error("the body has more than {max} members and items", max = limits::COLLECT_PARTS_MAX)]
    TooManyParts,
    /// `context` or `integrations` of the batch or of an event has too many members.
    #[error(
        "context or integrations has more than {max} members",
        max = limits::COLLECT_SHARED_MEMBERS_MAX
    )]
    TooManyMembers,
    /// A form, or the query of a webhook, has too many fields.
    #[error("the form has more than {max} fields", max = limits::COLLECT_FORM_FIELDS_MAX)]
    TooManyFields,
}

impl InvalidBody {
    /// The text of the response. It is that of RudderStack's gateway without a line end, followed
    /// by the position of the problem, or by the exceeded limit of this program and the solution.
    /// Segment's texts are not public.
    pub fn response_text(&self) -> String {
        match self {
            InvalidBody::Empty => "request body is nil".to_owned(),
            InvalidBody::NotUtf8 { .. }
            | InvalidBody::NotJson { .. }
            | InvalidBody::TooDeep { .. } => format!("invalid json: {self}"),
            InvalidBody::NotAnObject => "event is not a valid rudder event".to_owned(),
            InvalidBody::NoBatch | InvalidBody::EmptyBatch => "empty batch payload".to_owned(),
            InvalidBody::TooLong
            | InvalidBody::TooManyEvents
            | InvalidBody::AddsTooMuch
            | InvalidBody::TooManyParts => {
                format!("request size exceeds max limit: {self}: send fewer events in a request")
            }
            InvalidBody::TooManyMembers | InvalidBody::TooManyFields => {
                format!("request size exceeds max limit: {self}: send fewer of them")
            }
        }
    }
}

impl From<Malformed> for InvalidBody {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::NotUtf8 { at } => InvalidBody::NotUtf8 { at },
            Malformed::ZeroByte { at } | Malformed::NotJson { at } => InvalidBody::NotJson { at },
            Malformed::NotAnObject => InvalidBody::NotAnObject,
            Malformed::TooDeep { levels_max } => InvalidBody::TooDeep { levels_max },
        }
    }
}

impl From<OutlineError> for InvalidBody {
    fn from(error: OutlineError) -> Self {
        match error {
            OutlineError::Malformed(malformed) => malformed.into(),
            OutlineError::TooManyParts { .. } => InvalidBody::TooManyParts,
        }
    }
}

use thiserror::Error;

use crate::event::Malformed;
use crate::limits;

/// Why a body as a whole is refused. None of these shows any of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadBody {
    /// There is nothing but whitespace.
    #[error("the body is empty")]
    Empty,
    /// Some bytes are not UTF-8.
    #[error("the body is not UTF-8 from byte {at}")]
    NotUtf8 {
        /// The first bad byte, counted from 0.
        at: usize,
    },
    /// It is not JSON.
    #[error("the body is not JSON from byte {at}")]
    NotJson {
        /// Where reading stopped, counted from 0.
        at: usize,
    },
    /// It is JSON, but not the object that it should be.
    #[error("the body is JSON, but no object")]
    NotAnObject,
    /// Objects and arrays are nested too deeply.
    #[error("objects and arrays are nested deeper than {levels_max} levels")]
    TooDeep {
        /// The permitted depth.
        levels_max: usize,
    },
    /// There is no array `batch`.
    #[error("the body has no array `batch`")]
    NoBatch,
    /// There is nothing in the array.
    #[error("the batch is empty")]
    EmptyBatch,
    /// The events would take too much memory with all that is added to them.
    #[error("the events come to more than {max} bytes", max = limits::COLLECTED_BYTES_MAX)]
    TooLong,
}

impl BadBody {
    /// The status to answer with, which for all but one is that of RudderStack and
    /// Segment alike.
    pub fn status(&self) -> u16 {
        match self {
            BadBody::TooLong => 413,
            _ => 400,
        }
    }

    /// The text to answer with: that of RudderStack's gateway, without a line end.
    /// Segment's texts are not public.
    pub fn answer(&self) -> &'static str {
        match self {
            BadBody::Empty => "request body is nil",
            BadBody::NotUtf8 { .. } | BadBody::NotJson { .. } | BadBody::TooDeep { .. } => {
                "invalid json"
            }
            BadBody::NotAnObject => "event is not a valid rudder event",
            BadBody::NoBatch | BadBody::EmptyBatch => "empty batch payload",
            BadBody::TooLong => "request size exceeds max limit",
        }
    }
}

impl From<Malformed> for BadBody {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::NotUtf8 { at } => BadBody::NotUtf8 { at },
            Malformed::ZeroByte { at } | Malformed::NotJson { at } => BadBody::NotJson { at },
            Malformed::NotAnObject => BadBody::NotAnObject,
            Malformed::TooDeep { levels_max } => BadBody::TooDeep { levels_max },
        }
    }
}

//! Why a part of a well-formed request is not an event. Codes are stored in the spool; texts are the
//! responses that clients get.

use thiserror::Error;

/// Why a part of a well-formed request is not an event.
///
/// The texts are the responses that clients get where the whole request is refused
/// for it. The first two are those of RudderStack's gateway, word for word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Error)]
#[repr(u8)]
pub enum EventRefusal {
    /// It is JSON, but not an object.
    #[error("event is not a valid rudder event")]
    NotAnObject = 1,
    /// Neither `userId` nor `anonymousId` says whose event it is.
    #[error("request neither has anonymousId nor userId")]
    NoIdentity = 2,
    /// `type` is missing, empty or no string, where no path says it.
    #[error("event has no type")]
    NoType = 3,
    /// It is of type `track`, and `event` is missing, empty or no string.
    #[error("track event has no event name")]
    NoEventName = 4,
    /// It is longer than [`EVENT_BYTES_MAX`](crate::limits::EVENT_BYTES_MAX),
    /// be it as received or with what is added.
    #[error("event is too long")]
    TooLong = 5,
    /// It is the body of a request that was refused as a whole.
    #[error("the request was refused; this is its body")]
    Request = 6,
}

impl EventRefusal {
    const ALL: [EventRefusal; 6] = [
        EventRefusal::NotAnObject,
        EventRefusal::NoIdentity,
        EventRefusal::NoType,
        EventRefusal::NoEventName,
        EventRefusal::TooLong,
        EventRefusal::Request,
    ];

    /// A number that stands for it wherever it is stored; never 0.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What a number stands for; none for one that stands for nothing.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.code() == code)
    }
}

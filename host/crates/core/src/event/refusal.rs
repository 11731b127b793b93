//! Why a part of a well-formed request is not an event. The spool stores the codes. The texts are
//! responses for clients.

use thiserror::Error;

/// Why a part of a well-formed request is not an event.
///
/// If the whole request is refused, the text is the response. The first two texts are those of
/// RudderStack's gateway, word for word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Error)]
#[repr(u8)]
pub enum EventRefusal {
    /// The part is JSON, but not an object.
    #[error("event is not a valid rudder event")]
    NotAnObject = 1,
    /// Neither `userId` nor `anonymousId` identifies the user of the event.
    #[error("request neither has anonymousId nor userId")]
    NoIdentity = 2,
    /// `type` is missing, empty or not a string, and the path does not contain a type.
    #[error("event has no type")]
    NoType = 3,
    /// The event has the type `track`, but `event` is missing, empty or not a string.
    #[error("track event has no event name")]
    NoEventName = 4,
    /// The event is longer than [`EVENT_BYTES_MAX`](crate::limits::EVENT_BYTES_MAX), as received or
    /// with added members.
    #[error("event is too long")]
    TooLong = 5,
    /// This is the body of a request that was refused as a whole.
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

    /// The number that is stored for the refusal. It is never 0.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The refusal for a number. `None` for an unknown number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.code() == code)
    }
}

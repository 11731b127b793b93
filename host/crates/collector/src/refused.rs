//! What of the layers below a client is answered.

use std::time::Duration;

use super::answer::Refused;
use super::decode::BadBody;
use super::reason::RefusalReason;
use crate::encoding::DecodeError;
use standpipe_http::BodyError;
use standpipe_spool::AppendError;

/// When to try again what there is no room for now.
const FULL_PAUSE: Duration = Duration::from_secs(10);
const BUSY_PAUSE: Duration = Duration::from_secs(1);

const TOO_LARGE: &str = "request size exceeds max limit";

impl Refused {
    /// The source's limit is reached.
    pub(super) fn too_many(after: Duration) -> Self {
        Refused::for_now(RefusalReason::RateLimit, "max requests limit reached", after)
    }

    /// Others have the memory, or the threads, that this takes.
    pub(super) fn busy() -> Self {
        Refused::for_now(RefusalReason::Busy, "service unavailable", BUSY_PAUSE)
    }
}

impl From<BodyError> for Refused {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Refused::new(RefusalReason::TooLarge, TOO_LARGE),
            BodyError::CutOff => {
                Refused::new(RefusalReason::CutOff, "failed to read body from request")
            }
            BodyError::TooSlow => Refused::new(RefusalReason::TooSlow, error.to_string()),
            BodyError::Busy => Refused::busy(),
        }
    }
}

impl From<DecodeError> for Refused {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::TooLarge => Refused::new(RefusalReason::TooLarge, TOO_LARGE),
            DecodeError::Broken => Refused::new(
                RefusalReason::BadCompression,
                "failed to read body from request: it is not compressed as Content-Encoding says",
            ),
        }
    }
}

impl From<BadBody> for Refused {
    fn from(error: BadBody) -> Self {
        let reason = match error {
            BadBody::Empty => RefusalReason::Empty,
            BadBody::NotUtf8 { .. } => RefusalReason::InvalidUtf8,
            BadBody::NotJson { .. } => RefusalReason::NotJson,
            BadBody::TooDeep { .. } => RefusalReason::NestedTooDeep,
            BadBody::NotAnObject => RefusalReason::NotAnObject,
            BadBody::NoBatch => RefusalReason::NoBatch,
            BadBody::EmptyBatch => RefusalReason::EmptyBatch,
            BadBody::TooLong
            | BadBody::TooManyEvents
            | BadBody::AddsTooMuch
            | BadBody::TooManyParts
            | BadBody::TooManyMembers
            | BadBody::TooManyFields => RefusalReason::TooMuch,
        };
        Refused::new(reason, error.answer())
    }
}

impl From<AppendError> for Refused {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::TooLarge { .. } => Refused::new(RefusalReason::TooMuch, TOO_LARGE),
            // What is wrong with the disk concerns the operator, not the client.
            AppendError::Full | AppendError::Failed(_) | AppendError::Closed => {
                Refused::for_now(RefusalReason::Spool, "service unavailable", FULL_PAUSE)
            }
        }
    }
}

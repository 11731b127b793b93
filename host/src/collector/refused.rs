//! What of the layers below a client is answered.

use std::time::Duration;

use hyper::StatusCode;

use super::answer::Refused;
use super::decode::BadBody;
use crate::http::{BodyError, DecodeError};
use crate::spool::AppendError;

/// When to try again what there is no room for now.
const FULL_PAUSE: Duration = Duration::from_secs(10);
const BUSY_PAUSE: Duration = Duration::from_secs(1);

const TOO_LARGE: &str = "request size exceeds max limit";

impl Refused {
    /// The source's limit is reached.
    pub(super) fn too_many(after: Duration) -> Self {
        Refused::for_now(StatusCode::TOO_MANY_REQUESTS, "max requests limit reached", after)
    }

    /// Others have the memory, or the threads, that this takes.
    pub(super) fn busy() -> Self {
        Refused::for_now(StatusCode::SERVICE_UNAVAILABLE, "service unavailable", BUSY_PAUSE)
    }
}

impl From<BodyError> for Refused {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Refused::new(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE),
            BodyError::CutOff => {
                Refused::new(StatusCode::BAD_REQUEST, "failed to read body from request")
            }
            BodyError::TooSlow => Refused::new(StatusCode::REQUEST_TIMEOUT, error.to_string()),
            BodyError::Busy => Refused::busy(),
        }
    }
}

impl From<DecodeError> for Refused {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::TooLarge => Refused::new(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE),
            DecodeError::Broken => Refused::new(
                StatusCode::BAD_REQUEST,
                "failed to read body from request: it is not compressed as Content-Encoding says",
            ),
        }
    }
}

impl From<BadBody> for Refused {
    fn from(error: BadBody) -> Self {
        let status = StatusCode::from_u16(error.status()).expect("it is one of ours");
        Refused::new(status, error.answer())
    }
}

impl From<AppendError> for Refused {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::TooLarge { .. } => Refused::new(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE),
            // What is wrong with the disk concerns the operator, not the client.
            AppendError::Full | AppendError::Failed(_) | AppendError::Closed => {
                Refused::for_now(StatusCode::SERVICE_UNAVAILABLE, "service unavailable", FULL_PAUSE)
            }
        }
    }
}

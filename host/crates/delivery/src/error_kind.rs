//! The kinds of errors that metrics tell apart: few, whatever codes Firehose has.

use super::{RequestError, Verdict};
use standpipe_aws::INVALID_ANSWER;

/// What kind of error a request ended with, as metrics tell them apart: few, whatever
/// codes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Too much at once, or Firehose cannot take it for now.
    Throttled,
    /// There are no credentials, or AWS does not take them.
    Credentials,
    /// A policy does not allow it.
    AccessDenied,
    /// The stream does not exist.
    NotFound,
    /// Firehose calls the request invalid.
    Invalid,
    /// The way to Firehose refuses a request of that size.
    TooLarge,
    /// Firehose was not reached.
    Unreachable,
    /// There was no answer in time, or the connection was lost before it.
    NoAnswer,
    /// An answer of success did not account for every record.
    InvalidAnswer,
    /// The time of the request's signature is wrong.
    Clock,
    /// A fault of Firehose, or of what stands before it.
    Other,
}

impl ErrorKind {
    /// All of them, in the order of their declaration.
    pub(super) const ALL: [ErrorKind; 11] = [
        ErrorKind::Throttled,
        ErrorKind::Credentials,
        ErrorKind::AccessDenied,
        ErrorKind::NotFound,
        ErrorKind::Invalid,
        ErrorKind::TooLarge,
        ErrorKind::Unreachable,
        ErrorKind::NoAnswer,
        ErrorKind::InvalidAnswer,
        ErrorKind::Clock,
        ErrorKind::Other,
    ];

    /// The kind of an error.
    pub fn of(error: &RequestError) -> Self {
        match error.code.as_str() {
            INVALID_ANSWER => ErrorKind::InvalidAnswer,
            "Timeout" | "ConnectionLost" => ErrorKind::NoAnswer,
            "CannotConnect" => ErrorKind::Unreachable,
            "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => ErrorKind::Clock,
            "NoCredentials"
            | "ExpiredTokenException"
            | "ExpiredToken"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException" => match error.is_about_time() {
                true => ErrorKind::Clock,
                false => ErrorKind::Credentials,
            },
            "AccessDeniedException" | "AccessDenied" | "NotAuthorized" | "OptInRequired" => {
                ErrorKind::AccessDenied
            }
            _ => match error.verdict {
                Verdict::Retry => ErrorKind::Throttled,
                Verdict::Missing => ErrorKind::NotFound,
                Verdict::Invalid => ErrorKind::Invalid,
                Verdict::TooLarge => ErrorKind::TooLarge,
                Verdict::RetryAmbiguous | Verdict::Hold => ErrorKind::Other,
            },
        }
    }

    /// The kind in a metric's label.
    pub fn word(self) -> &'static str {
        match self {
            ErrorKind::Throttled => "throttled",
            ErrorKind::Credentials => "credentials",
            ErrorKind::AccessDenied => "access_denied",
            ErrorKind::NotFound => "not_found",
            ErrorKind::Invalid => "invalid",
            ErrorKind::TooLarge => "too_large",
            ErrorKind::Unreachable => "unreachable",
            ErrorKind::NoAnswer => "no_answer",
            ErrorKind::InvalidAnswer => "invalid_answer",
            ErrorKind::Clock => "clock",
            ErrorKind::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_place_and_its_word() {
        for (place, kind) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
        let words = ErrorKind::ALL.map(ErrorKind::word);
        assert!((1..words.len()).all(|at| !words[..at].contains(&words[at])));
    }

    #[test]
    fn errors_are_told_apart_by_code_and_then_by_what_is_done_about_them() {
        for (verdict, code, message, kind) in [
            (Verdict::Retry, "ServiceUnavailableException", "", ErrorKind::Throttled),
            (Verdict::Hold, "NoCredentials", "", ErrorKind::Credentials),
            (Verdict::Hold, "InvalidSignatureException", "wrong key", ErrorKind::Credentials),
            (Verdict::Hold, "InvalidSignatureException", "Signature expired: 1", ErrorKind::Clock),
            (Verdict::Hold, "AccessDeniedException", "", ErrorKind::AccessDenied),
            (Verdict::Missing, "ResourceNotFoundException", "", ErrorKind::NotFound),
            (Verdict::Invalid, "InvalidArgumentException", "", ErrorKind::Invalid),
            (Verdict::TooLarge, "HTTP 413", "", ErrorKind::TooLarge),
            (Verdict::Hold, "CannotConnect", "", ErrorKind::Unreachable),
            (Verdict::RetryAmbiguous, "Timeout", "", ErrorKind::NoAnswer),
            (Verdict::RetryAmbiguous, "InvalidAnswer", "", ErrorKind::InvalidAnswer),
            (Verdict::Hold, "LocalFile", "", ErrorKind::Other),
            (Verdict::RetryAmbiguous, "InternalFailure", "", ErrorKind::Other),
        ] {
            let (code, message) = (code.to_owned(), message.to_owned());
            let error = RequestError { verdict, code, message };
            assert_eq!(ErrorKind::of(&error), kind, "{error}");
        }
    }
}

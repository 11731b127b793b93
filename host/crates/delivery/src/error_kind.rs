//! The kinds of errors in metrics. Their number is small, regardless of Firehose's codes.

/// The kind of a request's error in metrics. Their number is small, regardless of Firehose's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorKind {
    /// The request was throttled, or Firehose is temporarily unavailable.
    Throttled,
    /// There are no credentials, or AWS rejects them.
    Credentials,
    /// A policy denies the request.
    AccessDenied,
    /// The stream does not exist.
    NotFound,
    /// Firehose calls the request invalid.
    Invalid,
    /// A proxy before Firehose rejects requests of this size.
    TooLarge,
    /// Firehose was not reached.
    Unreachable,
    /// There was no response in time, or the connection was lost before.
    NoAnswer,
    /// A successful response did not account for every record.
    InvalidAnswer,
    /// The time of the request's signature is wrong.
    Clock,
    /// An error of Firehose, or of something in front of it.
    Other,
}

impl ErrorKind {
    /// All kinds, in the order of their declaration, with their label in metrics.
    pub(super) const ALL: [(ErrorKind, &str); 11] = [
        (ErrorKind::Throttled, "throttled"),
        (ErrorKind::Credentials, "credentials"),
        (ErrorKind::AccessDenied, "access_denied"),
        (ErrorKind::NotFound, "not_found"),
        (ErrorKind::Invalid, "invalid"),
        (ErrorKind::TooLarge, "too_large"),
        (ErrorKind::Unreachable, "unreachable"),
        (ErrorKind::NoAnswer, "no_answer"),
        (ErrorKind::InvalidAnswer, "invalid_answer"),
        (ErrorKind::Clock, "clock"),
        (ErrorKind::Other, "other"),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_place_and_its_word() {
        for (place, (kind, _)) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
        let words = ErrorKind::ALL.map(|(_, word)| word);
        assert!((1..words.len()).all(|at| !words[..at].contains(&words[at])));
    }
}

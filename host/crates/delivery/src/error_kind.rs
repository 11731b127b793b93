//! The kinds of errors that metrics distinguish: few, whatever codes Firehose has.

/// What kind of error a request ended with, as metrics distinguish them: few, whatever
/// codes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorKind {
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
    /// All of them, in the order of their declaration, with their words in a metric's label.
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

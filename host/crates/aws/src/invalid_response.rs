//! Responses that lack a required part. They are invalid, regardless of their status.

use thiserror::Error;

/// A response of Firehose with a success status that is invalid.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error(
    "{0}, so it is not a complete response of Firehose: check that `endpoint_url` under [aws] leads to Firehose, and the \
     proxies in between"
)]
pub struct InvalidResponse(#[from] ResponseDefect);

/// The defect of a response.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum ResponseDefect {
    /// The response is empty.
    #[error("the response is empty")]
    Empty,
    /// The response is not a JSON object, or is incomplete.
    #[error("the response is not a complete JSON object")]
    NotAnObject,
    /// A required member is missing.
    #[error("the response has no {0}")]
    Missing(&'static str),
    /// A member has the wrong type.
    #[error("the response's {0} has the wrong type")]
    WrongType(&'static str),
    /// The number of results differs from the number of records.
    #[error("the response has {results} results for {records} records")]
    Results {
        /// The number of results.
        results: usize,
        /// The expected number.
        records: usize,
    },
    /// A result has neither an id nor an error code, or both.
    #[error(
        "the response's result {position} has {}",
        if *has_both { "both a RecordId and an ErrorCode" } else { "neither a RecordId nor an ErrorCode" }
    )]
    Undecided {
        /// The position of the result, counted from 0.
        position: usize,
        /// Whether the result has both.
        has_both: bool,
    },
    /// The count of failures differs from the number of error codes.
    #[error("the response's FailedPutCount is {count}, and {codes} results have an ErrorCode")]
    Miscounted {
        /// The count.
        count: u64,
        /// The number of error codes.
        codes: usize,
    },
    /// The response is about another stream.
    #[error("the response describes another stream than the requested one")]
    OtherStream,
}

impl InvalidResponse {
    /// Whether something other than Firehose seems to have responded, or the response is
    /// incomplete: a retry may get a complete one.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.0, ResponseDefect::Empty | ResponseDefect::NotAnObject)
    }
}

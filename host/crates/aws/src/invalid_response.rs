//! Responses that lack what each response has: none of them counts as one, whatever its status.

use thiserror::Error;

/// A response of Firehose with a status of success that is not to be believed.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error(
    "{0}, so it is not a complete response of Firehose: check that `endpoint_url` under [aws] leads to Firehose, and the \
     proxies in between"
)]
pub struct InvalidResponse(#[from] ResponseDefect);

/// What a response lacks.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum ResponseDefect {
    /// There is nothing in it.
    #[error("the response is empty")]
    Empty,
    /// It is not a JSON object, or not all of one.
    #[error("the response is not a complete JSON object")]
    NotAnObject,
    /// A required member is missing.
    #[error("the response has no {0}")]
    Missing(&'static str),
    /// A member is of another type than it should be.
    #[error("the response's {0} has the wrong type")]
    WrongType(&'static str),
    /// Not every record has one result.
    #[error("the response has {results} results for {records} records")]
    Results {
        /// How many there are.
        results: usize,
        /// How many there should be.
        records: usize,
    },
    /// A result says neither that its record was accepted nor that it failed, or both.
    #[error(
        "the response's result {position} has {}",
        if *has_both { "both a RecordId and an ErrorCode" } else { "neither a RecordId nor an ErrorCode" }
    )]
    Undecided {
        /// Which result, counted from 0.
        position: usize,
        /// Whether it says both.
        has_both: bool,
    },
    /// The count is another than that of the error codes.
    #[error("the response's FailedPutCount is {count}, and {codes} results have an ErrorCode")]
    Miscounted {
        /// What it says.
        count: u64,
        /// What it shows.
        codes: usize,
    },
    /// It is about something else.
    #[error("the response describes another stream than the requested one")]
    OtherStream,
}

impl InvalidResponse {
    /// Whether something else than Firehose seems to have answered, or not all of the
    /// response came: another one may be complete.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.0, ResponseDefect::Empty | ResponseDefect::NotAnObject)
    }
}

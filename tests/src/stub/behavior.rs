//! The behavior of a stream of the Firehose stub until it is changed: healthy, slow, throttled,
//! denied, missing, hanging, or with malformed responses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use super::{PutRequest, StubResponse};

/// The responses of a delivery stream, until its behavior is changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Behavior {
    /// Every record is accepted.
    #[default]
    Healthy,
    /// Every record is accepted, and each response takes this long.
    Slow(Duration),
    /// This percentage of the records in a request is rejected.
    Throttled(u8),
    /// Every request is refused with `ServiceUnavailableException` and 503.
    Unavailable,
    /// Every request fails with 500; the records of half of them are accepted.
    InternalFailure,
    /// The connection is reset, and nothing is accepted.
    ResetBefore,
    /// The records are accepted, but the connection is reset before the response.
    ResetAfter,
    /// The response never comes; the records of half of the requests are accepted.
    Hanging,
    /// The credentials may not write to the stream.
    Denied,
    /// The stream does not exist.
    Missing,
    /// The response is a 200 that does not account for every record; the records of half of the
    /// requests are accepted.
    Garbage(Garbage),
}

/// How a response that does not account for every record is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Garbage {
    /// The response has no body.
    Empty,
    /// The body is `{}`.
    EmptyObject,
    /// The body ends within the JSON text, before the length in `Content-Length`.
    CutOff,
    /// The body is an incomplete JSON text, as long as announced.
    Truncated,
    /// The body reports no failed record, and has no `RequestResponses`.
    NoResults,
    /// The result of the last record is missing.
    TooFewResults,
    /// The results have neither an id nor a code.
    EmptyResults,
    /// The results have error codes, although `FailedPutCount` is 0.
    CountOfZero,
}

/// The current behavior of each delivery stream. Clones share the streams.
#[derive(Debug, Clone, Default)]
pub struct BehaviorSwitches(Arc<RwLock<BTreeMap<String, Behavior>>>);

impl BehaviorSwitches {
    /// Sets the behavior of one stream. Streams are healthy at first.
    pub fn set(&self, stream: &str, behavior: Behavior) {
        let mut behaviors = self.0.write();
        behaviors.insert(stream.to_owned(), behavior);
    }

    /// Makes every stream healthy.
    pub fn reset(&self) {
        self.0.write().clear();
    }

    /// The current behavior of a stream.
    pub fn behavior_of(&self, stream: &str) -> Behavior {
        let behaviors = self.0.read();
        behaviors.get(stream).copied().unwrap_or_default()
    }
}

impl Behavior {
    /// The response to a request. `random` is used for random choices.
    pub fn respond_to(self, put: &PutRequest, random: &mut fastrand::Rng) -> StubResponse {
        let fail = |status, code, accepted| StubResponse::Fail { status, code, accepted };
        match self {
            Behavior::Healthy => StubResponse::Accept,
            Behavior::Slow(pause) => StubResponse::Slow(pause),
            Behavior::Throttled(percent) => {
                let records = 0..put.records.len();
                let records = records.filter(|_| random.u8(..100) < percent).collect();
                StubResponse::Refuse { records, code: "ServiceUnavailableException" }
            }
            Behavior::Unavailable => fail(503, "ServiceUnavailableException", false),
            Behavior::InternalFailure => fail(500, "InternalFailure", random.bool()),
            Behavior::ResetBefore => StubResponse::Reset { accepted: false },
            Behavior::ResetAfter => StubResponse::Reset { accepted: true },
            Behavior::Hanging if random.bool() => StubResponse::AcceptSilently,
            Behavior::Hanging => StubResponse::Hang,
            Behavior::Denied => fail(400, "AccessDeniedException", false),
            Behavior::Missing => fail(400, "ResourceNotFoundException", false),
            Behavior::Garbage(garbage) => garbage.respond_to(put.records.len(), random.bool()),
        }
    }
}

impl Garbage {
    /// All kinds.
    pub const ALL: [Garbage; 8] = [
        Garbage::Empty,
        Garbage::EmptyObject,
        Garbage::CutOff,
        Garbage::Truncated,
        Garbage::NoResults,
        Garbage::TooFewResults,
        Garbage::EmptyResults,
        Garbage::CountOfZero,
    ];

    fn respond_to(self, records: usize, accepted: bool) -> StubResponse {
        let results = |result: &str, count: usize| vec![result; count].join(",");
        let answer = |count: &str, results: String| {
            format!("{{{count}\"Encrypted\":false,\"RequestResponses\":[{results}]}}")
        };
        let (none_failed, good) = ("\"FailedPutCount\":0,", r#"{"RecordId":"record"}"#);
        let whole = answer(none_failed, results(good, records));
        let length = whole.len();
        let (body, missing_bytes) = match self {
            Garbage::Empty => (String::new(), 0),
            Garbage::EmptyObject => ("{}".to_owned(), 0),
            Garbage::CutOff => (whole[..length / 2].to_owned(), length - length / 2),
            Garbage::Truncated => (whole[..length / 2].to_owned(), 0),
            Garbage::NoResults => (r#"{"FailedPutCount":0,"Encrypted":false}"#.to_owned(), 0),
            Garbage::TooFewResults => (answer(none_failed, results(good, records - 1)), 0),
            Garbage::EmptyResults => (answer(none_failed, results("{}", records)), 0),
            Garbage::CountOfZero => {
                let refused = r#"{"ErrorCode":"InternalFailure","ErrorMessage":"Again."}"#;
                (answer(none_failed, results(refused, records)), 0)
            }
        };
        StubResponse::Raw { status: 200, body, missing_bytes, accepted }
    }
}

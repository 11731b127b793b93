//! The simulated Firehose: each stream behaves as its plan says for the current time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::account::Account;
use super::plugin::id_of;
use standpipe_aws::StreamDescription;
use standpipe_core::event::StreamName;
use standpipe_delivery::{
    Batch, DescribeFuture, FirehoseClient, PutFuture, PutResponse, RecordRefusal, RequestError,
    RetryClass,
};

/// How a stream behaves for some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    Healthy,
    /// Each request takes seconds.
    Slow,
    /// The stream rejects some or all records of each request.
    Throttled,
    Denied,
    Unreachable,
    Missing,
    /// The stream accepts the records, but the response is lost.
    LosesAnswers,
    /// The request fails before any record is accepted.
    Fails,
    /// The stream accepts some records, but the response does not say which ones.
    Garbled,
    /// The stream rejects some records because of an internal error.
    Partial,
    /// The stream never responds.
    Hangs,
    /// The stream rejects every request as invalid, like a stream that reads from Kinesis.
    Refuses,
    /// The stream behaves differently for each request.
    Flapping,
}

/// The behaviours of a phase. [`Behaviour::Refuses`] is not among them because it has its own plan.
pub(super) const BEHAVIOURS: [Behaviour; 12] = [
    Behaviour::Healthy,
    Behaviour::Slow,
    Behaviour::Throttled,
    Behaviour::Denied,
    Behaviour::Unreachable,
    Behaviour::Missing,
    Behaviour::LosesAnswers,
    Behaviour::Fails,
    Behaviour::Garbled,
    Behaviour::Partial,
    Behaviour::Hangs,
    Behaviour::Flapping,
];

/// The behaviour of a stream over time.
#[derive(Debug, Clone, Default)]
pub(super) struct StreamPlan {
    /// Each phase with the world's time at which it ends. After the last phase, the stream is
    /// healthy.
    pub(super) phases: Vec<(Duration, Behaviour)>,
    /// When the stream rejects everything, regardless of its phase.
    pub(super) refuses: Option<Range<Duration>>,
}

/// The service during one life of the process.
pub(super) struct World {
    pub(super) account: Account,
    pub(super) streams: Arc<BTreeMap<String, StreamPlan>>,
    /// The world's time at the start of this life, and the same moment as an instant.
    pub(super) born: (Duration, Instant),
    pub(super) rng: Mutex<fastrand::Rng>,
}

impl StreamPlan {
    fn behaviour(&self, at: Duration) -> Behaviour {
        if self.refuses.as_ref().is_some_and(|when| when.contains(&at)) {
            return Behaviour::Refuses;
        }
        let phase = self.phases.iter().find(|(until, _)| at < *until);
        phase.map_or(Behaviour::Healthy, |(_, behaviour)| *behaviour)
    }

    /// Whether the stream is missing for so long that its records may be dead-lettered.
    pub(super) fn may_be_missing(&self) -> bool {
        self.phases
            .iter()
            .any(|(_, behaviour)| matches!(behaviour, Behaviour::Missing | Behaviour::Flapping))
    }
}

impl World {
    fn now(&self) -> Duration {
        self.born.0 + self.born.1.elapsed()
    }

    fn random(&self, below: usize) -> usize {
        self.rng.lock().usize(..below)
    }

    /// Accepts these records of a batch. `is_lost` means that the sender does not learn it.
    fn take(&self, stream: &StreamName, batch: &Batch, records: &[usize], is_lost: bool) {
        let mut state = self.account.state();
        for &record in records {
            for line in batch.payload(record).split(|byte| *byte == b'\n') {
                let Some(id) = std::str::from_utf8(line).ok().and_then(id_of) else { continue };
                let event = &mut state.events[id];
                *event.delivered.entry(stream.to_string()).or_default() += 1;
                event.may_repeat |= is_lost;
            }
        }
    }

    /// The records that Firehose rejects permanently.
    fn poisoned(&self, batch: &Batch) -> Vec<usize> {
        let state = self.account.state();
        let is_poison = |record: &usize| {
            let mut lines = batch.payload(*record).split(|byte| *byte == b'\n');
            lines.any(|line| {
                let id = std::str::from_utf8(line).ok().and_then(id_of);
                id.is_some_and(|id| state.events[id].is_poison)
            })
        };
        (0..batch.len()).filter(is_poison).collect()
    }

    async fn put(&self, stream: &StreamName, batch: &Batch) -> Result<PutResponse, RequestError> {
        let plan = &self.streams[stream.as_str()];
        let mut behaviour = plan.behaviour(self.now());
        if behaviour == Behaviour::Flapping {
            behaviour = BEHAVIOURS[self.random(BEHAVIOURS.len() - 1)];
        }
        let latency = match behaviour {
            Behaviour::Slow => 1000 + self.random(15_000),
            _ => 3 + self.random(40),
        };
        sleep(Duration::from_millis(latency as u64)).await;
        let at = self.now();
        self.account.narrate(at, || format!("{stream}: {} records, {behaviour:?}", batch.len()));
        let failed = |retry_class, code: &str| {
            let (code, message) = (code.to_owned(), "simulated".to_owned());
            Err(RequestError { retry_class, code, message })
        };
        let poisoned = self.poisoned(batch);
        let sound: Vec<_> = (0..batch.len()).filter(|record| !poisoned.contains(record)).collect();
        let some = |share: usize| -> Vec<usize> {
            let chosen = sound.iter().copied().filter(|_| self.random(100) < share);
            chosen.collect()
        };
        match behaviour {
            Behaviour::Healthy | Behaviour::Slow | Behaviour::Flapping => {
                // Firehose may reject a whole request because of one invalid record.
                if !poisoned.is_empty() && self.random(2) == 0 {
                    return failed(RetryClass::Invalid, "ValidationException");
                }
                self.take(stream, batch, &sound, false);
                Ok(refusing(&poisoned, "InvalidArgumentException"))
            }
            Behaviour::Throttled | Behaviour::Partial => {
                let (share, code) = match behaviour {
                    Behaviour::Partial => (30, "InternalFailure"),
                    _ if self.random(3) == 0 => (100, "ServiceUnavailableException"),
                    _ => (60, "ServiceUnavailableException"),
                };
                let refused = some(share);
                let taken: Vec<_> =
                    sound.iter().copied().filter(|at| !refused.contains(at)).collect();
                self.take(stream, batch, &taken, false);
                let refused: Vec<_> = refused.into_iter().chain(poisoned).collect();
                Ok(refusing(&refused, code))
            }
            Behaviour::Refuses => failed(RetryClass::Invalid, "InvalidArgumentException"),
            Behaviour::Denied => failed(RetryClass::Hold, "AccessDeniedException"),
            Behaviour::Unreachable => failed(RetryClass::Hold, "CannotConnect"),
            Behaviour::Missing => failed(RetryClass::Missing, "ResourceNotFoundException"),
            Behaviour::Fails => failed(RetryClass::Retry, "ServiceUnavailable"),
            Behaviour::LosesAnswers => {
                self.take(stream, batch, &sound, true);
                failed(RetryClass::RetryAmbiguous, "ConnectionLost")
            }
            Behaviour::Garbled => {
                self.take(stream, batch, &some(50), true);
                failed(RetryClass::RetryAmbiguous, "InvalidAnswer")
            }
            Behaviour::Hangs => {
                if self.random(2) == 0 {
                    self.take(stream, batch, &sound, true);
                }
                sleep(standpipe_delivery::limits::REQUEST_TIMEOUT).await;
                failed(RetryClass::RetryAmbiguous, "Timeout")
            }
        }
    }
}

fn refusing(records: &[usize], code: &str) -> PutResponse {
    let refusal = RecordRefusal { code: code.to_owned(), message: "simulated".to_owned() };
    let mut refused: Vec<_> = records.iter().map(|record| (*record, refusal.clone())).collect();
    refused.sort_by_key(|(record, _)| *record);
    PutResponse { refused }
}

impl FirehoseClient for World {
    fn put_record_batch<'a>(&'a self, stream: &'a StreamName, batch: Arc<Batch>) -> PutFuture<'a> {
        Box::pin(async move { self.put(stream, &batch).await })
    }

    fn describe<'a>(&'a self, stream: &'a StreamName) -> DescribeFuture<'a> {
        let described = StreamDescription::stand_in(stream.as_str(), Vec::new());
        Box::pin(std::future::ready(Ok(described)))
    }
}

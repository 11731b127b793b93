//! A Firehose client that fails on purpose, for tests of everything above it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::firehose_client::{DescribeFuture, PutFuture};
use super::{Batch, FirehoseClient, PutResponse, RecordRefusal, RequestError, RetryClass};
use standpipe_aws::{Destination, DestinationKind, StreamDescription};
use standpipe_core::event::StreamName;

/// The fault of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InjectedFault {
    /// No fault: every record is accepted.
    None,
    /// These records are rejected with this code, the others are accepted.
    Refuse(Vec<usize>, &'static str),
    /// The request fails before any record is accepted.
    FailBefore(RetryClass, &'static str),
    /// Every record is accepted, and then the request fails.
    FailAfter(RetryClass, &'static str),
    /// Every record is accepted, but the response arrives after this time.
    Late(Duration),
    /// The request never gets a response.
    Hang,
}

/// Chooses the fault of a request by the stream, its records, and the number of earlier requests.
pub type PutScript = dyn Fn(&StreamName, &Batch, usize) -> InjectedFault + Send + Sync;

/// Chooses the description of a stream and its delay, by the number of earlier descriptions.
pub type DescribeScript =
    dyn Fn(&StreamName, usize) -> (Duration, Result<StreamDescription, RequestError>) + Send + Sync;

/// A Firehose in memory that follows a script.
pub struct FaultyClient {
    script: Box<PutScript>,
    describe_script: Box<DescribeScript>,
    state: Mutex<FaultyState>,
}

#[derive(Default)]
struct FaultyState {
    requests: usize,
    describes: BTreeMap<StreamName, usize>,
    accepted: BTreeMap<StreamName, Vec<Vec<u8>>>,
}

impl FaultyClient {
    /// Creates a client that follows this script.
    pub fn new(
        script: impl Fn(&StreamName, &Batch, usize) -> InjectedFault + Send + Sync + 'static,
    ) -> Self {
        let s3 = |stream: &StreamName, _| {
            let destination = Destination::stand_in(DestinationKind::S3);
            let described = StreamDescription::stand_in(stream.as_str(), vec![destination]);
            (Duration::ZERO, Ok(described))
        };
        FaultyClient {
            script: Box::new(script),
            describe_script: Box::new(s3),
            state: Mutex::default(),
        }
    }

    /// Creates a client with other descriptions of its streams. By default, they write to S3.
    #[must_use]
    pub fn with_descriptions(
        self,
        script: impl Fn(&StreamName, usize) -> (Duration, Result<StreamDescription, RequestError>)
        + Send
        + Sync
        + 'static,
    ) -> Self {
        FaultyClient { describe_script: Box::new(script), ..self }
    }

    /// How often a stream was described.
    pub fn describe_count(&self, stream: &StreamName) -> usize {
        let state = self.state.lock();
        state.describes.get(stream).copied().unwrap_or_default()
    }

    /// The accepted records, in order.
    pub fn accepted(&self) -> BTreeMap<StreamName, Vec<Vec<u8>>> {
        self.state.lock().accepted.clone()
    }

    /// The number of requests.
    pub fn requests(&self) -> usize {
        self.state.lock().requests
    }

    /// The response and its delay. `None` if it never arrives.
    fn respond(
        &self,
        stream: &StreamName,
        batch: &Batch,
    ) -> Option<(Duration, Result<PutResponse, RequestError>)> {
        let mut state = self.state.lock();
        let injection = (self.script)(stream, batch, state.requests);
        state.requests += 1;
        let refused = match &injection {
            InjectedFault::Refuse(records, _) => records.as_slice(),
            InjectedFault::FailBefore(..) | InjectedFault::Hang => {
                &(0..batch.len()).collect::<Vec<_>>()
            }
            InjectedFault::None | InjectedFault::Late(_) | InjectedFault::FailAfter(..) => &[],
        };
        let accepted = state.accepted.entry(stream.clone()).or_default();
        for (record, payload) in batch.payloads().enumerate() {
            if !refused.contains(&record) {
                accepted.push(payload.to_vec());
            }
        }
        let failed = |retry_class, code: &str| {
            let message = "injected".to_owned();
            Err(RequestError { retry_class, code: code.to_owned(), message })
        };
        let answer = match injection {
            InjectedFault::None => Ok(PutResponse::default()),
            InjectedFault::Late(pause) => return Some((pause, Ok(PutResponse::default()))),
            InjectedFault::Refuse(records, code) => {
                let refusal =
                    RecordRefusal { code: code.to_owned(), message: "injected".to_owned() };
                let refused = records.into_iter().map(|record| (record, refusal.clone()));
                Ok(PutResponse { refused: refused.collect() })
            }
            InjectedFault::FailBefore(retry_class, code)
            | InjectedFault::FailAfter(retry_class, code) => failed(retry_class, code),
            InjectedFault::Hang => return None,
        };
        Some((Duration::ZERO, answer))
    }
}

impl FirehoseClient for FaultyClient {
    fn put_record_batch<'a>(&'a self, stream: &'a StreamName, batch: Arc<Batch>) -> PutFuture<'a> {
        Box::pin(async move {
            // A real request takes some time, during which other requests start.
            tokio::task::yield_now().await;
            match self.respond(stream, &batch) {
                Some((Duration::ZERO, answer)) => answer,
                Some((pause, answer)) => {
                    tokio::time::sleep(pause).await;
                    answer
                }
                None => std::future::pending().await,
            }
        })
    }

    fn describe<'a>(&'a self, stream: &'a StreamName) -> DescribeFuture<'a> {
        Box::pin(async move {
            let before = {
                let mut state = self.state.lock();
                let describes = state.describes.entry(stream.clone()).or_default();
                *describes += 1;
                *describes - 1
            };
            let (pause, answer) = (self.describe_script)(stream, before);
            tokio::time::sleep(pause).await;
            answer
        })
    }
}

impl std::fmt::Debug for FaultyClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultyClient").field("requests", &self.requests()).finish_non_exhaustive()
    }
}

//! A port that fails on purpose, for tests of everything above the port.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::port::Put;
use super::{Answer, Batch, Firehose, Refusal, RequestError, Verdict};
use crate::event::StreamName;

/// What is done to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Injection {
    /// Nothing: every record is accepted.
    None,
    /// These records are refused with this code, the others accepted.
    Refuse(Vec<usize>, &'static str),
    /// The request fails before any record is accepted.
    FailBefore(Verdict, &'static str),
    /// Every record is accepted, and then the request fails.
    FailAfter(Verdict, &'static str),
    /// The request is never answered.
    Hang,
}

/// Chooses what is done to a request, by the stream, its records, and how many
/// requests there were before.
pub type Script = dyn Fn(&StreamName, &Batch, usize) -> Injection + Send + Sync;

/// A Firehose in memory that follows a script.
pub struct Faulty {
    script: Box<Script>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    requests: usize,
    accepted: BTreeMap<StreamName, Vec<Vec<u8>>>,
}

impl Faulty {
    /// A port that follows this script.
    pub fn new(
        script: impl Fn(&StreamName, &Batch, usize) -> Injection + Send + Sync + 'static,
    ) -> Self {
        Faulty { script: Box::new(script), state: Mutex::default() }
    }

    /// The records that were accepted, in their order.
    pub fn accepted(&self) -> BTreeMap<StreamName, Vec<Vec<u8>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).accepted.clone()
    }

    /// How many requests there were.
    pub fn requests(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).requests
    }

    fn answer(&self, stream: &StreamName, batch: &Batch) -> Option<Result<Answer, RequestError>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let injection = (self.script)(stream, batch, state.requests);
        state.requests += 1;
        let refused = match &injection {
            Injection::Refuse(records, _) => records.as_slice(),
            Injection::FailBefore(..) | Injection::Hang => &(0..batch.len()).collect::<Vec<_>>(),
            Injection::None | Injection::FailAfter(..) => &[],
        };
        let accepted = state.accepted.entry(stream.clone()).or_default();
        for (record, payload) in batch.payloads().enumerate() {
            if !refused.contains(&record) {
                accepted.push(payload.to_vec());
            }
        }
        let failed = |verdict, code: &str| {
            let message = "injected".to_owned();
            Err(RequestError { verdict, code: code.to_owned(), message })
        };
        match injection {
            Injection::None => Some(Ok(Answer::default())),
            Injection::Refuse(records, code) => {
                let refusal = Refusal { code: code.to_owned(), message: "injected".to_owned() };
                let refused = records.into_iter().map(|record| (record, refusal.clone()));
                Some(Ok(Answer { refused: refused.collect() }))
            }
            Injection::FailBefore(verdict, code) | Injection::FailAfter(verdict, code) => {
                Some(failed(verdict, code))
            }
            Injection::Hang => None,
        }
    }
}

impl Firehose for Faulty {
    fn put_record_batch<'a>(&'a self, stream: &'a StreamName, batch: Arc<Batch>) -> Put<'a> {
        Box::pin(async move {
            // A real request takes a while, during which others are made.
            tokio::task::yield_now().await;
            match self.answer(stream, &batch) {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }
}

impl std::fmt::Debug for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faulty").field("requests", &self.requests()).finish_non_exhaustive()
    }
}

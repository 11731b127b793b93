use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::{JoinError, JoinSet};

use super::backoff;
use super::lane::{Lane, Passage};
use super::port::{RequestError, verdict_of_code};
use super::stream::{Parcel, Stream, shares};
use super::{Answer, Batch, Firehose, Refusal, Verdict};
use crate::dead::{Letter, Letters, Reason};
use crate::event::Outcome;

/// Sends batches until every record of them has been accepted, buried or given
/// up.
pub(super) struct Sender {
    pub(super) port: Arc<dyn Firehose>,
    pub(super) letters: Arc<Letters>,
    pub(super) missing_stream_grace: Duration,
    /// Whether to stop waiting, and drop what is not delivered.
    pub(super) give_up: watch::Sender<bool>,
}

/// A batch that is to be sent, perhaps again.
struct Pending {
    batch: Arc<Batch>,
    /// How often its records have been sent.
    attempts: u32,
    /// How often in a row none of them was accepted.
    fruitless: u32,
    pause: Duration,
}

impl Sender {
    /// Write a stream's batches, some at once, until its queue is closed and
    /// empty.
    pub(super) async fn serve(
        self: Arc<Self>,
        stream: Arc<Stream>,
        mut queue: UnboundedReceiver<Parcel>,
    ) {
        let mut under_way = JoinSet::new();
        let mut given_up = self.give_up.subscribe();
        while let Some(parcel) = queue.recv().await {
            // Batches go out in the order they came in; only what is sent again
            // may be overtaken.
            let passage = tokio::select! {
                passage = stream.lane.pass(&parcel.batch) => passage,
                _ = given_up.wait_for(|&given_up| given_up) => continue,
            };
            let deliver =
                Arc::clone(&self).deliver_or_give_up(Arc::clone(&stream), parcel, passage);
            under_way.spawn(deliver);
            while let Some(done) = under_way.try_join_next() {
                report_failure(&stream, done);
            }
        }
        while let Some(done) = under_way.join_next().await {
            report_failure(&stream, done);
        }
    }

    async fn deliver_or_give_up(
        self: Arc<Self>,
        stream: Arc<Stream>,
        parcel: Parcel,
        passage: Passage,
    ) {
        let mut given_up = self.give_up.subscribe();
        tokio::select! {
            () = self.deliver(&stream, parcel, passage) => {}
            _ = given_up.wait_for(|&given_up| given_up) => {}
        }
    }

    /// Send a batch, and what is left of it, until nothing is.
    async fn deliver(&self, stream: &Stream, parcel: Parcel, passage: Passage) {
        let (mut share, mut passage) = (parcel.share, Some(passage));
        let mut pending = vec![Pending::first(parcel.batch)];
        while let Some(Pending { batch, attempts, fruitless, pause }) = pending.pop() {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            if attempts > 0 {
                stream.counts.retries.fetch_add(batch.len() as u64, Ordering::Relaxed);
            }
            let passage = match passage.take() {
                Some(passage) => passage,
                None => stream.lane.pass(&batch).await,
            };
            stream.counts.requests.fetch_add(1, Ordering::Relaxed);
            let attempts = attempts + 1;
            match self.port.put_record_batch(&stream.name, Arc::clone(&batch)).await {
                Ok(answer) => {
                    stream.recovered();
                    pace_by_answer(&stream.lane, passage, &batch, &answer);
                    if let Some(rest) = self.take_answer(stream, &batch, &answer, attempts) {
                        let was_fruitless = rest.len() == batch.len();
                        let fruitless = if was_fruitless { fruitless + 1 } else { 0 };
                        // While some are accepted, going slower is the lane's
                        // business.
                        let (batch, pause) = (Arc::new(rest), backoff::pause(fruitless.max(1)));
                        pending.push(Pending { batch, attempts, fruitless, pause });
                    }
                }
                Err(error) => {
                    pace_by_error(&stream.lane, passage, &batch, &error);
                    let again = self.take_error(stream, &batch, &error, attempts, fruitless + 1);
                    pending.extend(again);
                }
            }
            give_back(&mut share, &pending);
        }
    }

    /// Settle what was accepted; what was refused comes back, to be sent again.
    fn take_answer(
        &self,
        stream: &Stream,
        batch: &Batch,
        answer: &Answer,
        attempts: u32,
    ) -> Option<Batch> {
        let refused = &answer.refused;
        if refused.is_empty() {
            stream.counts.add_accepted(batch, 0..batch.len());
            batch.settle_all_delivered();
            return None;
        }
        let is_refused =
            |record: &usize| refused.binary_search_by_key(record, |(at, _)| *at).is_ok();
        let accepted = (0..batch.len()).filter(|record| !is_refused(record));
        stream.counts.add_accepted(batch, accepted.clone());
        batch.settle(accepted, Outcome::Delivered);

        let is_final = |refusal: &Refusal| verdict_of_code(&refusal.code) == Verdict::Invalid;
        let (dead, again): (Vec<_>, Vec<_>) =
            refused.iter().partition(|(_, refusal)| is_final(refusal));
        for (record, refusal) in dead {
            let detail = format!("{}: {}", refusal.code, refusal.message);
            self.bury(stream, batch, *record, Reason::RecordRefused, &detail, attempts);
        }
        let again: Vec<usize> = again.iter().map(|(record, _)| *record).collect();
        (!again.is_empty()).then(|| batch.select(again))
    }

    /// What of a request that failed as a whole is to be sent again.
    fn take_error(
        &self,
        stream: &Stream,
        batch: &Arc<Batch>,
        error: &RequestError,
        attempts: u32,
        fruitless: u32,
    ) -> Vec<Pending> {
        let mut pause = backoff::pause(fruitless);
        match error.verdict {
            Verdict::Retry => stream.mention(&error.to_string()),
            Verdict::Hold => {
                // The lane pauses for all batches of the stream together.
                pause = Duration::ZERO;
                stream.mention(&error.to_string());
            }
            Verdict::RetryAmbiguous => {
                stream.mention(&error.to_string());
                stream.counts.ambiguous.fetch_add(batch.len() as u64, Ordering::Relaxed);
            }
            Verdict::Missing => {
                if stream.missing_for() >= self.missing_stream_grace {
                    self.bury_all(stream, batch, Reason::StreamNotFound, error, attempts);
                    return Vec::new();
                }
                pause = Duration::ZERO;
                stream.mention(&error.to_string());
            }
            Verdict::Invalid if batch.len() == 1 => {
                self.bury_all(stream, batch, Reason::RecordRefused, error, attempts);
                return Vec::new();
            }
            Verdict::Invalid => {
                let middle = batch.len() / 2;
                let halves = [0..middle, middle..batch.len()];
                let pending = |half| Pending::first(batch.select(half));
                return halves.map(pending).into();
            }
        }
        vec![Pending { batch: Arc::clone(batch), attempts, fruitless, pause }]
    }

    fn bury_all(
        &self,
        stream: &Stream,
        batch: &Batch,
        reason: Reason,
        error: &RequestError,
        attempts: u32,
    ) {
        let detail = error.to_string();
        for record in 0..batch.len() {
            self.bury(stream, batch, record, reason, &detail, attempts);
        }
    }

    /// Write the dead letters of a record's events.
    fn bury(
        &self,
        stream: &Stream,
        batch: &Batch,
        record: usize,
        reason: Reason,
        detail: &str,
        attempts: u32,
    ) {
        for event in batch.events_of(record) {
            let provenance = batch.provenance(event);
            let (source, line) = (provenance.ack.source(), batch.line(event));
            let letter = Letter {
                stream: Some(stream.name.as_str()),
                plugin: &provenance.plugin,
                attempts,
                ..Letter::of_line(reason, detail, source, line, batch.text(event))
            };
            // An event whose letter cannot be written stays unsettled, and so
            // counts as not delivered.
            if self.letters.write(&letter).is_ok() {
                batch.settle_event(event, Outcome::Dead);
            }
        }
    }
}

impl Pending {
    fn first(batch: Batch) -> Self {
        Pending { batch: Arc::new(batch), attempts: 0, fruitless: 0, pause: Duration::ZERO }
    }
}

/// What has been accepted takes no room any more.
fn give_back(share: &mut OwnedSemaphorePermit, pending: &[Pending]) {
    let held: usize = pending.iter().map(|pending| shares(&pending.batch)).sum();
    drop(share.split(share.num_permits().saturating_sub(held)));
}

fn report_failure(stream: &Stream, done: Result<(), JoinError>) {
    if let Err(error) = done {
        tracing::error!(stream = %stream.name, "a delivery failed: {error}");
    }
}

fn pace_by_answer(lane: &Lane, passage: Passage, batch: &Batch, answer: &Answer) {
    let (mut throttled_bytes, mut refused_bytes) = (0, 0);
    for (record, refusal) in &answer.refused {
        let bytes = batch.payload(*record).len();
        refused_bytes += bytes;
        if verdict_of_code(&refusal.code) == Verdict::Retry {
            throttled_bytes += bytes;
        }
    }
    let bytes = batch.payload_bytes();
    lane.answered(passage, bytes, throttled_bytes, bytes - refused_bytes);
}

fn pace_by_error(lane: &Lane, passage: Passage, batch: &Batch, error: &RequestError) {
    let bytes = batch.payload_bytes();
    match error.verdict {
        Verdict::Retry => lane.answered(passage, bytes, bytes, 0),
        Verdict::RetryAmbiguous => lane.failed(passage),
        Verdict::Hold | Verdict::Missing => lane.hold(passage),
        // Its own fault, not the stream's.
        Verdict::Invalid => lane.answered(passage, bytes, 0, 0),
    }
}

//! Sends one request to Firehose, settles the accepted records, and determines what happens to the
//! others: retry, split, hold or dead letter.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::firehose_client::RequestError;
use super::pacer::Feedback;
use super::send_queue::{Attempts, PendingBatch, Suspicion};
use super::stream::DeliveryStream;
use super::{Batch, PutResponse, RecordRefusal, RetryClass};
use crate::dead_letters::{DeadLetter, DeadLetterWriter, Reason};
use crate::limits;
use standpipe_core::event::OutputOutcome;

/// Sends requests, one attempt each, and settles their records.
pub(super) struct RequestRunner {
    pub(super) dead_letters: Arc<DeadLetterWriter>,
    pub(super) missing_stream_grace: Duration,
    /// Cancelled when nothing waits for delivery any more. Undelivered records then become dead
    /// letters.
    pub(super) abort: CancellationToken,
    /// Limits the requests in flight of all streams together.
    pub(super) requests: Semaphore,
    /// Called when a stream is held and the run fails fast.
    pub(super) on_held: OnceLock<OnHeld>,
}

/// Called with the reason why a stream is held.
pub(super) type OnHeld = Box<dyn Fn(String) + Send + Sync>;

/// The remaining work for a request's records.
pub(super) enum RemainingRecords {
    /// No work: the records are settled.
    Nothing,
    /// Send these records again after a pause.
    Again(PendingBatch, Duration),
    /// The request was rejected as invalid or too large: send each part alone.
    Halves([PendingBatch; 2]),
    /// A single record was rejected as invalid. Whether the record or the stream is faulty is known
    /// once the stream accepts another one.
    Accused(PendingBatch, RequestError),
    /// The stream does not exist, and the grace period is over. These records are dead-lettered,
    /// and so should be all that wait for the stream.
    Missing(RequestError),
}

impl RequestRunner {
    /// Ends delivery if the run fails fast, because a stream stays held.
    pub(super) fn fail_fast(&self, stream: &DeliveryStream) {
        if let Some(on_held) = self.on_held.get()
            && !self.abort.is_cancelled()
        {
            self.abort.cancel();
            on_held(stream.why_held());
        }
    }

    /// Waits while the memory for waiting dead letters is exceeded, or until nothing waits for
    /// delivery any more. The records keep their memory meanwhile, which limits the dead letters
    /// that all requests together add at once.
    async fn wait_for_dead_letter_room(&self) {
        tokio::select! {
            () = self.dead_letters.wait_for_room() => {}
            () = self.abort.cancelled() => {}
        }
    }

    /// Sends a request.
    pub(super) async fn send_request(
        &self,
        stream: &DeliveryStream,
        mut pending: PendingBatch,
    ) -> (Feedback, RemainingRecords) {
        let _permission = tokio::select! {
            permission = self.requests.acquire() => permission.expect("it is never closed"),
            () = self.abort.cancelled() => {
                return (Feedback::Failed, RemainingRecords::Again(pending, Duration::ZERO));
            }
        };
        if pending.attempts.count > 0 {
            stream.counts.retries.inc_by(pending.batch.len() as u64);
        }
        let request = stream.counts.requests.inc();
        let span = tracing::debug_span!(
            "put_record_batch",
            stream = %stream.name,
            records = pending.batch.len(),
            bytes = pending.batch.payload_bytes(),
            attempt = pending.attempts.count + 1,
        );
        let put = stream.port.put_record_batch(&stream.name, Arc::clone(&pending.batch));
        let answer = tokio::select! {
            biased;
            answer = put.instrument(span.clone()) => answer,
            () = self.abort.cancelled() => {
                stream.counts.ambiguous.inc_by(pending.batch.len() as u64);
                pending.attempts.count += 1;
                return (Feedback::Failed, RemainingRecords::Again(pending, Duration::ZERO));
            }
        };
        match answer {
            Ok(answer) => {
                tracing::debug!(parent: &span, refused = answer.refused.len(), "Firehose answered");
                let error = refused_altogether(&pending.batch, &answer);
                match &error {
                    _ if answer.refused.len() < pending.batch.len() => {
                        stream.records_accepted(request);
                    }
                    Some(error) if error.retry_class == RetryClass::Missing => {}
                    _ => stream.confirm_existence(),
                }
                if let Some((_, refusal)) = answer.refused.first() {
                    if answer.refused.len() == pending.batch.len() {
                        stream.counts.add_error(RequestError::of_refusal(refusal).kind());
                    }
                    self.wait_for_dead_letter_room().await;
                }
                match error {
                    Some(error) => self.take_refusals(stream, pending, error),
                    None => {
                        let feedback = feedback_of_answer(&pending.batch, &answer);
                        (feedback, self.take_answer(stream, pending, &answer))
                    }
                }
            }
            Err(error) => {
                tracing::debug!(parent: &span, "the request failed: {error}");
                stream.counts.add_error(error.kind());
                if matches!(error.retry_class, RetryClass::Invalid | RetryClass::Missing) {
                    self.wait_for_dead_letter_room().await;
                }
                let feedback = feedback_of_error(&pending.batch, &error);
                (feedback, self.take_error(stream, pending, error))
            }
        }
    }

    /// Settles accepted records. Rejected ones are sent again.
    fn take_answer(
        &self,
        stream: &DeliveryStream,
        mut pending: PendingBatch,
        answer: &PutResponse,
    ) -> RemainingRecords {
        let (batch, refused) = (Arc::clone(&pending.batch), &answer.refused);
        if refused.is_empty() {
            stream.counts.add_accepted(&batch, 0..batch.len());
            batch.settle_all_delivered();
            batch.checkpoint();
            return RemainingRecords::Nothing;
        }
        let is_refused =
            |record: &usize| refused.binary_search_by_key(record, |(at, _)| *at).is_ok();
        let accepted = (0..batch.len()).filter(|record| !is_refused(record));
        stream.counts.add_accepted(&batch, accepted.clone());
        batch.settle(accepted, OutputOutcome::Delivered);

        let Attempts { count, consecutive_failures, suspicion } = pending.attempts;
        let is_final = |refusal: &RecordRefusal| refusal.retry_class() == RetryClass::Invalid;
        let (dead, again): (Vec<_>, Vec<_>) =
            refused.iter().partition(|(_, refusal)| is_final(refusal));
        for (record, refusal) in dead {
            let detail = format!("{}: {}", refusal.code, refusal.message);
            self.dead_letter(stream, &batch, *record, Reason::RecordRefused, &detail, count + 1);
        }
        batch.checkpoint();
        if again.is_empty() {
            return RemainingRecords::Nothing;
        }
        stream.counts.throttled.inc_by(again.len() as u64);
        stream.counts.partial_failures.inc_by(u64::from(again.len() < batch.len()));
        if let Some((_, refusal)) = again.first()
            && refused.len() == batch.len()
        {
            stream.log_problem(&RequestError::of_refusal(refusal).to_string());
        }
        // If the stream accepts some records, the pacer reduces the rate, and no pause is
        // necessary.
        let consecutive_failures =
            if again.len() == batch.len() { consecutive_failures + 1 } else { 0 };
        pending.batch = Arc::new(batch.select(again.iter().map(|(record, _)| *record)));
        pending.memory.shrink_to(pending.batch.held_bytes());
        pending.attempts = Attempts { count: count + 1, consecutive_failures, suspicion };
        RemainingRecords::Again(
            pending,
            limits::RETRY_BACKOFF.pause_after(consecutive_failures.max(1)),
        )
    }

    /// Determines what is sent again if every record of a request was rejected individually, for a
    /// reason that no pause changes. A single record is then faulty, as Firehose says. It is not
    /// plausible that all records of a request are faulty.
    fn take_refusals(
        &self,
        stream: &DeliveryStream,
        mut pending: PendingBatch,
        error: RequestError,
    ) -> (Feedback, RemainingRecords) {
        if error.retry_class != RetryClass::Invalid {
            let feedback = feedback_of_error(&pending.batch, &error);
            return (feedback, self.take_error(stream, pending, error));
        }
        let attempts = pending.attempts.count + 1;
        if pending.batch.len() == 1 {
            let detail = error.to_string();
            self.dead_letter_batch(
                stream,
                &pending.batch,
                Reason::RecordRefused,
                &detail,
                attempts,
            );
            pending.batch.checkpoint();
            // The stream may still be the cause. It then costs one record at each attempt.
            if stream.add_refused_alone() < limits::REFUSED_ALONE_MAX {
                let bytes = pending.batch.payload_bytes();
                return (Feedback::Refused { bytes }, RemainingRecords::Nothing);
            }
            stream.log_problem(&fault_of_stream(&error));
            return (Feedback::HeldBriefly, RemainingRecords::Nothing);
        }
        stream.log_problem(&fault_of_stream(&error));
        pending.attempts.count = attempts;
        (Feedback::Held, RemainingRecords::Again(pending, Duration::ZERO))
    }

    /// Determines what is sent again after a request failed as a whole.
    fn take_error(
        &self,
        stream: &DeliveryStream,
        mut pending: PendingBatch,
        error: RequestError,
    ) -> RemainingRecords {
        let attempts = pending.attempts.count + 1;
        let batch = &pending.batch;
        match error.retry_class {
            RetryClass::Retry | RetryClass::Hold => stream.log_problem(&error.to_string()),
            RetryClass::RetryAmbiguous => {
                stream.log_problem(&error.to_string());
                stream.counts.ambiguous.inc_by(batch.len() as u64);
                stream.counts.invalid_answers.inc_by(u64::from(error.is_invalid_answer()));
            }
            RetryClass::Missing if stream.missing_for() >= self.missing_stream_grace => {
                self.dead_letter_batch(
                    stream,
                    batch,
                    Reason::StreamNotFound,
                    &error.to_string(),
                    attempts,
                );
                return RemainingRecords::Missing(error);
            }
            RetryClass::Missing => stream.log_problem(&error.to_string()),
            RetryClass::Invalid if batch.len() == 1 => {
                let suspicion = pending.attempts.suspicion;
                if suspicion.is_some_and(|suspicion| stream.has_accepted_since(suspicion.since)) {
                    let detail = error.to_string();
                    self.dead_letter_batch(stream, batch, Reason::RecordRefused, &detail, attempts);
                    batch.checkpoint();
                    return RemainingRecords::Nothing;
                }
                pending.attempts.count = attempts;
                return RemainingRecords::Accused(pending, error);
            }
            RetryClass::TooLarge if batch.len() == 1 => stream.log_problem(&error.to_string()),
            RetryClass::Invalid | RetryClass::TooLarge => {
                pending.attempts.count = attempts;
                if error.retry_class == RetryClass::Invalid {
                    // Only later successes count: the stream may have started to reject everything.
                    let since = stream.counts.requests.get();
                    pending.attempts.suspicion = Some(Suspicion { since, is_alone: false });
                }
                return RemainingRecords::Halves(pending.split_in_halves());
            }
        }
        pending.attempts.count = attempts;
        pending.attempts.consecutive_failures += 1;
        let pause = match error.retry_class {
            // The lane pauses for all batches of the stream together.
            RetryClass::Hold | RetryClass::Missing | RetryClass::TooLarge => Duration::ZERO,
            _ => limits::RETRY_BACKOFF.pause_after(pending.attempts.consecutive_failures),
        };
        RemainingRecords::Again(pending, pause)
    }

    /// Dead-letters a batch that was never sent before the run ended. Waits for memory, so it must
    /// not be called on the runtime's threads.
    pub(super) fn dead_letter_given_up(&self, stream: &DeliveryStream, batch: &Batch) {
        self.dead_letters.wait_for_room_blocking();
        self.dead_letter_batch(stream, batch, Reason::GivenUp, &stream.why_given_up(), 0);
    }

    /// Writes the dead letters of all events of a batch.
    pub(super) fn dead_letter_batch(
        &self,
        stream: &DeliveryStream,
        batch: &Batch,
        reason: Reason,
        detail: &str,
        attempts: u32,
    ) {
        for record in 0..batch.len() {
            self.dead_letter(stream, batch, record, reason, detail, attempts);
        }
    }

    /// Writes the dead letters of a record's events.
    fn dead_letter(
        &self,
        stream: &DeliveryStream,
        batch: &Batch,
        record: usize,
        reason: Reason,
        detail: &str,
        attempts: u32,
    ) {
        for event in batch.events_of(record) {
            let provenance = batch.provenance(event);
            let (source, line) = (provenance.ack.source(), batch.line(event));
            if reason == Reason::GivenUp && source.keeps_unsettled() {
                continue;
            }
            let dead_letter = DeadLetter {
                stream: Some(stream.name.as_str()),
                plugin: &provenance.plugin,
                generation: provenance.generation,
                attempts,
                ..DeadLetter::of_line(reason, detail, source, line, batch.text(event))
            };
            // An event stays unsettled until its dead letter is written.
            self.dead_letters.settle_dead(&dead_letter, &provenance.ack, batch.event(event));
        }
    }
}

impl PendingBatch {
    /// Splits the batch into halves, to be sent without a pause.
    fn split_in_halves(mut self) -> [PendingBatch; 2] {
        self.attempts.consecutive_failures = 0;
        let middle = self.batch.len() / 2;
        self.split_at(middle)
    }

    /// The same events in records that are not compressed.
    pub(super) fn without_compression(mut self, bytes_max: usize) -> Vec<PendingBatch> {
        let batches = self.batch.without_compression(bytes_max).into_iter();
        let parts = batches.map(|batch| {
            let memory = self.memory.split(batch.held_bytes());
            PendingBatch { batch: Arc::new(batch), memory, attempts: self.attempts }
        });
        parts.collect()
    }

    /// Splits the batch into the first `records` records and the others.
    pub(super) fn split_at(mut self, records: usize) -> [PendingBatch; 2] {
        [0..records, records..self.batch.len()].map(|part| {
            let batch = Arc::new(self.batch.select(part));
            let memory = self.memory.split(batch.held_bytes());
            PendingBatch { batch, memory, attempts: self.attempts }
        })
    }
}

fn feedback_of_answer(batch: &Batch, answer: &PutResponse) -> Feedback {
    let (mut throttled_bytes, mut refused_bytes) = (0, 0);
    for (record, refusal) in &answer.refused {
        let bytes = batch.payload(*record).len();
        refused_bytes += bytes;
        if refusal.retry_class() == RetryClass::Retry {
            throttled_bytes += bytes;
        }
    }
    let bytes = batch.payload_bytes();
    Feedback::Answered { bytes, throttled_bytes, accepted_bytes: bytes - refused_bytes }
}

fn feedback_of_error(batch: &Batch, error: &RequestError) -> Feedback {
    let bytes = batch.payload_bytes();
    match error.retry_class {
        RetryClass::Retry => {
            Feedback::Answered { bytes, throttled_bytes: bytes, accepted_bytes: 0 }
        }
        RetryClass::RetryAmbiguous => Feedback::Failed,
        RetryClass::Hold | RetryClass::Missing => Feedback::Held,
        RetryClass::TooLarge if batch.len() == 1 => Feedback::Held,
        RetryClass::Invalid | RetryClass::TooLarge => Feedback::Refused { bytes },
    }
}

/// The error if every record of a request was rejected individually, for a reason that no pause
/// changes.
fn refused_altogether(batch: &Batch, answer: &PutResponse) -> Option<RequestError> {
    let (_, first) = answer.refused.first()?;
    let retry_class = first.retry_class();
    let is_lasting =
        matches!(retry_class, RetryClass::Invalid | RetryClass::Hold | RetryClass::Missing);
    let is_alike =
        || answer.refused.iter().all(|(_, refusal)| refusal.retry_class() == retry_class);
    let is_altogether = answer.refused.len() == batch.len() && is_lasting && is_alike();
    is_altogether.then(|| RequestError::of_refusal(first))
}

/// The problem of a stream that accepts no record, and its solution.
pub(super) fn fault_of_stream(error: &RequestError) -> String {
    let advice = if error.message.contains("KinesisStreamAsSource") {
        "it reads from a Kinesis data stream: have the plugin name a Direct PUT stream, or write to the data stream"
    } else if error.message.contains("MSKAsSource") {
        "it reads from Amazon MSK: have the plugin name a Direct PUT stream, or write to the topic"
    } else {
        "check that it is a Direct PUT stream, because a stream that reads from Kinesis, MSK or a \
         database accepts no records, and check its settings in the AWS console"
    };
    format!(
        "the stream refuses every record, even alone, so no record is at fault: {error}: {advice}"
    )
}

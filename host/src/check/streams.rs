//! Checks one delivery stream: that it exists and can be written to, and what aggregation would
//! save. Descriptions are requested slowly and with a limited number of attempts, because AWS
//! throttles them for the whole account.

use std::sync::Arc;
use std::time::Duration;

use super::report::{CheckOutcome, CheckReport};
use super::{CheckOptions, EVENT_BYTES};
use standpipe_aws::StreamDescription;
use standpipe_core::backoff::{Backoff, Jitter};
use standpipe_core::event::StreamName;
use standpipe_delivery::{
    Aggregation, AggregationChoice, Batch, CompressionFormat, DeliverySettings, FirehoseClient,
    RequestError, RetryClass, StreamSettings, decide_aggregation, decide_compression,
};

/// Attempts to describe a stream. AWS throttles descriptions for the whole account, so they are
/// requested slowly.
const TRIES: u32 = 5;

/// The pauses between the attempts.
const BACKOFF: Backoff =
    Backoff::new(standpipe_delivery::limits::DESCRIBE_STEP, Duration::from_secs(2), Jitter::None);

/// The test record: an event that describes itself.
const TEST_RECORD: &[u8] =
    br#"{"type":"track","event":"Standpipe Test Record","anonymousId":"standpipe","properties":{}}"#;

/// Advice if something other than Firehose responds.
const INVALID_ANSWER_ADVICE: &str = "set `endpoint_url` under [aws] to a Firehose endpoint or remove it, and check for a proxy that responds itself";

/// Advice if another attempt may succeed.
const TRY_AGAIN: (CheckOutcome, &str) =
    (CheckOutcome::Skipped, "try again later: the settings are not the cause");

/// Advice if nothing else is known.
const CHECK_STREAM: (CheckOutcome, &str) =
    (CheckOutcome::Failed, "check the stream and the settings under [aws]");

/// Checks one stream: that it exists, that it can be written to, and what aggregation would save.
pub(super) async fn check_stream(
    client: &dyn FirehoseClient,
    stream: &StreamName,
    delivery: &DeliverySettings,
    options: CheckOptions,
    report: &mut CheckReport,
) {
    let settings = delivery.streams.get(stream).unwrap_or(&delivery.stream);
    let description = describe_stream(client, stream).await;
    let is_missing =
        matches!(&description, Err(RequestError { retry_class: RetryClass::Missing, .. }));
    report_existence(stream, description.as_ref(), report);
    if options.send_test_record && !is_missing {
        write_test_record(client, stream, *settings, report).await;
    } else if !is_missing {
        let why = "not tested: pass --send-test-record to write a record";
        report.skipped(format!("write to {stream}"), why);
    }
    if let Ok(description) = description {
        report_aggregation(stream, settings.aggregation, &description, options, report);
    }
}

async fn describe_stream(
    client: &dyn FirehoseClient,
    stream: &StreamName,
) -> Result<StreamDescription, RequestError> {
    for failures in 1..TRIES {
        match client.describe(stream).await {
            Err(error) if is_passing(&error) => {
                tokio::time::sleep(BACKOFF.pause_after(failures)).await;
            }
            result => return result,
        }
    }
    client.describe(stream).await
}

/// Whether the error says nothing about the stream or the settings.
fn is_passing(error: &RequestError) -> bool {
    matches!(error.retry_class, RetryClass::Retry | RetryClass::RetryAmbiguous)
}

fn report_existence(
    stream: &StreamName,
    description: Result<&StreamDescription, &RequestError>,
    report: &mut CheckReport,
) {
    let step = format!("stream {stream}");
    match description {
        Ok(described) if !described.is_active() => {
            report.failed(
                step,
                format!("the stream is {}", described.status.word),
                "wait until it is ACTIVE, or fix it",
            );
        }
        Ok(described) if !described.takes_requests() => {
            let detail = format!("it accepts records only from its source: {}", described.kind);
            report.failed(step, detail, "create a stream with the source \"Direct PUT\"");
        }
        Ok(_) => report.ok(step, "exists, is active and accepts records"),
        Err(error) => {
            let (outcome, advice) = match error.retry_class {
                RetryClass::Missing => (
                    CheckOutcome::Failed,
                    "create it in this account and region, or fix the mapping or `region` under [aws]",
                ),
                RetryClass::Hold if error.code.contains("AccessDenied") => (
                    CheckOutcome::Skipped,
                    "allow firehose:DescribeDeliveryStream to check this; delivery needs it only for aggregate = \"auto\" alone",
                ),
                _ if error.is_invalid_answer() => (CheckOutcome::Failed, INVALID_ANSWER_ADVICE),
                RetryClass::Hold => (
                    CheckOutcome::Failed,
                    "check `endpoint_url` and the credentials under [aws], and proxies and firewalls",
                ),
                _ => TRY_AGAIN,
            };
            report.add(step, outcome, error.to_string(), Some(advice.to_owned()));
        }
    }
}

async fn write_test_record(
    client: &dyn FirehoseClient,
    stream: &StreamName,
    settings: StreamSettings,
    report: &mut CheckReport,
) {
    let step = format!("write to {stream}");
    let compression = match settings.aggregation {
        Aggregation::Compressed { compression, .. } => Some(compression),
        _ => None,
    };
    let batch = Arc::new(Batch::of_record(TEST_RECORD, settings.newline, compression));
    match client.put_record_batch(stream, batch).await {
        Ok(answer) => match answer.refused.first() {
            None => report.ok(step, "a test record was accepted"),
            Some((_, refusal)) => {
                let detail = format!("{}: {}", refusal.code, refusal.message);
                let (outcome, advice) = match refusal.retry_class() {
                    RetryClass::Retry | RetryClass::RetryAmbiguous => {
                        (CheckOutcome::Skipped, "try again")
                    }
                    _ => CHECK_STREAM,
                };
                report.add(step, outcome, detail, Some(advice.to_owned()));
            }
        },
        Err(error) => {
            let (outcome, advice) = match error.retry_class {
                RetryClass::Hold if error.code.contains("AccessDenied") => (
                    CheckOutcome::Failed,
                    "allow firehose:PutRecordBatch on this stream: `host iam policy` prints the statement",
                ),
                _ if error.is_invalid_answer() => (CheckOutcome::Failed, INVALID_ANSWER_ADVICE),
                _ if is_passing(&error) => TRY_AGAIN,
                _ => CHECK_STREAM,
            };
            report.add(step, outcome, error.to_string(), Some(advice.to_owned()));
        }
    }
}

/// Reports what aggregation and compression would save if they are safe and not enabled, and
/// whether they are safe if they are enabled.
fn report_aggregation(
    stream: &StreamName,
    aggregation: Aggregation,
    description: &StreamDescription,
    options: CheckOptions,
    report: &mut CheckReport,
) {
    let step = format!("cost of {stream}");
    let decision = decide_aggregation(description);
    match (aggregation, decision.decision) {
        (Aggregation::Compressed { compression, .. }, _) => {
            report_compression(step, compression.format, description, report);
        }
        (Aggregation::Off, AggregationChoice::Aggregated) => {
            let event_bytes = options.event_bytes.unwrap_or(EVENT_BYTES);
            let detail = format!(
                "each event is billed as a separate record; aggregate = \"auto\" would save {:.0} % with events of {event_bytes} bytes",
                saved_share(event_bytes) * 100.0
            );
            let advice =
                format!("set aggregate = \"auto\" under [streams.{stream}]: {}", decision.why);
            let advice = format!("{advice}{}", compression_advice(description));
            report.add(step, CheckOutcome::Ok, detail, Some(advice));
        }
        (Aggregation::UpTo { .. }, AggregationChoice::Off) => {
            let advice = "make sure that consumers of the stream split records at newlines, or set aggregate = \"auto\"";
            report.add(
                step,
                CheckOutcome::Ok,
                format!("events are aggregated, although {}", decision.why),
                Some(advice.to_owned()),
            );
        }
        _ => {
            let advice = compression_advice(description);
            let advice = advice.strip_prefix("; ").map(ToOwned::to_owned);
            report.add(step, CheckOutcome::Ok, decision.why, advice);
        }
    }
}

/// Reports whether the records of a stream can be compressed, as the settings say, and whether the
/// names of the objects show it.
fn report_compression(
    step: String,
    format: CompressionFormat,
    description: &StreamDescription,
    report: &mut CheckReport,
) {
    let decision = decide_compression(description);
    if decision.decision != AggregationChoice::Compressed {
        let detail = format!("records are not compressed, although the settings say so: {}", decision.why);
        let advice = "remove `compress` from `aggregate`, or change the stream";
        return report.add(step, CheckOutcome::Failed, detail, Some(advice.to_owned()));
    }
    let expected = format.file_extension();
    let end = expected.rsplit('.').next().unwrap_or(expected);
    let extension = description.destinations.iter().find_map(|it| it.file_extension.as_deref());
    if extension.is_some_and(|extension| extension.ends_with(end)) {
        return report.ok(step, decision.why);
    }
    let detail = format!(
        "records are compressed, but the names of the objects in S3 {}",
        extension.map_or("have no extension".to_owned(), |it| format!("end with {it:?}"))
    );
    let advice = format!(
        "set FileExtension of the stream to {expected:?}, so that readers such as Athena decompress the objects"
    );
    report.add(step, CheckOutcome::Ok, detail, Some(advice));
}

/// What compression would save beyond aggregation, if the stream allows it.
fn compression_advice(description: &StreamDescription) -> String {
    match decide_compression(description).decision {
        AggregationChoice::Compressed => format!(
            "; aggregate = {{ max_bytes = {}, compress = \"gzip\" }} saves more: `host cost` shows how much",
            standpipe_delivery::limits::AGGREGATE_AUTO_BYTES
        ),
        _ => String::new(),
    }
}

/// The share of the billed size that aggregation saves.
fn saved_share(event_bytes: usize) -> f64 {
    let billed = |bytes: usize| {
        bytes.div_ceil(standpipe_delivery::limits::BILLED_STEP_BYTES)
            * standpipe_delivery::limits::BILLED_STEP_BYTES
    };
    let bytes = event_bytes + 1;
    let events = (standpipe_delivery::limits::AGGREGATE_AUTO_BYTES / bytes)
        .clamp(1, standpipe_delivery::limits::RECORD_EVENTS_MAX);
    1.0 - billed(events * bytes) as f64 / (events * billed(bytes)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aggregation_saves_depends_on_the_events_size() {
        let percent = |bytes| (saved_share(bytes) * 100.0).round();
        assert_eq!(
            [percent(818), percent(5119), percent(6000), percent(200_000)],
            [84.0, 0.0, 41.0, 0.0]
        );
    }
}

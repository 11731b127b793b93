//! Decides from a stream's description whether events may share records. Whatever is not known
//! counts as unsafe. A pure function.

use std::borrow::Cow;

use serde::Serialize;

use crate::limits;
use standpipe_aws::{Destination, DestinationKind, Processor, RecordSplit, StreamDescription};

/// What `aggregate = "auto"` came to for a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AggregationDecision {
    /// What is done.
    pub decision: AggregationChoice,
    /// The reason, for people.
    pub why: Cow<'static, str>,
}

/// Whether events share records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AggregationChoice {
    /// They do, which is the cheaper.
    #[serde(rename = "packed")]
    Aggregated,
    /// Each is a record of its own, which is safe with whatever reads it.
    Off,
}

impl AggregationDecision {
    pub(super) fn aggregated(why: impl Into<Cow<'static, str>>) -> Self {
        AggregationDecision { decision: AggregationChoice::Aggregated, why: why.into() }
    }

    pub(super) fn off(why: impl Into<Cow<'static, str>>) -> Self {
        AggregationDecision { decision: AggregationChoice::Off, why: why.into() }
    }

    /// The size of a record, if events share them.
    pub fn bytes_max(&self) -> Option<usize> {
        match self.decision {
            AggregationChoice::Aggregated => Some(limits::AGGREGATE_AUTO_BYTES),
            AggregationChoice::Off => None,
        }
    }
}

/// The cheapest way that changes nothing for whatever reads the stream.
///
/// Events are aggregated only where all that happens to a record is known, and known
/// not to care how many events are in it. What is new at Firehose therefore goes
/// without aggregation until somebody has looked at it.
pub fn decide_aggregation(stream: &StreamDescription) -> AggregationDecision {
    let destinations = &stream.destinations;
    if let Some(objection) = destinations.iter().find_map(find_objection) {
        return AggregationDecision::off(objection);
    }
    if stream.has_more_destinations {
        return AggregationDecision::off(UNKNOWN_DESTINATION);
    }
    let Some(first) = destinations.first() else {
        return AggregationDecision::off("the description shows no destination");
    };
    if destinations.iter().any(splits_records) {
        return AggregationDecision::aggregated("the stream splits records into their events");
    }
    AggregationDecision::aggregated(match first.kind() {
        DestinationKind::Redshift => {
            "Redshift reads files in which records stand one after the other"
        }
        _ => "in S3 records stand one after the other in a file",
    })
}

const UNKNOWN_DESTINATION: &str = "the stream has an unknown kind of destination";

/// What the operator should know, whatever the decision.
///
/// A record that Firehose splits itself is put together again without newlines of
/// ours, so that only whole records get a second one.
pub(super) fn operator_hint(stream: &StreamDescription) -> Option<&'static str> {
    let appends = |processor: &Processor| processor.kind == "AppendDelimiterToRecord";
    let doubles = |destination: &&Destination| {
        let is_file = kind_objection(destination.kind()).is_none();
        is_file && destination.processors.iter().any(appends) && !splits_records(destination)
    };
    stream.destinations.iter().find(doubles).map(|_| {
        "the stream's processor AppendDelimiterToRecord adds a newline to records that end with one already: remove it there, or set newline = false and aggregate = \"off\""
    })
}

fn find_objection(destination: &Destination) -> Option<Cow<'static, str>> {
    let splits = splits_records(destination);
    if let Some(objection) = kind_objection(destination.kind()) {
        return Some(Cow::Borrowed(objection));
    }
    if destination.partitions_dynamically && !splits {
        return Some("whole records are partitioned, without RecordDeAggregation before".into());
    }
    if destination.converts_format {
        return Some(
            "converting aggregated records to Parquet or ORC is not documented to be safe".into(),
        );
    }
    destination.processors.iter().find_map(|processor| processor_objection(processor, splits))
}

/// Whether records are split into their events.
fn splits_records(destination: &Destination) -> bool {
    let splits = |processor: &Processor| {
        matches!(processor.splits_at, Some(RecordSplit::Json | RecordSplit::Newline))
    };
    destination.processors.iter().any(splits)
}

/// Why a destination takes a record for one item.
fn kind_objection(kind: DestinationKind) -> Option<&'static str> {
    match kind {
        // Firehose puts records one after the other into an object, so that it
        // has the same bytes either way.
        DestinationKind::S3 | DestinationKind::Redshift => None,
        DestinationKind::OpenSearch => Some("OpenSearch treats a record as one document"),
        DestinationKind::OpenSearchServerless => {
            Some("OpenSearch Serverless treats a record as one document")
        }
        DestinationKind::Elasticsearch => Some("Elasticsearch treats a record as one document"),
        DestinationKind::Splunk => Some("Splunk treats a record as one event"),
        DestinationKind::HttpEndpoint => Some("an HTTP endpoint may treat a record as one event"),
        DestinationKind::Iceberg => Some("Iceberg treats a record as one row"),
        DestinationKind::Snowflake => Some("Snowflake treats a record as one row"),
        DestinationKind::LocalFile => Some("a local file is not billed"),
        DestinationKind::Unknown => Some(UNKNOWN_DESTINATION),
    }
}

/// Why a processor depends on one event in a record. Firehose splits records before
/// any function or partitioning sees them.
fn processor_objection(processor: &Processor, splits: bool) -> Option<Cow<'static, str>> {
    let why = match processor.kind.as_str() {
        "AppendDelimiterToRecord" => return None,
        "RecordDeAggregation" if processor.splits_at != Some(RecordSplit::Other) => return None,
        "RecordDeAggregation" => "the stream splits records, but not at newlines",
        "MetadataExtraction" if splits => return None,
        "MetadataExtraction" => {
            "keys are extracted from whole records, without RecordDeAggregation before"
        }
        "Lambda" => "a Lambda function gets whole records, and may not split them",
        "Decompression" => "the stream decompresses records",
        "CloudWatchLogProcessing" => "the stream reads records as CloudWatch Logs",
        unknown => return Some(format!("the stream has an unknown processor, {unknown:?}").into()),
    };
    Some(Cow::Borrowed(why))
}

#[cfg(test)]
mod tests;

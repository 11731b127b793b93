//! Decides from a stream's description whether events may share records, and whether these may be
//! compressed. Unknown parts count as unsafe. The decisions are pure functions.

use std::borrow::Cow;

use serde::Serialize;

use crate::limits;
use standpipe_aws::{Destination, DestinationKind, Processor, RecordSplit, StreamDescription};

/// The decision about a stream, for `aggregate = "auto"` or with `compress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AggregationDecision {
    /// The choice.
    pub decision: AggregationChoice,
    /// The reason, for people.
    pub why: Cow<'static, str>,
}

/// Whether events share records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AggregationChoice {
    /// Events share records, which is cheaper.
    #[serde(rename = "packed")]
    Aggregated,
    /// Events share records, and the records are compressed.
    Compressed,
    /// Each event has its own record, which is safe for every reader.
    Off,
}

impl AggregationDecision {
    pub(super) fn aggregated(why: impl Into<Cow<'static, str>>) -> Self {
        AggregationDecision { decision: AggregationChoice::Aggregated, why: why.into() }
    }

    pub(super) fn compressed(why: impl Into<Cow<'static, str>>) -> Self {
        AggregationDecision { decision: AggregationChoice::Compressed, why: why.into() }
    }

    pub(super) fn off(why: impl Into<Cow<'static, str>>) -> Self {
        AggregationDecision { decision: AggregationChoice::Off, why: why.into() }
    }

    /// The maximum size of a record, if events share records and the settings contain no size.
    pub fn bytes_max(&self) -> Option<usize> {
        match self.decision {
            AggregationChoice::Aggregated | AggregationChoice::Compressed => Some(limits::AGGREGATE_AUTO_BYTES),
            AggregationChoice::Off => None,
        }
    }
}

/// Decides the cheapest way that changes nothing for the readers of the stream.
///
/// Events are aggregated only if all processing of a record is known, and known not to depend on
/// the number of its events. So new features of Firehose turn aggregation off until they are
/// examined.
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
            "Redshift reads files that contain records one after the other"
        }
        _ => "a file in S3 contains records one after the other",
    })
}

/// Decides whether records may be compressed. If not, they may still be aggregated.
///
/// Firehose writes each record to an object in S3 as it is, and a concatenation of compressed
/// records is a compressed file. Everything else that reads records expects text.
pub fn decide_compression(stream: &StreamDescription) -> AggregationDecision {
    let objection = match &stream.destinations[..] {
        _ if stream.has_more_destinations => Some(UNKNOWN_DESTINATION.into()),
        [] => Some("the description shows no destination".into()),
        destinations => destinations.iter().find_map(find_compression_objection),
    };
    match objection {
        None => AggregationDecision::compressed("Firehose writes the records to S3 as they are"),
        Some(why) => AggregationDecision { why, ..decide_aggregation(stream) },
    }
}

/// Why compressed records cannot be read at a destination.
fn find_compression_objection(destination: &Destination) -> Option<Cow<'static, str>> {
    let kind = destination.kind();
    if kind == DestinationKind::Redshift {
        return Some("Redshift reads compressed files only with an option of its COPY command".into());
    }
    if let Some(objection) = kind_objection(kind) {
        return Some(Cow::Borrowed(objection));
    }
    if destination.partitions_dynamically {
        return Some("Firehose reads partition keys from the records".into());
    }
    if destination.converts_format {
        return Some("Firehose converts the records to Parquet or ORC".into());
    }
    if let Some(format) = &destination.compression {
        return Some(format!("Firehose compresses the objects itself: CompressionFormat is {format}").into());
    }
    let processor = destination.processors.first()?;
    Some(format!("the stream processes the records: {}", processor.kind).into())
}

const UNKNOWN_DESTINATION: &str = "the stream has an unknown kind of destination";

/// A hint for the operator, independent of the decision.
///
/// Firehose joins the events of a record that it splits without our newlines, so only whole records
/// get a second newline.
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

/// Whether Firehose splits records into their events.
fn splits_records(destination: &Destination) -> bool {
    let splits = |processor: &Processor| {
        matches!(processor.splits_at, Some(RecordSplit::Json | RecordSplit::Newline))
    };
    destination.processors.iter().any(splits)
}

/// Why a destination treats a record as one item.
fn kind_objection(kind: DestinationKind) -> Option<&'static str> {
    match kind {
        // Firehose concatenates records in an object, so the bytes are the same in both cases.
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

/// Why a processor depends on one event per record. Firehose splits records before functions and
/// partitioning.
fn processor_objection(processor: &Processor, splits: bool) -> Option<Cow<'static, str>> {
    let why = match processor.kind.as_str() {
        "AppendDelimiterToRecord" => return None,
        "RecordDeAggregation" if processor.splits_at != Some(RecordSplit::Other) => return None,
        "RecordDeAggregation" => "the stream splits records, but not at newlines",
        "MetadataExtraction" if splits => return None,
        "MetadataExtraction" => {
            "keys are extracted from whole records, without RecordDeAggregation before"
        }
        "Lambda" => "a Lambda function gets whole records and may not split them",
        "Decompression" => "the stream decompresses records",
        "CloudWatchLogProcessing" => "the stream reads records as CloudWatch Logs",
        unknown => return Some(format!("the stream has an unknown processor, {unknown:?}").into()),
    };
    Some(Cow::Borrowed(why))
}

#[cfg(test)]
mod tests;

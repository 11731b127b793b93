//! Tests the decision for each kind of destination and each processing step.

use super::*;

/// A step in which Firehose processes records before delivery.
#[derive(Clone, Copy)]
enum Step {
    Processor(&'static str),
    DeAggregation(RecordSplit),
    DynamicPartitioning,
    FormatConversion,
}

const SPLIT: Step = Step::DeAggregation(RecordSplit::Json);
const LAMBDA: Step = Step::Processor("Lambda");
const METADATA: Step = Step::Processor("MetadataExtraction");
const DELIMITER: Step = Step::Processor("AppendDelimiterToRecord");

fn one(kind: DestinationKind, steps: &[Step]) -> StreamDescription {
    let mut destination = Destination::stand_in(kind);
    for step in steps {
        let (kind, splits_at) = match *step {
            Step::Processor(kind) => (kind, None),
            Step::DeAggregation(split) => ("RecordDeAggregation", Some(split)),
            Step::DynamicPartitioning => {
                destination.partitions_dynamically = true;
                continue;
            }
            Step::FormatConversion => {
                destination.converts_format = true;
                continue;
            }
        };
        destination.processors.push(Processor { kind: kind.to_owned(), lambda: None, splits_at });
    }
    StreamDescription::stand_in("s", vec![destination])
}

#[test]
fn every_kind_of_destination_is_decided_on() {
    for (kind, why) in [
        (DestinationKind::S3, None),
        (DestinationKind::Redshift, None),
        (DestinationKind::OpenSearch, Some("OpenSearch treats")),
        (DestinationKind::OpenSearchServerless, Some("OpenSearch Serverless treats")),
        (DestinationKind::Elasticsearch, Some("Elasticsearch treats")),
        (DestinationKind::Splunk, Some("Splunk treats")),
        (DestinationKind::HttpEndpoint, Some("HTTP endpoint may")),
        (DestinationKind::Iceberg, Some("Iceberg treats")),
        (DestinationKind::Snowflake, Some("Snowflake treats")),
        (DestinationKind::LocalFile, Some("not billed")),
        (DestinationKind::Unknown, Some("unknown kind")),
    ] {
        check(&one(kind, &[]), why);
        // The objection of a destination that needs single events remains.
        check(&one(kind, &[SPLIT]), why);
    }
}

#[test]
fn every_step_is_decided_on() {
    let unknown = Step::Processor("Rotate13");
    for kind in [DestinationKind::S3, DestinationKind::Redshift] {
        for (steps, why) in [
            (&[DELIMITER][..], None),
            (&[Step::DeAggregation(RecordSplit::Json)], None),
            (&[Step::DeAggregation(RecordSplit::Newline)], None),
            (&[Step::DeAggregation(RecordSplit::Other)], Some("not at newlines")),
            (&[LAMBDA], Some("Lambda")),
            (&[LAMBDA, SPLIT], Some("Lambda")),
            (&[METADATA], Some("without RecordDeAggregation")),
            (&[METADATA, SPLIT], None),
            (&[Step::DynamicPartitioning], Some("without RecordDeAggregation")),
            (&[SPLIT, METADATA, Step::DynamicPartitioning], None),
            (&[Step::DynamicPartitioning, Step::DeAggregation(RecordSplit::Newline)], None),
            (
                &[Step::DynamicPartitioning, Step::DeAggregation(RecordSplit::Other)],
                Some("without RecordDeAggregation"),
            ),
            (&[Step::FormatConversion], Some("not documented to be safe")),
            (&[Step::FormatConversion, SPLIT], Some("not documented to be safe")),
            (&[Step::Processor("Decompression")], Some("decompresses")),
            (&[Step::Processor("CloudWatchLogProcessing")], Some("CloudWatch Logs")),
            (&[SPLIT, unknown], Some("\"Rotate13\"")),
        ] {
            check(&one(kind, steps), why);
        }
    }
}

#[test]
fn every_destination_must_allow_it() {
    let destinations = |kinds: &[DestinationKind]| {
        let destinations = kinds.iter().map(|&kind| Destination::stand_in(kind));
        StreamDescription::stand_in("s", destinations.collect())
    };
    check(&destinations(&[]), Some("no destination"));
    check(&destinations(&[DestinationKind::S3, DestinationKind::Redshift]), None);
    check(&destinations(&[DestinationKind::S3, DestinationKind::Splunk]), Some("Splunk"));
    check(&destinations(&[DestinationKind::Unknown, DestinationKind::S3]), Some("unknown"));
    let more = destinations(&[DestinationKind::S3]);
    check(&StreamDescription { has_more_destinations: true, ..more }, Some("unknown"));
}

#[test]
fn newlines_that_double_are_hinted_at() {
    let hints = |steps: &[Step]| operator_hint(&one(DestinationKind::S3, steps)).is_some();
    assert!(hints(&[DELIMITER]) && hints(&[LAMBDA, DELIMITER]));
    assert!(!hints(&[]) && !hints(&[DELIMITER, SPLIT]));
}

/// Expects aggregation if `why` is `None`, and otherwise no aggregation with these words in the
/// reason.
fn check(description: &StreamDescription, why: Option<&str>) {
    let decision = decide_aggregation(description);
    let expected =
        if why.is_none() { AggregationChoice::Aggregated } else { AggregationChoice::Off };
    assert_eq!(decision.decision, expected, "{description:?}: {decision:?}");
    assert_eq!(decision.bytes_max(), why.is_none().then_some(limits::AGGREGATE_AUTO_BYTES));
    assert!(decision.why.contains(why.unwrap_or_default()), "{description:?}: {decision:?}");
}

#[test]
fn only_plain_files_in_s3_can_be_compressed() {
    let s3 = |steps: &[Step]| one(DestinationKind::S3, steps);
    assert_eq!(decide_compression(&s3(&[])).decision, AggregationChoice::Compressed);
    let partitioned = [SPLIT, METADATA, Step::DynamicPartitioning];
    for (stream, choice, why) in [
        (s3(&[DELIMITER]), AggregationChoice::Aggregated, "AppendDelimiterToRecord"),
        (s3(&[LAMBDA]), AggregationChoice::Off, "processes the records: Lambda"),
        (s3(&partitioned), AggregationChoice::Aggregated, "partition keys"),
        (s3(&[Step::FormatConversion]), AggregationChoice::Off, "Parquet"),
        (one(DestinationKind::Redshift, &[]), AggregationChoice::Aggregated, "COPY"),
        (one(DestinationKind::Splunk, &[]), AggregationChoice::Off, "Splunk treats"),
        (one(DestinationKind::LocalFile, &[]), AggregationChoice::Off, "not billed"),
        (StreamDescription::stand_in("s", Vec::new()), AggregationChoice::Off, "no destination"),
    ] {
        let decision = decide_compression(&stream);
        assert!(decision.decision == choice && decision.why.contains(why), "{decision:?}");
    }
    let mut gzip = s3(&[]);
    gzip.destinations[0].compression = Some("GZIP".to_owned());
    let decision = decide_compression(&gzip);
    assert!(decision.why.contains("CompressionFormat is GZIP"), "{decision:?}");
    let mut more = s3(&[]);
    more.has_more_destinations = true;
    assert_eq!(decide_compression(&more).decision, AggregationChoice::Off);
}

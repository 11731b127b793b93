//! The decision for every kind of destination and every processing step.

use super::*;

const SPLIT: Step = Step::DeAggregation(Split::Json);

fn one(kind: TargetKind, steps: &[Step]) -> Description {
    Description { targets: vec![Target { kind, steps: steps.to_vec() }], ..Description::default() }
}

#[test]
fn every_kind_of_destination_is_decided_on() {
    for (kind, why) in [
        (TargetKind::S3, None),
        (TargetKind::Redshift, None),
        (TargetKind::OpenSearch, Some("OpenSearch takes")),
        (TargetKind::OpenSearchServerless, Some("OpenSearch Serverless takes")),
        (TargetKind::Elasticsearch, Some("Elasticsearch takes")),
        (TargetKind::Splunk, Some("Splunk takes")),
        (TargetKind::HttpEndpoint, Some("HTTP endpoint may")),
        (TargetKind::Iceberg, Some("Iceberg takes")),
        (TargetKind::Snowflake, Some("Snowflake takes")),
        (TargetKind::LocalFile, Some("not billed")),
        (TargetKind::Unknown, Some("unknown kind")),
    ] {
        check(&one(kind, &[]), why);
        // A destination that wants single events is not talked out of it.
        check(&one(kind, &[SPLIT]), why);
    }
}

#[test]
fn every_step_is_decided_on() {
    let unknown = Step::Unknown("Rotate13".to_owned());
    for kind in [TargetKind::S3, TargetKind::Redshift] {
        for (steps, why) in [
            (&[Step::AppendDelimiter][..], None),
            (&[Step::DeAggregation(Split::Json)], None),
            (&[Step::DeAggregation(Split::Newline)], None),
            (&[Step::DeAggregation(Split::Other)], Some("not at newlines")),
            (&[Step::Lambda], Some("Lambda")),
            (&[Step::Lambda, SPLIT], Some("Lambda")),
            (&[Step::MetadataExtraction], Some("without RecordDeAggregation")),
            (&[Step::MetadataExtraction, SPLIT], None),
            (&[Step::DynamicPartitioning], Some("without RecordDeAggregation")),
            (&[SPLIT, Step::MetadataExtraction, Step::DynamicPartitioning], None),
            (&[Step::DynamicPartitioning, Step::DeAggregation(Split::Newline)], None),
            (
                &[Step::DynamicPartitioning, Step::DeAggregation(Split::Other)],
                Some("without RecordDeAggregation"),
            ),
            (&[Step::FormatConversion], Some("not known to be safe")),
            (&[Step::FormatConversion, SPLIT], Some("not known to be safe")),
            (&[Step::Decompression], Some("decompresses")),
            (&[Step::CloudWatchLogs], Some("CloudWatch Logs")),
            (&[SPLIT, unknown.clone()], Some("\"Rotate13\"")),
        ] {
            check(&one(kind, steps), why);
        }
    }
}

#[test]
fn every_destination_must_allow_it() {
    let targets = |kinds: &[TargetKind]| {
        let targets = kinds.iter().map(|&kind| Target { kind, steps: Vec::new() });
        Description { targets: targets.collect(), ..Description::default() }
    };
    check(&targets(&[]), Some("no destination"));
    check(&targets(&[TargetKind::S3, TargetKind::Redshift]), None);
    check(&targets(&[TargetKind::S3, TargetKind::Splunk]), Some("Splunk"));
    check(&targets(&[TargetKind::Unknown, TargetKind::S3]), Some("unknown"));
}

#[test]
fn newlines_that_double_are_hinted_at() {
    let hints = |steps: &[Step]| hint(&one(TargetKind::S3, steps)).is_some();
    assert!(hints(&[Step::AppendDelimiter]) && hints(&[Step::Lambda, Step::AppendDelimiter]));
    assert!(!hints(&[]) && !hints(&[Step::AppendDelimiter, SPLIT]));
}

/// Packed without `why`, and otherwise off, with these words in the reason.
fn check(description: &Description, why: Option<&str>) {
    let decision = decide(description);
    let expected = if why.is_none() { PackChoice::Packed } else { PackChoice::Off };
    assert_eq!(decision.decision, expected, "{description:?}: {decision:?}");
    assert_eq!(decision.bytes_max(), why.is_none().then_some(limits::PACK_AUTO_BYTES));
    assert!(decision.why.contains(why.unwrap_or_default()), "{description:?}: {decision:?}");
}

//! Firehose's description of a stream, in delivery's own words.

use aws_sdk_firehose::types::{
    DeliveryStreamDescription, DeliveryStreamStatus, DeliveryStreamType, DestinationDescription,
    ExtendedS3DestinationDescription, ProcessingConfiguration, Processor, ProcessorParameterName,
    ProcessorType,
};

use crate::{Description, Split, Step, Target, TargetKind};

/// A newline as Firehose wants it: base64.
const NEWLINE: &str = "Cg==";

pub(super) fn read(description: &DeliveryStreamDescription) -> Description {
    let mut targets: Vec<_> = description.destinations().iter().map(target).collect();
    if description.has_more_destinations() {
        targets.push(Target { kind: TargetKind::Unknown, steps: Vec::new() });
    }
    let status = description.delivery_stream_status();
    let kind = description.delivery_stream_type();
    let is_active = *status == DeliveryStreamStatus::Active;
    let takes_requests = *kind == DeliveryStreamType::DirectPut;
    Description {
        not_active: (!is_active).then(|| super::bounded(status.as_str())),
        fed_by: (!takes_requests).then(|| super::bounded(kind.as_str())),
        targets,
    }
}

fn target(destination: &DestinationDescription) -> Target {
    // Of the other kinds no step is read: they are not packed for, whatever is
    // done to the records before.
    let others = [
        (
            destination.amazonopensearchservice_destination_description.is_some(),
            TargetKind::OpenSearch,
        ),
        (
            destination.amazon_open_search_serverless_destination_description.is_some(),
            TargetKind::OpenSearchServerless,
        ),
        (destination.elasticsearch_destination_description.is_some(), TargetKind::Elasticsearch),
        (destination.splunk_destination_description.is_some(), TargetKind::Splunk),
        (destination.http_endpoint_destination_description.is_some(), TargetKind::HttpEndpoint),
        (destination.iceberg_destination_description.is_some(), TargetKind::Iceberg),
        (destination.snowflake_destination_description.is_some(), TargetKind::Snowflake),
    ];
    let other = others.into_iter().find_map(|(is_there, kind)| is_there.then_some(kind));
    if let Some(kind) = other {
        return Target { kind, steps: Vec::new() };
    }
    if let Some(redshift) = &destination.redshift_destination_description {
        let steps = processors(redshift.processing_configuration());
        return Target { kind: TargetKind::Redshift, steps };
    }
    // S3 is shown twice, and only one of them shows everything.
    if let Some(s3) = &destination.extended_s3_destination_description {
        return Target { kind: TargetKind::S3, steps: s3_steps(s3) };
    }
    let kind = match destination.s3_destination_description {
        Some(_) => TargetKind::S3,
        None => TargetKind::Unknown,
    };
    Target { kind, steps: Vec::new() }
}

fn s3_steps(s3: &ExtendedS3DestinationDescription) -> Vec<Step> {
    let partitioning = s3.dynamic_partitioning_configuration();
    let conversion = s3.data_format_conversion_configuration();
    // What is configured is in force unless it is said to be off.
    let switched = [
        (partitioning.map(|it| it.enabled().unwrap_or(true)), Step::DynamicPartitioning),
        (conversion.map(|it| it.enabled().unwrap_or(true)), Step::FormatConversion),
    ];
    let switched = switched.into_iter().filter(|(is_on, _)| *is_on == Some(true));
    let mut steps: Vec<_> = switched.map(|(_, step)| step).collect();
    steps.extend(processors(s3.processing_configuration()));
    steps
}

fn processors(configuration: Option<&ProcessingConfiguration>) -> Vec<Step> {
    let on = configuration.filter(|configuration| configuration.enabled().unwrap_or(true));
    on.map_or_else(Vec::new, |on| on.processors().iter().map(step).collect())
}

fn step(processor: &Processor) -> Step {
    match processor.r#type() {
        ProcessorType::Lambda => Step::Lambda,
        ProcessorType::RecordDeAggregation => Step::DeAggregation(split(processor)),
        ProcessorType::MetadataExtraction => Step::MetadataExtraction,
        ProcessorType::Decompression => Step::Decompression,
        ProcessorType::CloudWatchLogProcessing => Step::CloudWatchLogs,
        ProcessorType::AppendDelimiterToRecord => Step::AppendDelimiter,
        other => Step::Unknown(super::bounded(other.as_str())),
    }
}

fn split(processor: &Processor) -> Split {
    let parameter = |name: &ProcessorParameterName| {
        let found = processor.parameters().iter().find(|it| it.parameter_name() == name);
        found.map_or("", |it| it.parameter_value())
    };
    match parameter(&ProcessorParameterName::SubRecordType) {
        "JSON" => Split::Json,
        "DELIMITED" if parameter(&ProcessorParameterName::Delimiter) == NEWLINE => Split::Newline,
        _ => Split::Other,
    }
}

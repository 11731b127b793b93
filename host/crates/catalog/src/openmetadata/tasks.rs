//! The tasks of a pipeline: its events, its source, the processing of records, and its
//! destinations.

use serde_json::{Value, json};

use super::links::is_stream;
use crate::asset::table_name;
use crate::limits;
use crate::{
    Asset, Destination, Edge, EdgeRole, Graph, S3Location, Sink, StreamDescription, StreamOrigin,
};

/// The events that a plugin sends to a stream, as text for people.
pub(super) fn routed_events(
    stream: &StreamDescription,
    graph: &Graph,
) -> Vec<(String, Option<String>)> {
    let leads_to_it = |edge: &&Edge| is_stream(&graph.assets[edge.to], stream);
    let routed =
        graph.edges.iter().filter(|edge| edge.role == EdgeRole::Routed).filter(leads_to_it);
    let mut events: Vec<_> = routed
        .filter_map(|edge| match graph.assets.get(edge.from) {
            Some(Asset::Events { label }) => Some((label.clone(), edge.note.clone())),
            _ => None,
        })
        .collect();
    events.sort();
    events.dedup();
    events
}

/// All tasks, each with its successors.
pub(super) fn pipeline_tasks(
    stream: &StreamDescription,
    events: &[(String, Option<String>)],
) -> Vec<Value> {
    let mut tasks = Vec::new();
    let shown = events.iter().take(limits::CATALOG_EVENT_TASKS_MAX);
    for (number, (label, note)) in shown.enumerate() {
        let name = format!("events-{}", number + 1);
        tasks.push(make_task(&name, label, "Events", note.as_deref(), &["source".to_owned()]));
    }
    let (mut firsts, mut rest) = (Vec::new(), Vec::new());
    for (destination, number) in stream.destinations.iter().zip(1..) {
        let id = format!("destination-{number}");
        let steps = (1..=destination.processors.len()).map(|step| format!("{id}-step-{step}"));
        let ids: Vec<String> = steps.chain([id.clone()]).collect();
        firsts.push(ids[0].clone());
        for (processor, step) in destination.processors.iter().zip(ids.windows(2)) {
            let lambda = processor.lambda.as_ref().map(ToString::to_string);
            let shown = lambda.unwrap_or_else(|| processor.kind.clone());
            rest.push(make_task(&step[0], &shown, &processor.kind, None, &step[1..]));
        }
        let kind =
            destination.key.strip_suffix("DestinationDescription").unwrap_or(&destination.key);
        let more = destination_notes(destination);
        rest.push(make_task(&id, &sink_label(&destination.sink), kind, more.as_deref(), &[]));
    }
    tasks.push(make_task("source", &origin_label(&stream.origin), &stream.kind, None, &firsts));
    tasks.extend(rest);
    tasks
}

fn make_task(
    name: &str,
    shown: &str,
    kind: &str,
    description: Option<&str>,
    next: &[String],
) -> Value {
    let mut task =
        json!({"name": name, "displayName": shown, "taskType": kind, "downstreamTasks": next});
    if let Some(description) = description {
        task["description"] = description.into();
    }
    task
}

fn destination_notes(destination: &Destination) -> Option<String> {
    let backup = destination.backup.as_ref().map(|place| format!("Backup: {}", objects_url(place)));
    let schema = destination
        .schema
        .as_ref()
        .map(|schema| format!("Columns: {}.{}", schema.database, schema.table));
    let lines: Vec<_> = backup.into_iter().chain(schema).collect();
    (!lines.is_empty()).then(|| lines.join("\n\n"))
}

/// The source of a stream, as text for people.
pub(super) fn origin_label(origin: &StreamOrigin) -> String {
    match origin {
        StreamOrigin::DirectPut => "Direct PUT".to_owned(),
        StreamOrigin::Kinesis { arn } => arn.to_string(),
        StreamOrigin::Kafka { cluster, topic } => format!("{topic} of {cluster}"),
        StreamOrigin::Database { engine, host, port, .. } => format!("{engine} {host}:{port}"),
        StreamOrigin::Unsupported { what } => what.clone(),
    }
}

/// The destination of records, as text for people.
pub(super) fn sink_label(sink: &Sink) -> String {
    match sink {
        Sink::S3(place) => objects_url(place),
        Sink::Redshift { url, table, .. } => format!("{table} of {url}"),
        Sink::Search { domain, endpoint, index, .. } => {
            let domain = domain.as_ref().map(ToString::to_string);
            format!("{index} of {}", endpoint.clone().or(domain).unwrap_or_default())
        }
        Sink::Snowflake { account, table } => format!("{} of {account}", table_name(table)),
        Sink::Iceberg { tables, .. } => {
            tables.iter().map(table_name).collect::<Vec<_>>().join(", ")
        }
        Sink::Splunk { endpoint } => endpoint.clone(),
        Sink::Http { name: Some(name), url } => format!("{name} ({url})"),
        Sink::Http { name: None, url } => url.clone(),
        Sink::Unsupported { what } => what.clone(),
    }
}

fn objects_url(place: &S3Location) -> String {
    format!("s3://{}/{}", place.bucket, place.prefix)
}

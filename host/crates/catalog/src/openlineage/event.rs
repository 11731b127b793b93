//! Builds the JobEvents of a graph, one for each delivery stream and for each table that feeds a
//! Kinesis stream, with their facets.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::names::{LineageName, NamingContext, arn_name, dataset_names};
use crate::{Arn, Asset, Edge, EdgeRole, Graph, IndexRotation, Inventory, Sink, StreamDescription};
use standpipe_core::clock;

const SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent";
const JOB_TYPE: &str =
    "https://openlineage.io/spec/facets/2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet";
const JOB_DOCUMENTATION: &str = "https://openlineage.io/spec/facets/1-0-0/DocumentationJobFacet.json#/$defs/DocumentationJobFacet";
const DATASET_DOCUMENTATION: &str = "https://openlineage.io/spec/facets/1-0-0/DocumentationDatasetFacet.json#/$defs/DocumentationDatasetFacet";
const SYMLINKS: &str = "https://openlineage.io/spec/facets/1-0-1/SymlinksDatasetFacet.json#/$defs/SymlinksDatasetFacet";

/// The producer of events: the program and its version.
const PRODUCER: &str = concat!("urn:standpipe:host:", env!("CARGO_PKG_VERSION"));

/// Options for creating events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventOptions {
    /// When the catalog was read.
    pub time: OffsetDateTime,
    /// The service name in events, as in `standpipe://SERVICE`.
    pub service: String,
    /// `HOST:PORT` of a broker, by the ARN of its cluster.
    pub brokers: BTreeMap<String, String>,
}

/// A job with its inputs and outputs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobEvent {
    event_time: String,
    producer: &'static str,
    #[serde(rename = "schemaURL")]
    schema_url: &'static str,
    job: NamedItem,
    inputs: Vec<NamedItem>,
    outputs: Vec<NamedItem>,
}

/// A job or a dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct NamedItem {
    #[serde(flatten)]
    name: LineageName,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    facets: BTreeMap<&'static str, Value>,
}

impl JobEvent {
    /// The job of the event.
    pub fn job(&self) -> &LineageName {
        &self.job.name
    }
}

/// The events of a graph: one for each delivery stream that was found, and one for each table that
/// feeds a Kinesis stream, in the order of the graph.
///
/// Backups and schemas in the graph are outputs and inputs like all others. Leave them out of the
/// drawing if they are not wanted.
pub fn job_events(inventory: &Inventory, graph: &Graph, options: &EventOptions) -> Vec<JobEvent> {
    let streams: BTreeMap<_, _> = inventory.streams.iter().map(|it| (&it.arn, it)).collect();
    let ports = redshift_ports(inventory);
    let mut events = Vec::new();
    for (asset, near) in graph.assets.iter().zip(find_neighbours(graph)) {
        let (Asset::DeliveryStream { arn: Some(arn), .. } | Asset::DynamoTable { arn }) = asset
        else {
            continue;
        };
        let (service, brokers) = (&*options.service, &options.brokers);
        let names = NamingContext { stream: arn, service, brokers, ports: &ports };
        let maker = EventBuilder { graph, names, time: clock::rfc3339(options.time) };
        match streams.get(arn) {
            Some(stream) => events.push(maker.stream_event(stream, &near)),
            None => {
                events.extend(near.outputs.iter().filter_map(|edge| maker.table_event(arn, edge)));
            }
        }
    }
    events
}

/// The edges to and from an asset.
#[derive(Debug, Clone, Default)]
struct Neighbours<'graph> {
    inputs: Vec<&'graph Edge>,
    outputs: Vec<&'graph Edge>,
}

fn find_neighbours(graph: &Graph) -> Vec<Neighbours<'_>> {
    let mut neighbours = vec![Neighbours::default(); graph.assets.len()];
    for edge in &graph.edges {
        neighbours[edge.to].inputs.push(edge);
        neighbours[edge.from].outputs.push(edge);
    }
    neighbours
}

struct EventBuilder<'event> {
    graph: &'event Graph,
    names: NamingContext<'event>,
    time: String,
}

impl EventBuilder<'_> {
    fn stream_event(&self, stream: &StreamDescription, near: &Neighbours<'_>) -> JobEvent {
        let documentation = self.describe_stream(stream, &near.inputs);
        let inputs = near.inputs.iter().map(|edge| edge.from);
        let outputs = near.outputs.iter().map(|edge| edge.to);
        self.build_event(arn_name(&stream.arn), "DELIVERY_STREAM", &documentation, inputs, outputs)
    }

    /// The job that writes a table's changes to a Kinesis stream.
    fn table_event(&self, table: &Arn, edge: &Edge) -> Option<JobEvent> {
        let Asset::KinesisStream { arn: stream } = &self.graph.assets[edge.to] else {
            return None;
        };
        let LineageName { namespace, name } = arn_name(table);
        let job = LineageName { namespace, name: format!("{name}/{}", stream.resource) };
        let documentation = format!("Changes of {}", table.name());
        Some(self.build_event(job, "CHANGE_STREAM", &documentation, [edge.from], [edge.to]))
    }

    fn build_event(
        &self,
        job: LineageName,
        kind: &str,
        documentation: &str,
        inputs: impl IntoIterator<Item = usize>,
        outputs: impl IntoIterator<Item = usize>,
    ) -> JobEvent {
        let kind = json!({
            "processingType": "STREAMING", "integration": "FIREHOSE", "jobType": kind
        });
        let facets = BTreeMap::from([
            ("jobType", make_facet(JOB_TYPE, kind)),
            (
                "documentation",
                make_facet(JOB_DOCUMENTATION, json!({ "description": documentation })),
            ),
        ]);
        JobEvent {
            event_time: self.time.clone(),
            producer: PRODUCER,
            schema_url: SCHEMA,
            job: NamedItem { name: job, facets },
            inputs: self.dataset_items(inputs),
            outputs: self.dataset_items(outputs),
        }
    }

    /// Describes a stream: its kind and status, and which events have a condition.
    fn describe_stream(&self, stream: &StreamDescription, inputs: &[&Edge]) -> String {
        let StreamDescription { kind, status, .. } = stream;
        let mut text = format!("Amazon Data Firehose, {kind}, {}", status.word);
        if stream.has_function() {
            text.push_str(". A function changes records on the way");
        }
        for edge in inputs.iter().filter(|edge| edge.role == EdgeRole::Routed) {
            if let (Some(note), Asset::Events { label }) =
                (&edge.note, &self.graph.assets[edge.from])
            {
                text.extend([". Of ", label, " those with ", note]);
            }
        }
        text
    }

    /// Removes duplicates, because two assets may have the same dataset, such as objects with the
    /// same static prefix.
    fn dataset_items(&self, assets: impl IntoIterator<Item = usize>) -> Vec<NamedItem> {
        let mut datasets = BTreeMap::new();
        for asset in assets.into_iter().map(|place| &self.graph.assets[place]) {
            if let Some((own, other)) = dataset_names(asset, &self.names) {
                let facets = dataset_facets(asset, other.as_ref());
                datasets.entry(own.clone()).or_insert(NamedItem { name: own, facets });
            }
        }
        datasets.into_values().collect()
    }
}

fn dataset_facets(asset: &Asset, other: Option<&LineageName>) -> BTreeMap<&'static str, Value> {
    let mut facets = BTreeMap::new();
    if let Some(LineageName { namespace, name }) = other {
        let identifier = json!({"namespace": namespace, "name": name, "type": "STREAM"});
        facets.insert("symlinks", make_facet(SYMLINKS, json!({ "identifiers": [identifier] })));
    }
    let description = match asset {
        Asset::Objects { prefix, written, .. } if written.trim_end_matches('/') != prefix => {
            Some(format!("Written below {written}"))
        }
        Asset::SearchIndex { rotation: IndexRotation::None, .. } => None,
        Asset::SearchIndex { rotation, .. } => {
            let every = format!("{rotation:?}").to_lowercase();
            Some(format!("A new index is started every {every}, and its name ends with the date"))
        }
        Asset::HttpEndpoint { name, .. } => name.clone(),
        Asset::Unsupported { what, .. } => Some(format!("{what} is not supported")),
        _ => None,
    };
    if let Some(description) = description {
        let facet = make_facet(DATASET_DOCUMENTATION, json!({ "description": description }));
        facets.insert("documentation", facet);
    }
    facets
}

fn make_facet(schema: &str, mut facet: Value) -> Value {
    facet["_producer"] = json!(PRODUCER);
    facet["_schemaURL"] = json!(schema);
    facet
}

/// The ports in the streams' URLs, by host.
fn redshift_ports(inventory: &Inventory) -> BTreeMap<String, u16> {
    let sinks = inventory.streams.iter().flat_map(|stream| &stream.destinations);
    let port = |sink: &Sink| match sink {
        Sink::Redshift { url, host, .. } => {
            let (_, rest) = url.split_once(&format!("{host}:"))?;
            let digits = rest.split(|it: char| !it.is_ascii_digit()).next()?;
            Some((host.clone(), digits.parse().ok()?))
        }
        _ => None,
    };
    sinks.filter_map(|destination| port(&destination.sink)).collect()
}

//! `host catalog list`: the delivery streams as a table or JSON. Also contains labels for sources
//! and destinations that other subcommands use.

use clap::Args;

use super::{CatalogArgs, LogFormat, OutputArgs, block_with_progress, start_logging, usage};
use crate::cli::{CommandResult, Exit, complain};
use standpipe_catalog::{
    Destination, Inventory, Sink, StreamDescription, StreamOrigin, read_inventory,
};
use standpipe_core::text_table::render_table;

#[derive(Debug, Args)]
pub(crate) struct ListStreamsArguments {
    #[command(flatten)]
    given: CatalogArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(arguments: &ListStreamsArguments) -> CommandResult {
    let inventory = read_streams(&arguments.given)?;
    arguments.output.print(&inventory, || for_people(&inventory))?;
    Ok(exit_of(&inventory))
}

/// Reads the streams, and prints warnings to standard error.
pub(super) fn read_streams(given: &CatalogArgs) -> Result<Inventory, (Exit, anyhow::Error)> {
    start_logging(LogFormat::Human);
    let settings = given.settings().map_err(usage)?;
    let inventory = block_with_progress(async |report| read_inventory(&settings, report).await)?;
    complain_about(&inventory);
    Ok(inventory)
}

pub(super) fn complain_about(inventory: &Inventory) {
    for unread in &inventory.unread {
        complain(&format!("failed to describe {}: {}", unread.name, unread.cause));
    }
    for name in &inventory.vanished {
        complain(&format!("{name}: deleted after it was listed"));
    }
    for warning in &inventory.warnings {
        complain(&format!("note: {warning}"));
    }
}

pub(super) fn exit_of(inventory: &Inventory) -> Exit {
    match inventory.is_complete && inventory.unread.is_empty() {
        true => Exit::Done,
        false => Exit::Fault,
    }
}

fn for_people(inventory: &Inventory) -> String {
    let rows = inventory.streams.iter().map(stream_row);
    let mut text = render_table(["stream", "status", "fed by", "delivers to"], rows);
    let (count, region) = (inventory.streams.len(), &inventory.region);
    let account = inventory.account.as_deref().unwrap_or("an unknown account");
    text += &format!("{count} delivery streams in {region} of {account}");
    if !inventory.filtered.is_empty() {
        text += &format!("; {} excluded by patterns", inventory.filtered.len());
    }
    text + "\n"
}

fn stream_row(stream: &StreamDescription) -> [String; 4] {
    let places: Vec<_> = stream.destinations.iter().map(|to| sink_label(&to.sink)).collect();
    [
        stream.name.clone(),
        stream.status.word.clone(),
        origin_label(&stream.origin),
        places.join(", "),
    ]
}

pub(super) fn origin_label(origin: &StreamOrigin) -> String {
    match origin {
        StreamOrigin::DirectPut => "Direct PUT".to_owned(),
        StreamOrigin::Kinesis { arn } => format!("Kinesis {}", arn.name()),
        StreamOrigin::Kafka { topic, .. } => format!("Kafka {topic}"),
        StreamOrigin::Database { engine, host, .. } => format!("{engine} {host}"),
        StreamOrigin::Unsupported { what } => format!("{what} (unsupported)"),
    }
}

pub(super) fn sink_label(sink: &Sink) -> String {
    match sink {
        Sink::S3(place) => format!("s3://{}/{}", place.bucket, place.prefix),
        Sink::Redshift { host, table, .. } => format!("Redshift {host} {table}"),
        Sink::Search { index, endpoint, domain, .. } => {
            let domain = domain.as_ref().map(|domain| domain.name().to_owned());
            format!("index {index} of {}", endpoint.clone().or(domain).unwrap_or_default())
        }
        Sink::Snowflake { table, account } => format!("Snowflake {account} {}", table.name),
        Sink::Iceberg { tables, .. } => match &tables[..] {
            [table] => format!("Iceberg {}", table.name),
            tables => format!("{} Iceberg tables", tables.len()),
        },
        Sink::Splunk { endpoint } => format!("Splunk {endpoint}"),
        Sink::Http { name, url } => format!("HTTP {}", name.as_deref().unwrap_or(url)),
        Sink::Unsupported { what } => format!("{what} (unsupported)"),
    }
}

/// The transformations of records before delivery, in order.
pub(super) fn processor_labels(destination: &Destination) -> Vec<String> {
    let one = |processor: &standpipe_catalog::Processor| match &processor.lambda {
        Some(function) => format!("{} {}", processor.kind, function.resource),
        None => processor.kind.clone(),
    };
    destination.processors.iter().map(one).collect()
}

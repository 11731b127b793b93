//! `host catalog show`: all known information about one delivery stream.

use std::fmt::Write as _;

use anyhow::anyhow;
use clap::Args;

use super::list::{origin_label, processor_labels, read_streams, sink_label};
use super::{CatalogArgs, OutputArgs, fault};
use crate::cli::CommandResult;
use standpipe_catalog::{Inventory, StreamDescription, StreamOrigin, time_of};
use standpipe_core::clock;
use standpipe_core::escape::one_line;

#[derive(Debug, Args)]
pub(crate) struct ShowStreamArguments {
    /// The delivery stream.
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    given: CatalogArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(arguments: &ShowStreamArguments) -> CommandResult {
    let inventory = read_streams(&arguments.given)?;
    let name = &arguments.name;
    let Some(stream) = inventory.streams.iter().find(|stream| stream.name == *name) else {
        let why = if inventory.filtered.contains(name) {
            "the patterns of the settings exclude it"
        } else if inventory.unread.iter().any(|unread| unread.name == *name) {
            "its description could not be read"
        } else {
            "not found in this region: check the name and --region"
        };
        return Err(fault(anyhow!("failed to show the delivery stream {name:?}: {why}")));
    };
    let tables = stream_tables(&inventory, stream);
    arguments.output.print(stream, || for_people(stream, &tables))
}

/// The DynamoDB tables whose changes feed the stream.
fn stream_tables(inventory: &Inventory, stream: &StreamDescription) -> Vec<String> {
    let StreamOrigin::Kinesis { arn } = &stream.origin else { return Vec::new() };
    let tables = inventory.tables.get(arn).into_iter().flatten();
    tables.map(|table| table.name().to_owned()).collect()
}

fn for_people(stream: &StreamDescription, tables: &[String]) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:11}  {}", one_line(value));
    };
    line("stream", &stream.name);
    line("arn", &stream.arn.to_string());
    line("status", &stream.status.word);
    if let Some(failure) = &stream.status.failure {
        line("failure", failure);
    }
    line("type", &stream.kind);
    line("version", &stream.version);
    for (key, time) in [("created", stream.created), ("updated", stream.updated)] {
        if let Some(time) = time.and_then(time_of) {
            line(key, &clock::rfc3339(time));
        }
    }
    line("encrypted", if stream.is_encrypted { "yes" } else { "no" });
    line("fed by", &origin_label(&stream.origin));
    for table in tables {
        line("", &format!("DynamoDB table {table}"));
    }
    for destination in &stream.destinations {
        for processor in processor_labels(destination) {
            line("goes through", &processor);
        }
        line("delivers to", &sink_label(&destination.sink));
        if let Some(backup) = &destination.backup {
            line("copies", &format!("s3://{}/{}", backup.bucket, backup.prefix));
        }
        if let Some(schema) = &destination.schema {
            line("columns of", &format!("Glue {}.{}", schema.database, schema.table));
        }
    }
    text
}

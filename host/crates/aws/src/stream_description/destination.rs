//! Reads a destination of a stream's description. A destination that is unknown or incomplete
//! becomes an unsupported one; secrets in it are not read.

use super::{
    Destination, DestinationKind, Processor, RecordSplit, Rotation, S3Place, Schema, SearchEngine,
    Sink, Table, address,
};
use crate::Arn;
use crate::fields::{Fields, unknown_word};

const EXTENDED_S3: &str = "ExtendedS3DestinationDescription";
const S3: &str = "S3DestinationDescription";

/// A newline as Firehose wants it: base64.
const NEWLINE: &str = "Cg==";

/// What one entry of the list says: one destination, as far as is known today.
pub(super) fn read(entry: Fields<'_>) -> Vec<Destination> {
    let id = entry.text("DestinationId").unwrap_or_default();
    let mut keys: Vec<_> = entry.keys_of_objects().collect();
    if keys.iter().any(is_description) {
        keys.retain(is_description);
    }
    if keys.contains(&EXTENDED_S3) {
        // The plain form repeats what the extended one says.
        keys.retain(|&key| key != S3);
    }
    if keys.is_empty() {
        return vec![Destination::bare(id, "", unsupported("a destination without a description"))];
    }
    keys.into_iter().map(|key| read_described(id, key, entry.inner(key))).collect()
}

fn is_description(key: &&str) -> bool {
    key.ends_with("DestinationDescription")
}

fn read_described(id: &str, key: &str, described: Fields<'_>) -> Destination {
    let sink = match DestinationKind::of_key(key) {
        DestinationKind::S3 => place(described).map(Sink::S3),
        DestinationKind::Redshift => redshift(described),
        DestinationKind::OpenSearch => search(SearchEngine::OpenSearch, described),
        DestinationKind::OpenSearchServerless => {
            search(SearchEngine::OpenSearchServerless, described)
        }
        DestinationKind::Elasticsearch => search(SearchEngine::Elasticsearch, described),
        DestinationKind::Splunk => splunk(described),
        DestinationKind::HttpEndpoint => http(described),
        DestinationKind::Iceberg => Some(iceberg(described)),
        DestinationKind::Snowflake => snowflake(described),
        DestinationKind::LocalFile | DestinationKind::Unknown => None,
    };
    let conversion = described.object("DataFormatConversionConfiguration").filter(is_on);
    let partitioning = described.object("DynamicPartitioningConfiguration").filter(is_on);
    Destination {
        processors: processors(described),
        backup: backup(described),
        schema: conversion.and_then(schema),
        converts_format: conversion.is_some(),
        partitions_dynamically: partitioning.is_some(),
        ..Destination::bare(id, &unknown_word(key), sink.unwrap_or_else(|| unsupported(key)))
    }
}

/// Whether what is configured is in force, which it is unless it is said to be off.
fn is_on(configuration: &Fields<'_>) -> bool {
    configuration.is("Enabled") != Some(false)
}

fn unsupported(what: &str) -> Sink {
    Sink::Unsupported { what: unknown_word(what) }
}

fn place(s3: Fields<'_>) -> Option<S3Place> {
    let bucket = s3.text("BucketARN")?;
    let bucket = Arn::parse(bucket).map_or_else(|| bucket.to_owned(), |arn| arn.resource);
    Some(S3Place { bucket, prefix: s3.owned("Prefix").unwrap_or_default() })
}

fn redshift(described: Fields<'_>) -> Option<Sink> {
    let address::Jdbc { url, host, database } = address::jdbc(described.text("ClusterJDBCURL")?)?;
    let table = described.inner("CopyCommand").owned("DataTableName")?;
    Some(Sink::Redshift { url, host, database, table })
}

fn search(engine: SearchEngine, described: Fields<'_>) -> Option<Sink> {
    let endpoint = described.text("ClusterEndpoint").or(described.text("CollectionEndpoint"));
    let rotation = match described.text("IndexRotationPeriod") {
        Some("OneHour") => Rotation::Hour,
        Some("OneDay") => Rotation::Day,
        Some("OneWeek") => Rotation::Week,
        Some("OneMonth") => Rotation::Month,
        _ => Rotation::None,
    };
    Some(Sink::Search {
        engine,
        domain: described.arn("DomainARN"),
        endpoint: endpoint.and_then(address::http),
        index: described.owned("IndexName")?,
        rotation,
    })
}

fn splunk(described: Fields<'_>) -> Option<Sink> {
    Some(Sink::Splunk { endpoint: address::http(described.text("HECEndpoint")?)? })
}

fn http(described: Fields<'_>) -> Option<Sink> {
    let endpoint = described.inner("EndpointConfiguration");
    Some(Sink::Http { name: endpoint.owned("Name"), url: address::http(endpoint.text("Url")?)? })
}

fn snowflake(described: Fields<'_>) -> Option<Sink> {
    let account = address::http(described.text("AccountUrl")?)?;
    let (database, schema) = (described.owned("Database"), described.owned("Schema"));
    Some(Sink::Snowflake {
        account,
        table: Table { database, schema, name: described.owned("Table")? },
    })
}

fn iceberg(described: Fields<'_>) -> Sink {
    let tables = described.objects("DestinationTableConfigurationList").filter_map(|table| {
        let schema = table.owned("DestinationDatabaseName");
        Some(Table { database: None, schema, name: table.owned("DestinationTableName")? })
    });
    Sink::Iceberg {
        catalog: described.inner("CatalogConfiguration").arn("CatalogARN"),
        tables: tables.collect(),
    }
}

fn processors(described: Fields<'_>) -> Vec<Processor> {
    let processing = described.object("ProcessingConfiguration").filter(is_on);
    let listed = processing.into_iter().flat_map(|processing| processing.objects("Processors"));
    listed.map(processor).collect()
}

/// Of its parameters, which may hold secrets, no more is kept than is known.
fn processor(processor: Fields<'_>) -> Processor {
    let named = |name| {
        let mut parameters = processor.objects("Parameters");
        parameters.find(|parameter| parameter.text("ParameterName") == Some(name))
    };
    let value = |name| named(name).and_then(|parameter| parameter.text("ParameterValue"));
    let kind = processor.text("Type").unwrap_or("unknown");
    let splits_at = || match value("SubRecordType") {
        Some("JSON") => RecordSplit::Json,
        Some("DELIMITED") if value("Delimiter") == Some(NEWLINE) => RecordSplit::Newline,
        _ => RecordSplit::Other,
    };
    Processor {
        kind: unknown_word(kind),
        lambda: named("LambdaArn").and_then(|parameter| parameter.arn("ParameterValue")),
        splits_at: (kind == "RecordDeAggregation").then(splits_at),
    }
}

/// Beside copies of everything, where there are any, what failed goes to the bucket
/// that all but S3 need.
fn backup(described: Fields<'_>) -> Option<S3Place> {
    let is_off = described.text("S3BackupMode") == Some("Disabled");
    let copies = described.object("S3BackupDescription").filter(|_| !is_off);
    copies.or(described.object(S3)).and_then(place)
}

fn schema(conversion: Fields<'_>) -> Option<Schema> {
    let schema = conversion.object("SchemaConfiguration")?;
    Some(Schema {
        catalog: schema.owned("CatalogId"),
        database: schema.owned("DatabaseName")?,
        table: schema.owned("TableName")?,
        region: schema.owned("Region"),
    })
}

//! Reads a destination in a stream's description. An unknown or incomplete destination becomes an
//! unsupported one. Secrets in it are not read.

use super::{
    Destination, DestinationKind, GlueSchema, IndexRotation, Processor, RecordSplit, S3Location,
    SearchEngine, Sink, TableName, address,
};
use crate::Arn;
use crate::fields::{JsonFields, unknown_word};

const EXTENDED_S3: &str = "ExtendedS3DestinationDescription";
const S3: &str = "S3DestinationDescription";

/// A newline in base64, as Firehose expects it.
const NEWLINE: &str = "Cg==";

/// Reads one entry of the list. Currently, an entry is one destination.
pub(super) fn read_destinations(entry: JsonFields<'_>) -> Vec<Destination> {
    let id = entry.text("DestinationId").unwrap_or_default();
    let mut keys: Vec<_> = entry.keys_of_objects().collect();
    if keys.iter().any(is_description) {
        keys.retain(is_description);
    }
    if keys.contains(&EXTENDED_S3) {
        // The plain form repeats the contents of the extended one.
        keys.retain(|&key| key != S3);
    }
    if keys.is_empty() {
        return vec![Destination::bare(
            id,
            "",
            unsupported_sink("a destination without a description"),
        )];
    }
    keys.into_iter().map(|key| read_described(id, key, entry.inner(key))).collect()
}

fn is_description(key: &&str) -> bool {
    key.ends_with("DestinationDescription")
}

fn read_described(id: &str, key: &str, described: JsonFields<'_>) -> Destination {
    let sink = match DestinationKind::of_key(key) {
        DestinationKind::S3 => read_s3_location(described).map(Sink::S3),
        DestinationKind::Redshift => read_redshift(described),
        DestinationKind::OpenSearch => read_search(SearchEngine::OpenSearch, described),
        DestinationKind::OpenSearchServerless => {
            read_search(SearchEngine::OpenSearchServerless, described)
        }
        DestinationKind::Elasticsearch => read_search(SearchEngine::Elasticsearch, described),
        DestinationKind::Splunk => read_splunk(described),
        DestinationKind::HttpEndpoint => read_http(described),
        DestinationKind::Iceberg => Some(read_iceberg(described)),
        DestinationKind::Snowflake => read_snowflake(described),
        DestinationKind::LocalFile | DestinationKind::Unknown => None,
    };
    let conversion = described.object("DataFormatConversionConfiguration").filter(is_on);
    let partitioning = described.object("DynamicPartitioningConfiguration").filter(is_on);
    Destination {
        processors: read_processors(described),
        backup: read_backup(described),
        schema: conversion.and_then(read_schema),
        converts_format: conversion.is_some(),
        partitions_dynamically: partitioning.is_some(),
        compression: read_compression(described),
        file_extension: described.owned("FileExtension").filter(|extension| !extension.is_empty()),
        ..Destination::bare(id, &unknown_word(key), sink.unwrap_or_else(|| unsupported_sink(key)))
    }
}

/// Whether a configuration is active, which is the default.
fn is_on(configuration: &JsonFields<'_>) -> bool {
    configuration.is("Enabled") != Some(false)
}

fn unsupported_sink(what: &str) -> Sink {
    Sink::Unsupported { what: unknown_word(what) }
}

fn read_s3_location(s3: JsonFields<'_>) -> Option<S3Location> {
    let bucket = s3.text("BucketARN")?;
    let bucket = Arn::parse(bucket).map_or_else(|| bucket.to_owned(), |arn| arn.resource);
    Some(S3Location { bucket, prefix: s3.owned("Prefix").unwrap_or_default() })
}

fn read_redshift(described: JsonFields<'_>) -> Option<Sink> {
    let address::Jdbc { url, host, database } =
        address::redact_jdbc_url(described.text("ClusterJDBCURL")?)?;
    let table = described.inner("CopyCommand").owned("DataTableName")?;
    Some(Sink::Redshift { url, host, database, table })
}

fn read_search(engine: SearchEngine, described: JsonFields<'_>) -> Option<Sink> {
    let endpoint = described.text("ClusterEndpoint").or(described.text("CollectionEndpoint"));
    let rotation = match described.text("IndexRotationPeriod") {
        Some("OneHour") => IndexRotation::Hour,
        Some("OneDay") => IndexRotation::Day,
        Some("OneWeek") => IndexRotation::Week,
        Some("OneMonth") => IndexRotation::Month,
        _ => IndexRotation::None,
    };
    Some(Sink::Search {
        engine,
        domain: described.arn("DomainARN"),
        endpoint: endpoint.and_then(address::redact_http_url),
        index: described.owned("IndexName")?,
        rotation,
    })
}

fn read_splunk(described: JsonFields<'_>) -> Option<Sink> {
    Some(Sink::Splunk { endpoint: address::redact_http_url(described.text("HECEndpoint")?)? })
}

fn read_http(described: JsonFields<'_>) -> Option<Sink> {
    let endpoint = described.inner("EndpointConfiguration");
    Some(Sink::Http {
        name: endpoint.owned("Name"),
        url: address::redact_http_url(endpoint.text("Url")?)?,
    })
}

fn read_snowflake(described: JsonFields<'_>) -> Option<Sink> {
    let account = address::redact_http_url(described.text("AccountUrl")?)?;
    let (database, schema) = (described.owned("Database"), described.owned("Schema"));
    Some(Sink::Snowflake {
        account,
        table: TableName { database, schema, name: described.owned("Table")? },
    })
}

fn read_iceberg(described: JsonFields<'_>) -> Sink {
    let tables = described.objects("DestinationTableConfigurationList").filter_map(|table| {
        let schema = table.owned("DestinationDatabaseName");
        Some(TableName { database: None, schema, name: table.owned("DestinationTableName")? })
    });
    Sink::Iceberg {
        catalog: described.inner("CatalogConfiguration").arn("CatalogARN"),
        tables: tables.collect(),
    }
}

fn read_processors(described: JsonFields<'_>) -> Vec<Processor> {
    let processing = described.object("ProcessingConfiguration").filter(is_on);
    let listed = processing.into_iter().flat_map(|processing| processing.objects("Processors"));
    listed.map(read_processor).collect()
}

/// Reads a processor. Only known parameters are kept, because others may contain secrets.
fn read_processor(processor: JsonFields<'_>) -> Processor {
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

/// Reads the place of backup copies of all records, or the bucket for failed records, which all
/// destinations except S3 require.
fn read_backup(described: JsonFields<'_>) -> Option<S3Location> {
    let is_off = described.text("S3BackupMode") == Some("Disabled");
    let copies = described.object("S3BackupDescription").filter(|_| !is_off);
    copies.or(described.object(S3)).and_then(read_s3_location)
}

/// Reads how Firehose compresses objects. For most destinations, these are the objects of failed
/// records.
fn read_compression(described: JsonFields<'_>) -> Option<String> {
    described.text("CompressionFormat").filter(|format| *format != "UNCOMPRESSED").map(unknown_word)
}

fn read_schema(conversion: JsonFields<'_>) -> Option<GlueSchema> {
    let schema = conversion.object("SchemaConfiguration")?;
    Some(GlueSchema {
        catalog: schema.owned("CatalogId"),
        database: schema.owned("DatabaseName")?,
        table: schema.owned("TableName")?,
        region: schema.owned("Region"),
    })
}

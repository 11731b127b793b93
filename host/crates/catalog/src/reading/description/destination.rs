//! Reads a destination of a stream's description. A destination that is unknown or incomplete
//! becomes an unsupported one; secrets in it are not read.

use super::super::address;
use super::super::fields::{Fields, unknown_word};
use crate::{Arn, Destination, Processor, Rotation, S3Place, Schema, SearchEngine, Sink, Table};

const EXTENDED_S3: &str = "ExtendedS3DestinationDescription";
const S3: &str = "S3DestinationDescription";

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
    let sink = match key {
        EXTENDED_S3 | S3 => place(described).map(Sink::S3),
        "RedshiftDestinationDescription" => redshift(described),
        "ElasticsearchDestinationDescription" => search(SearchEngine::Elasticsearch, described),
        "AmazonopensearchserviceDestinationDescription" => {
            search(SearchEngine::OpenSearch, described)
        }
        "AmazonOpenSearchServerlessDestinationDescription" => {
            search(SearchEngine::OpenSearchServerless, described)
        }
        "SplunkDestinationDescription" => splunk(described),
        "HttpEndpointDestinationDescription" => http(described),
        "SnowflakeDestinationDescription" => snowflake(described),
        "IcebergDestinationDescription" => Some(iceberg(described)),
        _ => None,
    };
    Destination {
        processors: processors(described),
        backup: backup(described),
        schema: schema(described),
        ..Destination::bare(id, key, sink.unwrap_or_else(|| unsupported(key)))
    }
}

impl Destination {
    fn bare(id: &str, key: &str, sink: Sink) -> Self {
        let (id, key) = (id.to_owned(), unknown_word(key));
        Destination { id, key, sink, processors: Vec::new(), backup: None, schema: None }
    }
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
    let processing = described.inner("ProcessingConfiguration");
    if processing.is("Enabled") == Some(false) {
        return Vec::new();
    }
    let read = processing.objects("Processors").map(|processor| {
        let mut parameters = processor.objects("Parameters");
        let lambda =
            parameters.find(|parameter| parameter.text("ParameterName") == Some("LambdaArn"));
        let lambda = lambda.and_then(|lambda| lambda.arn("ParameterValue"));
        Processor { kind: unknown_word(processor.text("Type").unwrap_or("unknown")), lambda }
    });
    read.collect()
}

/// Beside copies of everything, where there are any, what failed goes to the bucket
/// that all but S3 need.
fn backup(described: Fields<'_>) -> Option<S3Place> {
    let is_off = described.text("S3BackupMode") == Some("Disabled");
    let copies = described.object("S3BackupDescription").filter(|_| !is_off);
    copies.or(described.object(S3)).and_then(place)
}

fn schema(described: Fields<'_>) -> Option<Schema> {
    let conversion = described.object("DataFormatConversionConfiguration")?;
    let schema = conversion.object("SchemaConfiguration")?;
    let is_on = conversion.is("Enabled") != Some(false);
    let (database, table) = (schema.owned("DatabaseName")?, schema.owned("TableName")?);
    let (catalog, region) = (schema.owned("CatalogId"), schema.owned("Region"));
    is_on.then_some(Schema { catalog, database, table, region })
}

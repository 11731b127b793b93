//! A delivery stream as it is described, in this program's own types.

use serde::Serialize;

use crate::Arn;

/// A delivery stream. Neither tokens, passwords nor users are kept of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamDescription {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: Arn,
    /// Its status.
    pub status: StreamStatus,
    /// How records come, in Amazon's word: `DirectPut`, `KinesisStreamAsSource`, ...
    pub kind: String,
    /// Which version of it this is.
    pub version: String,
    /// When it was made, in seconds since 1970.
    pub created: Option<f64>,
    /// When it was changed, in seconds since 1970.
    pub updated: Option<f64>,
    /// What feeds it.
    pub origin: StreamOrigin,
    /// Where its records end up: one today, and not more than were described.
    pub destinations: Vec<Destination>,
    /// Whether there are more destinations, which another request returns.
    #[serde(skip)]
    pub has_more_destinations: bool,
    /// Whether records are encrypted at rest.
    pub is_encrypted: bool,
}

/// The status of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamStatus {
    /// Amazon's word: `ACTIVE`, `CREATING`, ...
    pub word: String,
    /// Why it failed, where it did.
    pub failure: Option<String>,
}

/// What feeds a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StreamOrigin {
    /// Producers that write to it.
    DirectPut,
    /// A Kinesis stream.
    Kinesis {
        /// The stream.
        arn: Arn,
    },
    /// A topic of a Kafka cluster.
    Kafka {
        /// The cluster.
        cluster: Arn,
        /// The topic.
        topic: String,
    },
    /// Tables of a database.
    Database {
        /// `MySQL` or `PostgreSQL`.
        engine: String,
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// Names or patterns of the databases that are read.
        databases: Vec<String>,
        /// Names or patterns of the tables that are read.
        tables: Vec<String>,
    },
    /// Something that this program does not know.
    Unsupported {
        /// Amazon's word for it, as far as it has one.
        what: String,
    },
}

/// Where records end up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Destination {
    /// Amazon's id of it.
    pub id: String,
    /// Amazon's key of it, such as `ExtendedS3DestinationDescription`.
    pub key: String,
    /// The place.
    pub sink: Sink,
    /// What is done to records before, in order.
    pub processors: Vec<Processor>,
    /// Where copies, or what failed, are kept: not where records end up.
    pub backup: Option<S3Location>,
    /// The table of Glue whose columns records are given, where they are converted.
    pub schema: Option<GlueSchema>,
    /// Whether records of JSON become Parquet or ORC.
    #[serde(skip)]
    pub converts_format: bool,
    /// Whether records are put into objects by keys that are read out of them.
    #[serde(skip)]
    pub partitions_dynamically: bool,
}

/// The kinds of destinations that Firehose writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestinationKind {
    /// Objects in Amazon S3: records, one after the other.
    S3,
    /// Amazon Redshift, which copies its rows from objects in S3.
    Redshift,
    /// Amazon OpenSearch Service.
    OpenSearch,
    /// Amazon OpenSearch Serverless.
    OpenSearchServerless,
    /// Elasticsearch, as the same service was called before.
    Elasticsearch,
    /// Splunk.
    Splunk,
    /// An HTTP endpoint.
    HttpEndpoint,
    /// Apache Iceberg tables.
    Iceberg,
    /// Snowflake.
    Snowflake,
    /// A file, which a stand-in for Firehose writes.
    LocalFile,
    /// Something that this program does not know.
    Unknown,
}

/// The place where records end up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Sink {
    /// Objects of a bucket.
    S3(S3Location),
    /// A table of Amazon Redshift.
    Redshift {
        /// Its URL, without user, password and parameters.
        url: String,
        /// The host of that.
        host: String,
        /// The database, where the URL has one.
        database: Option<String>,
        /// `TABLE` or `SCHEMA.TABLE`, as it was written.
        table: String,
    },
    /// An index of OpenSearch, Elasticsearch or OpenSearch Serverless.
    Search {
        /// Which of them.
        engine: SearchEngine,
        /// The domain, where it is one of Amazon's.
        domain: Option<Arn>,
        /// The endpoint, where it is known.
        endpoint: Option<String>,
        /// The index, without what rotation adds.
        index: String,
        /// How often another index is begun.
        rotation: IndexRotation,
    },
    /// A table of Snowflake.
    Snowflake {
        /// The account's URL.
        account: String,
        /// The table.
        table: TableName,
    },
    /// Tables of Apache Iceberg.
    Iceberg {
        /// The catalog of Glue.
        catalog: Option<Arn>,
        /// The tables: `schema` is Glue's database.
        tables: Vec<TableName>,
    },
    /// Splunk.
    Splunk {
        /// The collector's URL.
        endpoint: String,
    },
    /// An HTTP endpoint.
    Http {
        /// Its name, where it has one.
        name: Option<String>,
        /// Its URL, without user, password and parameters.
        url: String,
    },
    /// Something that this program does not know.
    Unsupported {
        /// Amazon's key for it, as far as it has one.
        what: String,
    },
}

/// Objects of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct S3Location {
    /// The bucket.
    pub bucket: String,
    /// What stands before names of objects, as it was written; expressions
    /// `!{...}` and all.
    pub prefix: String,
}

/// What is done to records on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Processor {
    /// Amazon's word: `Lambda`, `MetadataExtraction`, ...
    pub kind: String,
    /// The function, where it is one.
    pub lambda: Option<Arn>,
    /// Where it splits records; only `RecordDeAggregation` does.
    #[serde(skip)]
    pub splits_at: Option<RecordSplit>,
}

/// Where `RecordDeAggregation` splits records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordSplit {
    /// Between JSON objects, with or without newlines between them.
    Json,
    /// At newlines.
    Newline,
    /// At something else.
    Other,
}

/// A table of Glue that columns are taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GlueSchema {
    /// The account of the catalog, where it is another's.
    pub catalog: Option<String>,
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
    /// Where the catalog is.
    pub region: Option<String>,
}

/// The full name of a table; what is not known is none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct TableName {
    /// The database.
    pub database: Option<String>,
    /// The schema.
    pub schema: Option<String>,
    /// The table.
    pub name: String,
}

/// What keeps an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchEngine {
    /// A domain of Amazon OpenSearch Service.
    OpenSearch,
    /// A collection of Amazon OpenSearch Serverless.
    OpenSearchServerless,
    /// A domain of Elasticsearch.
    Elasticsearch,
}

/// How often another index is begun; its name is the index's with the date behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexRotation {
    /// Never.
    None,
    /// `-YYYY-MM-DD-HH`.
    Hour,
    /// `-YYYY-MM-DD`.
    Day,
    /// `-YYYY-wWW`.
    Week,
    /// `-YYYY-MM`.
    Month,
}

impl StreamDescription {
    /// Whether records are changed by a function on the way: their columns are not
    /// those of what feeds the stream.
    pub fn has_function(&self) -> bool {
        let mut processors = self.destinations.iter().flat_map(|to| &to.processors);
        processors.any(|processor| processor.lambda.is_some() || processor.kind == "Lambda")
    }

    /// An active stream that takes records, for stand-ins of Firehose.
    pub fn stand_in(name: &str, destinations: Vec<Destination>) -> Self {
        let arn = Arn::parse(&format!("arn:aws:firehose:::deliverystream/{name}"));
        StreamDescription {
            name: name.to_owned(),
            arn: arn.expect("it has all parts"),
            status: StreamStatus { word: "ACTIVE".to_owned(), failure: None },
            kind: "DirectPut".to_owned(),
            version: "1".to_owned(),
            created: None,
            updated: None,
            origin: StreamOrigin::DirectPut,
            destinations,
            has_more_destinations: false,
            is_encrypted: false,
        }
    }

    /// Whether it accepts records.
    pub fn is_active(&self) -> bool {
        self.status.word == "ACTIVE"
    }

    /// Whether records come by requests, and not from a source of its own.
    pub fn takes_requests(&self) -> bool {
        self.kind == "DirectPut"
    }
}

impl Destination {
    /// A destination of which no more is known than what AWS calls it.
    pub fn bare(id: &str, key: &str, sink: Sink) -> Self {
        Destination {
            id: id.to_owned(),
            key: key.to_owned(),
            sink,
            processors: Vec::new(),
            backup: None,
            schema: None,
            converts_format: false,
            partitions_dynamically: false,
        }
    }

    /// A destination of this kind at an unknown place, for stand-ins of Firehose.
    pub fn stand_in(kind: DestinationKind) -> Self {
        let key = kind.key();
        Destination::bare("", key, Sink::Unsupported { what: key.to_owned() })
    }

    /// What it is. It is known also where the place itself was not described.
    pub fn kind(&self) -> DestinationKind {
        DestinationKind::of_key(&self.key)
    }
}

impl DestinationKind {
    /// All that are known, each with AWS's key. S3 has two, of which the second shows less.
    const KEYS: [(DestinationKind, &str); 11] = [
        (DestinationKind::S3, "ExtendedS3DestinationDescription"),
        (DestinationKind::S3, "S3DestinationDescription"),
        (DestinationKind::Redshift, "RedshiftDestinationDescription"),
        (DestinationKind::OpenSearch, "AmazonopensearchserviceDestinationDescription"),
        (DestinationKind::OpenSearchServerless, "AmazonOpenSearchServerlessDestinationDescription"),
        (DestinationKind::Elasticsearch, "ElasticsearchDestinationDescription"),
        (DestinationKind::Splunk, "SplunkDestinationDescription"),
        (DestinationKind::HttpEndpoint, "HttpEndpointDestinationDescription"),
        (DestinationKind::Iceberg, "IcebergDestinationDescription"),
        (DestinationKind::Snowflake, "SnowflakeDestinationDescription"),
        (DestinationKind::LocalFile, "LocalFile"),
    ];

    /// The kind that AWS calls so.
    pub fn of_key(key: &str) -> Self {
        let known = Self::KEYS.into_iter().find(|(_, known)| *known == key);
        known.map_or(DestinationKind::Unknown, |(kind, _)| kind)
    }

    /// AWS's key of it in a description.
    fn key(self) -> &'static str {
        let known = Self::KEYS.into_iter().find(|(kind, _)| *kind == self);
        known.map_or("UnknownDestinationDescription", |(_, key)| key)
    }
}

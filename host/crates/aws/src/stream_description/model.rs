//! The description of a delivery stream, in types of this crate.

use serde::Serialize;

use crate::Arn;

/// A delivery stream. Tokens, passwords and user names are discarded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamDescription {
    /// The stream's name.
    pub name: String,
    /// The stream's ARN.
    pub arn: Arn,
    /// The stream's status.
    pub status: StreamStatus,
    /// How the stream receives records, in AWS's term: `DirectPut`, `KinesisStreamAsSource`, ...
    pub kind: String,
    /// The version of the stream's description.
    pub version: String,
    /// When the stream was created, in seconds since 1970.
    pub created: Option<f64>,
    /// When the stream was last changed, in seconds since 1970.
    pub updated: Option<f64>,
    /// The source of the stream's records.
    pub origin: StreamOrigin,
    /// The destinations of the stream: currently one, and only those in the response.
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
    /// AWS's term: `ACTIVE`, `CREATING`, ...
    pub word: String,
    /// Why the stream failed, if it did.
    pub failure: Option<String>,
}

/// The source of a stream's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StreamOrigin {
    /// Producers that call the API.
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
    /// A source that this program does not know.
    Unsupported {
        /// AWS's term for it, if there is one.
        what: String,
    },
}

/// A destination of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Destination {
    /// AWS's id of the destination.
    pub id: String,
    /// AWS's key of the destination, such as `ExtendedS3DestinationDescription`.
    pub key: String,
    /// The place of the records.
    pub sink: Sink,
    /// Transformations of the records before delivery, in order.
    pub processors: Vec<Processor>,
    /// The place of backup copies or failed records. It is not a destination.
    pub backup: Option<S3Location>,
    /// The Glue table with the columns for converted records, if there is one.
    pub schema: Option<GlueSchema>,
    /// Whether JSON records are converted to Parquet or ORC.
    #[serde(skip)]
    pub converts_format: bool,
    /// Whether dynamic partitioning is enabled: keys from the records determine their objects.
    #[serde(skip)]
    pub partitions_dynamically: bool,
    /// How Firehose compresses objects in S3, in AWS's term: `GZIP`, ... `None` if it does not.
    #[serde(skip)]
    pub compression: Option<String>,
    /// The end of the names of objects in S3, if it is set.
    #[serde(skip)]
    pub file_extension: Option<String>,
}

/// The kinds of destinations that Firehose writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestinationKind {
    /// Objects in Amazon S3 with concatenated records.
    S3,
    /// Amazon Redshift, which copies its rows from objects in S3.
    Redshift,
    /// Amazon OpenSearch Service.
    OpenSearch,
    /// Amazon OpenSearch Serverless.
    OpenSearchServerless,
    /// Elasticsearch, the former name of the same service.
    Elasticsearch,
    /// Splunk.
    Splunk,
    /// An HTTP endpoint.
    HttpEndpoint,
    /// Apache Iceberg tables.
    Iceberg,
    /// Snowflake.
    Snowflake,
    /// A file that a stand-in for Firehose writes.
    LocalFile,
    /// A kind that this program does not know.
    Unknown,
}

/// The place of the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Sink {
    /// Objects in a bucket.
    S3(S3Location),
    /// A table of Amazon Redshift.
    Redshift {
        /// The cluster's URL, without user, password and parameters.
        url: String,
        /// The host in the URL.
        host: String,
        /// The database in the URL, if there is one.
        database: Option<String>,
        /// `TABLE` or `SCHEMA.TABLE`, as in the description.
        table: String,
    },
    /// An index of OpenSearch, Elasticsearch or OpenSearch Serverless.
    Search {
        /// The search engine.
        engine: SearchEngine,
        /// The domain, if it is one of AWS.
        domain: Option<Arn>,
        /// The endpoint, if it is known.
        endpoint: Option<String>,
        /// The index, without the suffix of a rotation.
        index: String,
        /// How often a new index is started.
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
        /// The endpoint's name, if it has one.
        name: Option<String>,
        /// The endpoint's URL, without user, password and parameters.
        url: String,
    },
    /// A destination that this program does not know.
    Unsupported {
        /// AWS's key for it, if there is one.
        what: String,
    },
}

/// Objects in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct S3Location {
    /// The bucket.
    pub bucket: String,
    /// The prefix of object names, as in the description, including expressions `!{...}`.
    pub prefix: String,
}

/// A transformation of the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Processor {
    /// AWS's term: `Lambda`, `MetadataExtraction`, ...
    pub kind: String,
    /// The function, if the processor is a Lambda function.
    pub lambda: Option<Arn>,
    /// Where the processor splits records. Only `RecordDeAggregation` splits them.
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
    /// At another delimiter.
    Other,
}

/// A Glue table whose columns are used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GlueSchema {
    /// The account of the catalog, if it is another account.
    pub catalog: Option<String>,
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
    /// The region of the catalog.
    pub region: Option<String>,
}

/// The full name of a table. Unknown parts are `None`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct TableName {
    /// The database.
    pub database: Option<String>,
    /// The schema.
    pub schema: Option<String>,
    /// The table.
    pub name: String,
}

/// The search engine of an index.
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

/// How often a new index is started. Its name ends with the date.
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
    /// Whether a function transforms the records. Their columns then differ from those of the
    /// source.
    pub fn has_function(&self) -> bool {
        let mut processors = self.destinations.iter().flat_map(|to| &to.processors);
        processors.any(|processor| processor.lambda.is_some() || processor.kind == "Lambda")
    }

    /// An active stream that accepts records, for stand-ins of Firehose.
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

    /// Whether the stream accepts records.
    pub fn is_active(&self) -> bool {
        self.status.word == "ACTIVE"
    }

    /// Whether the stream receives records by API requests, and not from its own source.
    pub fn takes_requests(&self) -> bool {
        self.kind == "DirectPut"
    }
}

impl Destination {
    /// A destination of which only AWS's key is known.
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
            compression: None,
            file_extension: None,
        }
    }

    /// A destination of this kind at an unknown place, for stand-ins of Firehose.
    pub fn stand_in(kind: DestinationKind) -> Self {
        let key = kind.key();
        Destination::bare("", key, Sink::Unsupported { what: key.to_owned() })
    }

    /// The kind of the destination. It is known even if the place is not described.
    pub fn kind(&self) -> DestinationKind {
        DestinationKind::of_key(&self.key)
    }
}

impl DestinationKind {
    /// All known kinds, each with AWS's key. S3 has two keys, and the description under the second
    /// one is shorter.
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

    /// The kind for AWS's key.
    pub fn of_key(key: &str) -> Self {
        let known = Self::KEYS.into_iter().find(|(_, known)| *known == key);
        known.map_or(DestinationKind::Unknown, |(kind, _)| kind)
    }

    /// AWS's key for this kind in a description.
    fn key(self) -> &'static str {
        let known = Self::KEYS.into_iter().find(|(kind, _)| *kind == self);
        known.map_or("UnknownDestinationDescription", |(_, key)| key)
    }
}

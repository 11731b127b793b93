//! What was found in an account: delivery streams with their origins and destinations, as the
//! catalog needs them. Tokens, passwords and users are not kept.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Arn, Rotation, SearchEngine, Table};

/// What was found in an account and a region.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Inventory {
    /// Whose the streams are; none where nobody told.
    pub account: Option<String>,
    /// Where they are.
    pub region: String,
    /// The streams that were read, by name.
    pub streams: Vec<Stream>,
    /// Those that the patterns left out.
    pub filtered: Vec<String>,
    /// Those that were listed and could not be read.
    pub unread: Vec<Unread>,
    /// Those that went between the list and their description.
    pub vanished: Vec<String>,
    /// Whether the list was read to its end. Nothing may be deleted by one that
    /// was not.
    pub is_complete: bool,
    /// The DynamoDB tables whose changes feed a Kinesis stream, by the stream.
    #[serde(skip)]
    pub tables: BTreeMap<Arn, Vec<Arn>>,
    /// What else a person should know, such as tables that could not be looked at.
    pub warnings: Vec<String>,
}

/// A stream that was listed and could not be read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unread {
    /// The stream.
    pub name: String,
    /// Why.
    pub cause: String,
}

/// A delivery stream. Neither tokens, passwords nor users are kept of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: Arn,
    /// How it does.
    pub status: Status,
    /// How records come, in Amazon's word: `DirectPut`, `KinesisStreamAsSource`, ...
    pub kind: String,
    /// Which version of it this is.
    pub version: String,
    /// When it was made, in seconds since 1970.
    pub created: Option<f64>,
    /// When it was changed, in seconds since 1970.
    pub updated: Option<f64>,
    /// What feeds it.
    pub origin: Origin,
    /// Where its records end up: one today, and not more than were described.
    pub destinations: Vec<Destination>,
    /// Whether records are encrypted at rest.
    pub is_encrypted: bool,
}

/// How a stream does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Amazon's word: `ACTIVE`, `CREATING`, ...
    pub word: String,
    /// Why it failed, where it did.
    pub failure: Option<String>,
}

/// What feeds a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Origin {
    /// Whoever writes to it.
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
    pub backup: Option<S3Place>,
    /// The table of Glue whose columns records are given, where they are converted.
    pub schema: Option<Schema>,
}

/// The place where records end up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Sink {
    /// Objects of a bucket.
    S3(S3Place),
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
        /// The endpoint, where it was told.
        endpoint: Option<String>,
        /// The index, without what rotation adds.
        index: String,
        /// How often another index is begun.
        rotation: Rotation,
    },
    /// A table of Snowflake.
    Snowflake {
        /// The account's URL.
        account: String,
        /// The table.
        table: Table,
    },
    /// Tables of Apache Iceberg.
    Iceberg {
        /// The catalog of Glue.
        catalog: Option<Arn>,
        /// The tables: `schema` is Glue's database.
        tables: Vec<Table>,
    },
    /// Splunk.
    Splunk {
        /// The collector's URL.
        endpoint: String,
    },
    /// Something that takes HTTP.
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
pub struct S3Place {
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
}

/// A table of Glue that columns are taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Schema {
    /// The account of the catalog, where it is another's.
    pub catalog: Option<String>,
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
    /// Where the catalog is.
    pub region: Option<String>,
}

impl Stream {
    /// Whether records are changed by a function on the way: their columns are not
    /// those of what feeds the stream.
    pub fn has_function(&self) -> bool {
        let mut processors = self.destinations.iter().flat_map(|to| &to.processors);
        processors.any(|processor| processor.lambda.is_some() || processor.kind == "Lambda")
    }
}

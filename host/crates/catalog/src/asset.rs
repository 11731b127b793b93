//! The nodes of the lineage graph: all places and transports of data, from events to tables, with
//! their identifiers.

use serde::Serialize;

use standpipe_aws::{Arn, IndexRotation, SearchEngine, TableName};

/// A node of the graph: a place or a transport of data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Asset {
    /// Events that the plugin treats alike.
    Events {
        /// The label of the events: `track "Order Completed"`, `page`, `all others`.
        label: String,
    },
    /// A delivery stream. If only the plugin names it, it has no ARN.
    DeliveryStream {
        /// The stream's name.
        name: String,
        /// The stream's ARN.
        arn: Option<Arn>,
    },
    /// A Kinesis stream.
    KinesisStream {
        /// The stream's ARN.
        arn: Arn,
    },
    /// A topic of a Kafka cluster.
    KafkaTopic {
        /// The cluster.
        cluster: Arn,
        /// The topic.
        topic: String,
    },
    /// A DynamoDB table.
    DynamoTable {
        /// The table's ARN.
        arn: Arn,
    },
    /// Tables of MySQL or PostgreSQL.
    DatabaseTables {
        /// `MySQL` or `PostgreSQL`.
        engine: String,
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// A name or pattern of databases.
        database: String,
        /// A name or pattern of tables.
        table: String,
    },
    /// Objects in an S3 bucket.
    Objects {
        /// The bucket.
        bucket: String,
        /// The common prefix of their names, without a `/` at its end: the part before the first
        /// expression, cut at its last `/`.
        prefix: String,
        /// The prefix as written in the description.
        written: String,
    },
    /// A Redshift table.
    RedshiftTable {
        /// The host of the cluster or workgroup.
        host: String,
        /// The table.
        table: TableName,
    },
    /// A Snowflake table.
    SnowflakeTable {
        /// The account's URL.
        account: String,
        /// The table.
        table: TableName,
    },
    /// A table in the Glue catalog, in Apache Iceberg's format.
    IcebergTable {
        /// The catalog.
        catalog: Option<Arn>,
        /// The table: `schema` is Glue's database.
        table: TableName,
    },
    /// A table in the Glue catalog whose columns are used.
    GlueTable {
        /// The catalog.
        catalog: Arn,
        /// The table: `schema` is Glue's database.
        table: TableName,
    },
    /// An index of OpenSearch or Elasticsearch.
    SearchIndex {
        /// The search engine.
        engine: SearchEngine,
        /// The host, or the domain's ARN if the host is unknown.
        place: String,
        /// The index, without the suffix of a rotation.
        index: String,
        /// How often a new index is started.
        rotation: IndexRotation,
    },
    /// Splunk.
    Splunk {
        /// The collector's URL.
        endpoint: String,
    },
    /// An HTTP endpoint.
    HttpEndpoint {
        /// The endpoint's name, if it has one.
        name: Option<String>,
        /// The endpoint's URL, without user, password and parameters.
        url: String,
    },
    /// An asset that this program does not know.
    Unsupported {
        /// The stream of the asset, which makes the asset unique.
        stream: String,
        /// AWS's term for it.
        what: String,
    },
}

/// The full name of a table, from its known parts.
pub(crate) fn table_name(table: &TableName) -> String {
    let parts = [table.database.as_deref(), table.schema.as_deref(), Some(&*table.name)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(".")
}

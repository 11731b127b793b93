//! The nodes of the lineage graph: everything that data is in or goes through, from events to
//! tables, with what identifies each.

use serde::Serialize;

use standpipe_aws::{Arn, IndexRotation, SearchEngine, TableName};

/// Something that data is in, or goes through: a node of the graph.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Asset {
    /// Events that are alike for the plugin.
    Events {
        /// The plugin's name for them: `track "Order Completed"`, `page`, `all others`.
        label: String,
    },
    /// A delivery stream. One that only the plugin names has no ARN.
    DeliveryStream {
        /// Its name.
        name: String,
        /// Its ARN.
        arn: Option<Arn>,
    },
    /// A Kinesis stream.
    KinesisStream {
        /// Its ARN.
        arn: Arn,
    },
    /// A topic of a Kafka cluster.
    KafkaTopic {
        /// The cluster.
        cluster: Arn,
        /// The topic.
        topic: String,
    },
    /// A table of DynamoDB.
    DynamoTable {
        /// Its ARN.
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
    /// Objects of a bucket of S3.
    Objects {
        /// The bucket.
        bucket: String,
        /// What all of their names begin with, without a `/` at its end: what is
        /// before the first expression of the prefix, cut at its last `/`.
        prefix: String,
        /// The prefix as it was written.
        written: String,
    },
    /// A table of Redshift.
    RedshiftTable {
        /// The cluster's or workgroup's host.
        host: String,
        /// The table.
        table: TableName,
    },
    /// A table of Snowflake.
    SnowflakeTable {
        /// The account's URL.
        account: String,
        /// The table.
        table: TableName,
    },
    /// A table of Glue's catalog, in Apache Iceberg's format.
    IcebergTable {
        /// The catalog.
        catalog: Option<Arn>,
        /// The table: `schema` is Glue's database.
        table: TableName,
    },
    /// A table of Glue's catalog that columns are taken from.
    GlueTable {
        /// The catalog.
        catalog: Arn,
        /// The table: `schema` is Glue's database.
        table: TableName,
    },
    /// An index of OpenSearch or Elasticsearch.
    SearchIndex {
        /// Which of them.
        engine: SearchEngine,
        /// The host, or the domain's ARN if the host is unknown.
        place: String,
        /// The index, without what rotation adds.
        index: String,
        /// How often another index is begun.
        rotation: IndexRotation,
    },
    /// Splunk.
    Splunk {
        /// The collector's URL.
        endpoint: String,
    },
    /// Something that takes HTTP.
    HttpEndpoint {
        /// Its name, where it has one.
        name: Option<String>,
        /// Its URL, without user, password and parameters.
        url: String,
    },
    /// Something that this program does not know.
    Unsupported {
        /// The stream that it belongs to, which makes it unique.
        stream: String,
        /// Amazon's word for it.
        what: String,
    },
}

/// A table's full name, of those parts that are known.
pub(crate) fn table_name(table: &TableName) -> String {
    let parts = [table.database.as_deref(), table.schema.as_deref(), Some(&*table.name)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(".")
}

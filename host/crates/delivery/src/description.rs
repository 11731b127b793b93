//! What delivery needs to know of a stream: its state, destinations and processing steps. Names
//! that are unknown are kept as unknown.

/// What is known about a delivery stream, as far as writing to it and packing
/// depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// Firehose's word for its state, unless it is active.
    pub not_active: Option<String>,
    /// Firehose's word for what feeds it, unless that is requests like ours.
    pub fed_by: Option<String>,
    /// Where the stream writes to.
    pub targets: Vec<Target>,
}

/// One destination of a delivery stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What it is.
    pub kind: TargetKind,
    /// What is done to records on their way there, in any order.
    pub steps: Vec<Step>,
}

/// The kinds of destinations that Firehose writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
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
    /// A file in a local directory, which is not Firehose's at all.
    LocalFile,
    /// Something that this program does not know.
    Unknown,
}

/// Something that Firehose does to records before it delivers them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A function of the customer's is called with records.
    Lambda,
    /// A record is split into several.
    DeAggregation(Split),
    /// Keys for partitions are read out of a record.
    MetadataExtraction,
    /// Records are put into objects by such keys.
    DynamicPartitioning,
    /// Records of JSON become Parquet or ORC.
    FormatConversion,
    /// A record is decompressed.
    Decompression,
    /// A record of CloudWatch Logs is taken apart.
    CloudWatchLogs,
    /// Each record gets a newline at its end.
    AppendDelimiter,
    /// Something that this program does not know, by Firehose's name for it.
    Unknown(String),
}

/// Where records are split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Between JSON objects, with or without newlines between them.
    Json,
    /// At newlines.
    Newline,
    /// At something else.
    Other,
}

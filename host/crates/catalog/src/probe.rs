//! Tests each permission that the catalog needs separately, to name the missing ones.

use serde::Serialize;

use super::discovery::{InventoryReader, STREAMS, TABLES, is_denied, is_gone, streams_fed_by};
use standpipe_aws::AwsError;

/// Attempts of a call that checks a permission while a user waits.
const CATALOG_PROBE_ATTEMPTS_MAX: u32 = 3;

/// A tested permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// The permission, such as `firehose:ListDeliveryStreams`.
    pub action: String,
    /// What requires the permission.
    pub needed_for: String,
    /// Whether nothing works without the permission.
    pub is_mandatory: bool,
    /// The outcome of the test.
    pub outcome: ProbeOutcome,
}

/// The outcome of testing a permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ProbeOutcome {
    /// The permission is granted.
    Granted,
    /// The permission is denied.
    Denied {
        /// The response and the solution.
        message: String,
    },
    /// The permission was not tested, because a resource for the test is missing.
    Untried {
        /// The reason.
        why: String,
    },
    /// The test failed for another reason.
    Failed {
        /// The reason and the solution.
        message: String,
    },
}

impl Probe {
    /// Creates a tested permission.
    pub fn new(action: &str, needed_for: &str, outcome: ProbeOutcome) -> Self {
        let (action, needed_for) = (action.to_owned(), needed_for.to_owned());
        Probe { action, needed_for, is_mandatory: false, outcome }
    }

    /// Marks a permission as required.
    #[must_use]
    pub fn mandatory(self) -> Self {
        Probe { is_mandatory: true, ..self }
    }

    /// Returns whether the permission is missing.
    pub fn is_missing(&self) -> bool {
        matches!(self.outcome, ProbeOutcome::Denied { .. } | ProbeOutcome::Failed { .. })
    }
}

/// Tests the permissions of discovery, each on the first existing resource.
pub async fn probe_reading(reader: &InventoryReader) -> Vec<Probe> {
    let (listed, stream) = list_streams(reader).await;
    let attempts_max = CATALOG_PROBE_ATTEMPTS_MAX;
    let described = match stream {
        Ok(name) => outcome_of(&reader.descriptions.describe_page(attempts_max, &name, None).await),
        Err(why) => untried_outcome(why),
    };
    let (tables_listed, table) = list_tables(reader).await;
    let table_described = match table {
        Ok(name) => outcome_of(&streams_fed_by(&name, &reader.dynamodb, attempts_max).await),
        Err(why) => untried_outcome(why),
    };
    let caller = match reader.access.caller_identity().await {
        Ok(_) => ProbeOutcome::Granted,
        Err(error) => ProbeOutcome::Failed { message: error.to_string() },
    };
    vec![
        Probe::new("firehose:ListDeliveryStreams", "finding the delivery streams", listed)
            .mandatory(),
        Probe::new(
            "firehose:DescribeDeliveryStream",
            "what feeds a delivery stream, and where its records end up",
            described,
        ),
        Probe::new(
            "dynamodb:ListTables",
            "finding the DynamoDB tables behind Kinesis streams",
            tables_listed,
        ),
        Probe::new(
            "dynamodb:DescribeKinesisStreamingDestination",
            "the Kinesis streams that a DynamoDB table writes to",
            table_described,
        ),
        Probe::new("sts:GetCallerIdentity", "finding the account that is read", caller),
    ]
}

async fn list_streams(reader: &InventoryReader) -> (ProbeOutcome, Result<String, &'static str>) {
    let listed = STREAMS.first_page(&reader.firehose, CATALOG_PROBE_ATTEMPTS_MAX).await;
    let is_kept = |name: &String| reader.filter.keeps_name(name).unwrap_or(false);
    let none = "no delivery stream matches the patterns";
    (outcome_of(&listed), find_name(listed, is_kept, none))
}

async fn list_tables(reader: &InventoryReader) -> (ProbeOutcome, Result<String, &'static str>) {
    if !reader.walks_tables {
        let why = "the settings turn it off (`dynamodb = false`)";
        return (untried_outcome(why), Err(why));
    }
    let listed = TABLES.first_page(&reader.dynamodb, CATALOG_PROBE_ATTEMPTS_MAX).await;
    (outcome_of(&listed), find_name(listed, |_| true, "there is no DynamoDB table"))
}

/// Returns what a response says about the permission.
fn outcome_of<T>(answer: &Result<T, AwsError>) -> ProbeOutcome {
    match answer {
        Ok(_) => ProbeOutcome::Granted,
        // AWS only returns this error with the permission.
        Err(error) if is_gone(error) => ProbeOutcome::Granted,
        Err(error) if is_denied(error) => ProbeOutcome::Denied { message: error.to_string() },
        Err(error) => ProbeOutcome::Failed { message: error.to_string() },
    }
}

fn untried_outcome(why: &str) -> ProbeOutcome {
    ProbeOutcome::Untried { why: why.to_owned() }
}

fn find_name(
    listed: Result<Vec<String>, AwsError>,
    is_kept: impl Fn(&String) -> bool,
    none: &'static str,
) -> Result<String, &'static str> {
    let names = listed.map_err(|_| "the list failed")?;
    names.into_iter().find(is_kept).ok_or(none)
}

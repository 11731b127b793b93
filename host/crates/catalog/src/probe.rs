//! Tries each permission that the catalog needs, one by one, so that what is
//! missing can be named.

use serde::Serialize;
use serde_json::{Value, json};

use super::reading::{Control, Reader, is_denied, is_gone};
use crate::limits;
use standpipe_aws::AwsError;

/// Attempts of a call where somebody waits for the answer, to learn whether it works at all.
const CATALOG_PROBE_ATTEMPTS_MAX: u32 = 3;

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// What is allowed or not, such as `firehose:ListDeliveryStreams`.
    pub action: String,
    /// What cannot be done without it.
    pub needed_for: String,
    /// Whether nothing works without it.
    pub is_mandatory: bool,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of trying.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It works.
    Granted,
    /// It is not allowed.
    Denied {
        /// The answer, and what to change.
        message: String,
    },
    /// There was nothing to try it on.
    Untried {
        /// Why.
        why: String,
    },
    /// It does not work for another reason.
    Failed {
        /// The reason, and what to change.
        message: String,
    },
}

impl Probe {
    /// Something that was tried and is needed for this.
    pub fn new(action: &str, needed_for: &str, outcome: Outcome) -> Self {
        let (action, needed_for) = (action.to_owned(), needed_for.to_owned());
        Probe { action, needed_for, is_mandatory: false, outcome }
    }

    /// The same where nothing works without it.
    #[must_use]
    pub fn mandatory(self) -> Self {
        Probe { is_mandatory: true, ..self }
    }

    /// Whether it was tried in vain.
    pub fn is_missing(&self) -> bool {
        matches!(self.outcome, Outcome::Denied { .. } | Outcome::Failed { .. })
    }
}

/// Try what reading needs: each on the first thing that there is to try it on.
pub async fn probe_reading(reader: &Reader) -> Vec<Probe> {
    let (listed, streams) = list_streams(reader).await;
    let described = describe_stream(reader, streams).await;
    let (tables_listed, table) = list_tables(reader).await;
    let table_described = describe_table(reader, table).await;
    let caller = match reader.access.caller().await {
        Ok(_) => Outcome::Granted,
        Err(error) => Outcome::Failed { message: error.to_string() },
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
            "which Kinesis streams a DynamoDB table feeds",
            table_described,
        ),
        Probe::new("sts:GetCallerIdentity", "knowing whose account is read", caller),
    ]
}

/// A name to try the next thing on, or why there is none.
type Found = Result<String, &'static str>;

async fn list_streams(reader: &Reader) -> (Outcome, Found) {
    let request = json!({"Limit": limits::CATALOG_PAGE_STREAMS});
    let answer =
        try_one(&reader.firehose, "ListDeliveryStreams", &request, "DeliveryStreamNames").await;
    let is_kept = |name: &str| reader.filter.keeps(name).unwrap_or(false);
    let none = "there is no delivery stream, or none that the patterns keep, to try it on";
    (answer.0, find(answer.1, "/DeliveryStreamNames", is_kept, none))
}

async fn describe_stream(reader: &Reader, stream: Found) -> Outcome {
    match stream {
        Ok(name) => {
            let attempts_max = CATALOG_PROBE_ATTEMPTS_MAX;
            match reader.descriptions.page(attempts_max, &name, None).await {
                Ok(_) => Outcome::Granted,
                Err(error) => outcome_of(&error),
            }
        }
        Err(why) => Outcome::Untried { why: why.to_owned() },
    }
}

async fn list_tables(reader: &Reader) -> (Outcome, Found) {
    if !reader.walks_tables {
        let why = "the settings say not to look for tables";
        return (Outcome::Untried { why: why.to_owned() }, Err(why));
    }
    let answer = try_one(&reader.dynamodb, "ListTables", &json!({"Limit": 1}), "TableNames").await;
    let none = "there is no DynamoDB table to try it on";
    (answer.0, find(answer.1, "/TableNames", |_| true, none))
}

async fn describe_table(reader: &Reader, table: Found) -> Outcome {
    match table {
        Ok(name) => {
            let (operation, request) =
                ("DescribeKinesisStreamingDestination", json!({"TableName": name}));
            let member = "KinesisDataStreamDestinations";
            try_one(&reader.dynamodb, operation, &request, member).await.0
        }
        Err(why) => Outcome::Untried { why: why.to_owned() },
    }
}

/// Try an operation whose answers all have this member.
async fn try_one(
    control: &Control,
    operation: &'static str,
    request: &Value,
    member: &str,
) -> (Outcome, Option<Value>) {
    match control.ask_up_to(CATALOG_PROBE_ATTEMPTS_MAX, operation, request).await {
        Ok(answer) if answer.get(member).is_none_or(Value::is_null) => {
            let error = AwsError::incomplete(format!("the answer has no {member}"));
            (Outcome::Failed { message: error.to_string() }, None)
        }
        Ok(answer) => (Outcome::Granted, Some(answer)),
        Err(error) => (outcome_of(&error), None),
    }
}

/// What an error says of the permission.
fn outcome_of(error: &AwsError) -> Outcome {
    match error {
        // Whoever is told so might have seen it.
        error if is_gone(error) => Outcome::Granted,
        error if is_denied(error) => Outcome::Denied { message: error.to_string() },
        error => Outcome::Failed { message: error.to_string() },
    }
}

fn find(
    answer: Option<Value>,
    pointer: &str,
    is_kept: impl Fn(&str) -> bool,
    none: &'static str,
) -> Found {
    let answer = answer.ok_or("without a list there is nothing to try it on")?;
    let names = answer.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let name = names.filter_map(Value::as_str).find(|name| is_kept(name));
    name.map(str::to_owned).ok_or(none)
}

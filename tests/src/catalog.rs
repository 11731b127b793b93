//! Inputs for the catalog in tests: streams that an emulator of the AWS API has created, and an
//! account with recorded responses.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::endpoint::RecordedRequest;
use crate::moto;

/// The region of the streams that [`make_streams`] creates; other tests use another region.
pub const REGION: &str = "eu-west-2";

/// The streams that an emulator has created.
#[derive(Debug)]
pub struct MadeStreams {
    /// Source and destination of each stream, in AWS's terms.
    pub streams: BTreeMap<String, (String, String)>,
    /// The DynamoDB tables that feed the Kinesis stream.
    pub tables: Vec<String>,
    /// Kinds that the emulator does not support.
    pub refused: Vec<String>,
}

/// A secret that no output may show: it is the value of every secret field.
pub const SECRET: &str = "never-to-be-shown";

/// Creates this number of streams, of every source and destination that the emulator supports.
pub fn make_streams(url: &str, count: usize) -> MadeStreams {
    let output = moto::python_script("catalog.py")
        .arg(count.to_string())
        .env("AWS_ENDPOINT_URL", url)
        // MiniStack accepts only these keys.
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_MAX_ATTEMPTS", "1")
        .stderr(Stdio::inherit())
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "catalog.py failed");
    let made: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let streams = made["streams"].as_object().expect("streams").iter();
    MadeStreams {
        streams: streams
            .map(|(name, kinds)| (name.clone(), (text(&kinds[0]), text(&kinds[1]))))
            .collect(),
        tables: made["tables"].as_array().expect("tables").iter().map(text).collect(),
        refused: made["refused"].as_object().expect("kinds").keys().cloned().collect(),
    }
}

/// An account with recorded responses for [`Endpoint`](crate::Endpoint).
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Descriptions of delivery streams, by name.
    pub streams: BTreeMap<String, Value>,
    /// The `KinesisDataStreamDestinations` of tables, by name.
    pub tables: BTreeMap<String, Value>,
    /// Names in a page of a list. 0 means the requested number.
    pub page: usize,
}

impl Account {
    /// The id of the account.
    pub const ID: &str = "123456789012";

    /// Adds a stream with these fields of its description.
    pub fn add_stream(&mut self, name: &str, fields: &Value) {
        let arn = format!("arn:aws:firehose:{REGION}:{}:deliverystream/{name}", Account::ID);
        let mut described = json!({
            "DeliveryStreamName": name, "DeliveryStreamARN": arn, "DeliveryStreamStatus": "ACTIVE",
            "DeliveryStreamType": "DirectPut", "VersionId": "1", "CreateTimestamp": 1.7e9,
            "Destinations": [], "HasMoreDestinations": false,
        });
        for (key, value) in fields.as_object().expect("fields") {
            described[key] = value.clone();
        }
        self.streams.insert(name.to_owned(), described);
    }

    /// Adds this many streams to S3, named `stream-00000` and so on.
    pub fn add_streams(&mut self, count: usize) {
        for number in 0..count {
            let s3 = json!({"BucketARN": "arn:aws:s3:::bucket", "Prefix": format!("{number}/")});
            let destination = json!({"DestinationId": "d", "ExtendedS3DestinationDescription": s3});
            self.add_stream(
                &format!("stream-{number:05}"),
                &json!({"Destinations": [destination]}),
            );
        }
    }

    /// The successful response to a request.
    pub fn answer_request(&self, asked: &RecordedRequest) -> (u16, String) {
        let input = input_of(asked);
        let name = |key: &str| input[key].as_str().unwrap_or_default().to_owned();
        match operation_of(asked) {
            "ListDeliveryStreams" => {
                let start = name("ExclusiveStartDeliveryStreamName");
                let (names, more) = self.list_page(&self.streams, &start, &input);
                success_response(
                    &json!({"DeliveryStreamNames": names, "HasMoreDeliveryStreams": more}),
                )
            }
            "DescribeDeliveryStream" => match self.streams.get(&name("DeliveryStreamName")) {
                Some(described) => {
                    success_response(&json!({"DeliveryStreamDescription": described}))
                }
                None => error_response(400, "ResourceNotFoundException"),
            },
            "ListTables" => {
                let (names, more) =
                    self.list_page(&self.tables, &name("ExclusiveStartTableName"), &input);
                let last = names.last().filter(|_| more);
                success_response(&json!({"TableNames": names, "LastEvaluatedTableName": last}))
            }
            "DescribeKinesisStreamingDestination" => match self.tables.get(&name("TableName")) {
                Some(fed) => success_response(&json!({"KinesisDataStreamDestinations": fed})),
                None => error_response(400, "ResourceNotFoundException"),
            },
            "GetCallerIdentity" => (200, caller_identity()),
            other => panic!("nobody should ask for {other}"),
        }
    }

    fn list_page(
        &self,
        all: &BTreeMap<String, Value>,
        start: &str,
        input: &Value,
    ) -> (Vec<String>, bool) {
        let limit = input["Limit"].as_u64().and_then(|limit| limit.try_into().ok());
        let limit = limit.unwrap_or(10).min(if self.page == 0 { usize::MAX } else { self.page });
        let mut names = all.keys().filter(|name| name.as_str() > start);
        let page = names.by_ref().take(limit).cloned().collect();
        (page, names.next().is_some())
    }
}

/// The operation of a request, such as `ListTables`.
pub fn operation_of(asked: &RecordedRequest) -> &str {
    match asked.headers.get("x-amz-target") {
        Some(target) => target.rsplit('.').next().expect("an operation"),
        None if asked.body.contains("Action=GetCallerIdentity") => "GetCallerIdentity",
        None => "none",
    }
}

/// The JSON input of a request.
pub fn input_of(asked: &RecordedRequest) -> Value {
    serde_json::from_str(&asked.body).unwrap_or_default()
}

/// An error response with this code.
pub fn error_response(status: u16, code: &str) -> (u16, String) {
    (status, json!({"__type": code, "message": "as the test says"}).to_string())
}

fn success_response(answer: &Value) -> (u16, String) {
    (200, answer.to_string())
}

fn caller_identity() -> String {
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{0}:user/u</Arn><UserId>U</UserId><Account>{0}</Account></GetCallerIdentityResult>\
         </GetCallerIdentityResponse>",
        Account::ID
    )
}

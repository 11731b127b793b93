//! DescribeDeliveryStream of the Firehose stub.

use serde_json::{Value, json};

use super::put::Violation;

pub(super) const TARGET: &str = "Firehose_20150804.DescribeDeliveryStream";

/// What is said of a stream: its destinations, a JSON array as the API has it, or
/// the code of an error.
pub type Described = Result<Value, &'static str>;

/// The stream that is asked about.
pub(super) fn parse_describe(body: &[u8]) -> Result<String, Violation> {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    let stream = body.and_then(|body| Some(body["DeliveryStreamName"].as_str()?.to_owned()));
    stream.ok_or_else(|| ("SerializationException", "the body".to_owned()))
}

/// The answer, with what the API always says.
pub(super) fn describe_body(stream: &str, destinations: &Value) -> Value {
    json!({"DeliveryStreamDescription": {
        "DeliveryStreamName": stream,
        "DeliveryStreamARN": format!("arn:aws:firehose:eu-central-1:123456789012:deliverystream/{stream}"),
        "DeliveryStreamStatus": "ACTIVE",
        "DeliveryStreamType": "DirectPut",
        "VersionId": "1",
        "Destinations": destinations,
        "HasMoreDestinations": false,
    }})
}

//! DescribeDeliveryStream of the Firehose stub.

use serde_json::{Value, json};

use super::put::Violation;

pub(super) const TARGET: &str = "Firehose_20150804.DescribeDeliveryStream";

/// The description of a stream: its destinations as a JSON array of the API, or the code of an
/// error.
pub type Described = Result<Value, &'static str>;

/// Returns the stream of a request.
pub(super) fn parse_describe(body: &[u8]) -> Result<String, Violation> {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    let stream = body.and_then(|body| Some(body["DeliveryStreamName"].as_str()?.to_owned()));
    stream.ok_or_else(|| ("SerializationException", "the body".to_owned()))
}

/// The response with the members that the API always has.
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

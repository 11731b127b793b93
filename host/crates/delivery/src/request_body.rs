//! The body of a `PutRecordBatch` request, written directly from the records.
//!
//! The SDK would copy every record into a separate buffer, encode it as a separate string and
//! escape that into the body. Base64 needs no escaping, and a SIMD encoder writes it directly into
//! the body.

use super::Batch;
use standpipe_core::event::StreamName;

const BEFORE_DATA: &[u8] = b"{\"Data\":\"";
const AFTER_DATA: &[u8] = b"\"}";

/// The request's JSON, in the protocol awsJson 1.1.
pub(super) fn encode_request(stream: &StreamName, batch: &Batch) -> Vec<u8> {
    let mut body = Vec::with_capacity(encoded_size(stream, batch));
    // A stream's name contains no characters that JSON would escape.
    body.extend_from_slice(b"{\"DeliveryStreamName\":\"");
    body.extend_from_slice(stream.as_str().as_bytes());
    body.extend_from_slice(b"\",\"Records\":[");
    for (position, payload) in batch.payloads().enumerate() {
        if position > 0 {
            body.push(b',');
        }
        body.extend_from_slice(BEFORE_DATA);
        base64_simd::STANDARD.encode_append(payload, &mut body);
        body.extend_from_slice(AFTER_DATA);
    }
    body.extend_from_slice(b"]}");
    body
}

fn encoded_size(stream: &StreamName, batch: &Batch) -> usize {
    // Each record may need padding.
    let around = batch.len() * (BEFORE_DATA.len() + AFTER_DATA.len() + 1 + 4);
    64 + stream.as_str().len() + around + batch.payload_bytes().div_ceil(3) * 4
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Provenance;
    use crate::Record;
    use standpipe_core::event::Ack;

    proptest! {
        #[test]
        fn decodes_to_the_records(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..20)) {
            let provenance = Provenance { ack: Ack::new("test".into(), 1, |_| ()), plugin: "".into(), generation: 0 };
            let mut batch = Batch::default();
            for payload in &payloads {
                let record = Record { event: 0, line: 1, text: payload, payload: None };
                batch.push(&provenance, record, b"\n");
            }
            let stream = StreamName::parse("s").unwrap();
            let body = encode_request(&stream, &batch);
            prop_assert!(body.len() <= encoded_size(&stream, &batch));
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(&json["DeliveryStreamName"], "s");
            let records = json["Records"].as_array().unwrap();
            let decoded: Vec<_> = records.iter().map(|record| {
                let data = record["Data"].as_str().unwrap();
                base64_simd::STANDARD.decode_to_vec(data).unwrap()
            }).collect();
            let sent: Vec<_> = payloads.iter().map(|payload| [payload, &b"\n"[..]].concat()).collect();
            prop_assert_eq!(decoded, sent);
        }
    }
}

//! PutRecordBatch of the Firehose stub. The limits and the signature check do not use the program's
//! code, so that a wrong number in the program is detected.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::signature::{self, SignatureScope};

pub(super) const TARGET: &str = "Firehose_20150804.PutRecordBatch";

// Source of the limits: Amazon Data Firehose, PutRecordBatch. They are repeated here, so that a
// wrong number in the program is detected.
const RECORDS_MAX: usize = 500;
const RECORD_BYTES_MAX: usize = 1000 * 1024;
const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A `PutRecordBatch` request.
#[derive(Debug, Clone)]
pub struct PutRequest {
    /// The number of the request, counted from 0.
    pub number: usize,
    /// The delivery stream.
    pub stream: String,
    /// The records.
    pub records: Vec<Vec<u8>>,
    /// The headers, whose names are in lower case.
    pub headers: BTreeMap<String, String>,
    /// The scope of its signature; `None` if the key is not a test's own.
    pub scope: Option<SignatureScope>,
}

/// Why a request is rejected: Firehose's code, and a message.
pub(super) type Violation = (&'static str, String);

impl PutRequest {
    /// Parses a request, and checks the limits of Firehose.
    pub(super) fn parse(headers: BTreeMap<String, String>, body: &[u8]) -> Result<Self, Violation> {
        let scope = check_signature(&headers, body)?;
        let (stream, records) =
            parse_body(body).ok_or_else(|| ("SerializationException", "the body".to_owned()))?;
        check_limits(&records)?;
        Ok(PutRequest { number: 0, stream, records, headers, scope })
    }
}

/// Checks the signature of a request. Returns its scope; `None` if the key is not a test's own.
pub(super) fn check_signature(
    headers: &BTreeMap<String, String>,
    body: &[u8],
) -> Result<Option<SignatureScope>, Violation> {
    let is_ours =
        headers.get("authorization").is_none_or(|value| value.contains(signature::ACCESS_KEY_ID));
    let scope = is_ours.then(|| signature::verify_signature(headers, body)).transpose();
    scope.map_err(|error| ("InvalidSignatureException", error))
}

fn parse_body(body: &[u8]) -> Option<(String, Vec<Vec<u8>>)> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let stream = body["DeliveryStreamName"].as_str()?.to_owned();
    let records = body["Records"].as_array()?.iter();
    let records =
        records.map(|record| base64_simd::STANDARD.decode_to_vec(record["Data"].as_str()?).ok());
    Some((stream, records.collect::<Option<_>>()?))
}

fn check_limits(records: &[Vec<u8>]) -> Result<(), Violation> {
    let (count, bytes) = (records.len(), records.iter().map(Vec::len).sum::<usize>());
    if count == 0 || count > RECORDS_MAX {
        return Err(("ValidationException", format!("{count} records")));
    }
    if bytes > REQUEST_BYTES_MAX {
        return Err(("InvalidArgumentException", format!("{bytes} bytes in a request")));
    }
    match records.iter().map(Vec::len).find(|&bytes| bytes > RECORD_BYTES_MAX) {
        Some(bytes) => Err(("ValidationException", format!("{bytes} bytes in a record"))),
        None => Ok(()),
    }
}

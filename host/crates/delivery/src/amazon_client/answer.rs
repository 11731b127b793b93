//! Reads the response of `PutRecordBatch`, and rejects incomplete ones.
//!
//! A response is only valid if it has the count of failures, one result for each record in the
//! records' order, either an id or an error code in each result, and as many codes as counted
//! failures. Any other response with a success status is invalid: the outcome of the records is
//! then unknown.
//!
//! For each accepted record, Firehose sends an id of about 200 characters, which is not needed.
//! Therefore a response that accepts everything is only scanned, without extracting anything. All
//! other responses are parsed.

use memchr::memchr;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{PutResponse, RecordRefusal};
use standpipe_aws::{InvalidResponse, ResponseDefect, truncate_detail};

/// Reads the response to a request with this number of records.
///
/// # Errors
///
/// Fails if the response does not account for each of them.
pub fn read_put_answer(answer: &[u8], records: usize) -> Result<PutResponse, InvalidResponse> {
    if accepts_all(answer, records).is_some() {
        return Ok(PutResponse::default());
    }
    Ok(parse_response(answer, records)?)
}

/// Scans a response. Returns `None` unless it accepts every record, in exactly the form that
/// Firehose writes. Other forms must be parsed.
fn accepts_all(answer: &[u8], records: usize) -> Option<()> {
    let mut rest = answer.strip_prefix(b"{")?;
    let (mut has_count, mut has_results, mut has_encrypted) = (false, false, false);
    loop {
        let has_member = if let Some(after) = rest.strip_prefix(b"\"FailedPutCount\":0") {
            rest = after;
            &mut has_count
        } else if let Some(after) = rest.strip_prefix(b"\"RequestResponses\":[") {
            rest = skip_ids(after, records)?;
            &mut has_results
        } else {
            let after = rest.strip_prefix(b"\"Encrypted\":")?;
            rest = after.strip_prefix(b"false").or_else(|| after.strip_prefix(b"true"))?;
            &mut has_encrypted
        };
        if std::mem::replace(has_member, true) {
            return None;
        }
        match rest.split_first()? {
            (b',', after) => rest = after,
            (b'}', []) => break,
            _ => return None,
        }
    }
    (has_count && has_results).then_some(())
}

/// Skips a list of this number of results, each with only an id. Returns the rest.
fn skip_ids(mut rest: &[u8], records: usize) -> Option<&[u8]> {
    // The ids of a response nearly always have the same length.
    let mut id_bytes = 0;
    for record in 0..records {
        if record > 0 {
            rest = rest.strip_prefix(b",")?;
        }
        rest = rest.strip_prefix(b"{\"RecordId\":\"")?;
        if rest.get(id_bytes) != Some(&b'"') {
            id_bytes = memchr(b'"', rest)?;
        }
        let (id, after) = rest.split_at(id_bytes);
        if id.is_empty() || !is_plain(id) {
            return None;
        }
        rest = after.strip_prefix(b"\"}")?;
    }
    rest.strip_prefix(b"]")
}

/// Whether these bytes are ASCII without escapes in a JSON string.
fn is_plain(text: &[u8]) -> bool {
    // The loop has no branch per byte, so that one instruction processes many bytes. As a signed
    // number, a byte above ASCII is below all of ASCII.
    let is_plain = |byte: u8| (byte.cast_signed() >= 0x20) & (byte != b'"') & (byte != b'\\');
    text.iter().fold(true, |all, &byte| all & is_plain(byte))
}

/// The members of a response or of a result, unparsed: a struct with types could also be read from
/// an array, and its errors would quote a value of a wrong type.
#[derive(Deserialize)]
struct AnswerMembers<'a> {
    #[serde(borrow, rename = "FailedPutCount")]
    count: Option<&'a RawValue>,
    #[serde(borrow, rename = "RequestResponses")]
    results: Option<&'a RawValue>,
    #[serde(borrow, rename = "RecordId")]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "ErrorCode")]
    code: Option<&'a RawValue>,
    #[serde(borrow, rename = "ErrorMessage")]
    message: Option<&'a RawValue>,
}

fn parse_response(answer: &[u8], records: usize) -> Result<PutResponse, ResponseDefect> {
    if answer.trim_ascii().is_empty() {
        return Err(ResponseDefect::Empty);
    }
    let text = simdutf8::basic::from_utf8(answer).map_err(|_| ResponseDefect::NotAnObject)?;
    let members = parse_object(text).ok_or(ResponseDefect::NotAnObject)?;
    let count = members.count.ok_or(ResponseDefect::Missing("FailedPutCount"))?;
    let count: u64 = serde_json::from_str(count.get())
        .map_err(|_| ResponseDefect::WrongType("FailedPutCount"))?;
    let results = members.results.ok_or(ResponseDefect::Missing("RequestResponses"))?;
    let results: Vec<&RawValue> = serde_json::from_str(results.get())
        .map_err(|_| ResponseDefect::WrongType("RequestResponses"))?;
    if results.len() != records {
        return Err(ResponseDefect::Results { results: results.len(), records });
    }
    let mut refused = Vec::new();
    for (position, result) in results.into_iter().enumerate() {
        if let Some(refusal) = parse_result(position, result)? {
            refused.push((position, refusal));
        }
    }
    if refused.len() as u64 != count {
        return Err(ResponseDefect::Miscounted { count, codes: refused.len() });
    }
    Ok(PutResponse { refused })
}

/// Why a record was rejected, or `None` if it was accepted.
fn parse_result(
    position: usize,
    result: &RawValue,
) -> Result<Option<RecordRefusal>, ResponseDefect> {
    let wrong_type = || ResponseDefect::WrongType("RequestResponses");
    let members = parse_object(result.get()).ok_or_else(wrong_type)?;
    let text = |member: Option<&RawValue>| match member {
        Some(member) => serde_json::from_str::<String>(member.get()).map_err(|_| wrong_type()),
        None => Ok(String::new()),
    };
    // Only the presence of an id matters.
    let has_id = match members.id.map(RawValue::get) {
        None | Some("\"\"") => false,
        Some(id) if id.starts_with('"') && (!id.contains('\\') || text(members.id).is_ok()) => true,
        Some(_) => return Err(wrong_type()),
    };
    let code = text(members.code)?;
    match (has_id, !code.is_empty()) {
        (true, false) => Ok(None),
        (false, true) => {
            let (code, message) =
                (truncate_detail(&code), truncate_detail(&text(members.message)?));
            Ok(Some(RecordRefusal { code, message }))
        }
        (has_both, _) => Err(ResponseDefect::Undecided { position, has_both }),
    }
}

/// The members of a JSON object. `None` if the text is not an object, or has another form.
fn parse_object(text: &str) -> Option<AnswerMembers<'_>> {
    let is_object = text.trim_ascii_start().starts_with('{');
    is_object.then(|| serde_json::from_str(text).ok()).flatten()
}

#[cfg(test)]
mod tests;

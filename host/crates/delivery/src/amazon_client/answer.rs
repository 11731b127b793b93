//! Reads what `PutRecordBatch` answers, and believes nothing that is not complete.
//!
//! An answer stands for its request only if it has the count of failures, one result
//! for each record in the records' order, either an id or an error code in each
//! result, and as many codes as it counts failures. Whatever else arrives with a
//! status of success is not an answer: nobody knows what became of the records.
//!
//! For each accepted record Firehose sends an id of some 200 characters, which nobody
//! needs. An answer that accepts everything is therefore only looked over, without
//! taking anything out of it; all others are parsed.

use memchr::memchr;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{PutResponse, RecordRefusal};
use standpipe_aws::{InvalidResponse, ResponseDefect, truncate_detail};

/// Read the answer to a request of so many records.
///
/// # Errors
///
/// It does not account for each of them.
pub fn read_put_answer(answer: &[u8], records: usize) -> Result<PutResponse, InvalidResponse> {
    if accepts_all(answer, records).is_some() {
        return Ok(PutResponse::default());
    }
    Ok(parse_response(answer, records)?)
}

/// Look an answer over. None unless it accepts every record, in just the form that
/// Firehose writes; another form has to be parsed.
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

/// What follows so many results, each of which is an id alone, and their list.
fn skip_ids(mut rest: &[u8], records: usize) -> Option<&[u8]> {
    // The ids of an answer are of one length, nearly always.
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

/// Whether these bytes are ASCII that stands for itself in a JSON string.
fn is_plain(text: &[u8]) -> bool {
    // Without a branch for each byte, so that many are looked at in one instruction.
    // As a signed number, a byte beyond ASCII is below all of ASCII.
    let is_plain = |byte: u8| (byte.cast_signed() >= 0x20) & (byte != b'"') & (byte != b'\\');
    text.iter().fold(true, |all, &byte| all & is_plain(byte))
}

/// The members of an answer or of a result, as they are written: a struct of theirs would
/// also be read from an array, and a wrong type would be quoted in the error.
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

/// Why a record was refused; none if it was accepted.
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
    // Nobody needs an id, only that there is one.
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

/// What a text that is a JSON object holds. None if it is none, or has another form.
fn parse_object(text: &str) -> Option<AnswerMembers<'_>> {
    let is_object = text.trim_ascii_start().starts_with('{');
    is_object.then(|| serde_json::from_str(text).ok()).flatten()
}

#[cfg(test)]
mod tests;

//! Checks the signature of a request according to AWS's "Signature Version 4".
//!
//! The program itself inserts the body of a request. Only a real check shows that the signature
//! covers that body.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// The access key id that [`verify_signature`] accepts.
pub const ACCESS_KEY_ID: &str = "AKIDTESTSTANDPIPE";
/// The secret key of this id.
pub const SECRET_ACCESS_KEY: &str = "a secret that only tests have";

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The scope of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureScope {
    /// The access key.
    pub access_key_id: String,
    /// The day, such as `20260131`.
    pub date: String,
    /// The region.
    pub region: String,
    /// The service, such as `firehose`.
    pub service: String,
}

/// Checks the signature of a `POST /` with these headers, whose names are in lower case.
///
/// # Errors
///
/// Fails if the request has no signature, or a wrong one.
pub fn verify_signature(
    headers: &BTreeMap<String, String>,
    body: &[u8],
) -> Result<SignatureScope, String> {
    let authorization = headers.get("authorization").ok_or("no Authorization header")?;
    let fields = authorization.strip_prefix(ALGORITHM).ok_or("another algorithm")?;
    let field = |name: &str| {
        let field = fields.split(',').find_map(|field| field.trim().strip_prefix(name));
        field.ok_or_else(|| format!("no {name} in the Authorization header"))
    };
    let credential = field("Credential=")?;
    let scope = parse_scope(credential).ok_or_else(|| format!("a wrong scope: {credential}"))?;
    let expected = compute_signature(headers, field("SignedHeaders=")?, &scope, body)?;
    if field("Signature=")? != expected {
        return Err("the signature is not that of this request".to_owned());
    }
    Ok(scope)
}

fn parse_scope(credential: &str) -> Option<SignatureScope> {
    let mut parts = credential.split('/').map(str::to_owned);
    let (access_key_id, date) = (parts.next()?, parts.next()?);
    let (region, service) = (parts.next()?, parts.next()?);
    let is_whole = parts.next()? == "aws4_request" && access_key_id == ACCESS_KEY_ID;
    is_whole.then_some(SignatureScope { access_key_id, date, region, service })
}

fn compute_signature(
    headers: &BTreeMap<String, String>,
    signed: &str,
    scope: &SignatureScope,
    body: &[u8],
) -> Result<String, String> {
    for must in ["host", "x-amz-date", "x-amz-target"] {
        if !signed.split(';').any(|name| name == must) {
            return Err(format!("{must} is not signed"));
        }
    }
    let mut canonical = "POST\n/\n\n".to_owned();
    for name in signed.split(';') {
        let value = headers.get(name).ok_or_else(|| format!("the header {name} is missing"))?;
        let _ = writeln!(canonical, "{name}:{}", value.trim());
    }
    let _ = write!(canonical, "\n{signed}\n{}", to_hex(&sha256_digest(body)));
    let SignatureScope { date, region, service, .. } = scope;
    let text = format!(
        "{ALGORITHM}\n{}\n{date}/{region}/{service}/aws4_request\n{}",
        headers["x-amz-date"],
        to_hex(&sha256_digest(canonical.as_bytes()))
    );
    let first = format!("AWS4{SECRET_ACCESS_KEY}").into_bytes();
    let words = [date.as_str(), region, service, "aws4_request", &text];
    Ok(to_hex(&words.iter().fold(first, |key, word| hmac_sha256(&key, word.as_bytes()).to_vec())))
}

/// HMAC-SHA-256 according to RFC 2104, for keys that fit into a block.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    const BLOCK_BYTES: usize = 64;
    assert!(key.len() <= BLOCK_BYTES, "a longer key would have to be hashed");
    let padded = |pad: u8| {
        let mut block = [pad; BLOCK_BYTES];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block.to_vec()
    };
    let inner = sha256_digest(&[padded(0x36), message.to_vec()].concat());
    sha256_digest(&[padded(0x5c), inner.to_vec()].concat())
}

fn sha256_digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Bytes in hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The SHA-256 of some bytes, in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    to_hex(&sha256_digest(bytes))
}

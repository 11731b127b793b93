//! The functions that `core.js` and its modules have from Rust.

#![expect(clippy::needless_pass_by_value, reason = "rquickjs passes arguments by value")]

use std::io::Read;

use flate2::Compression;
use flate2::read::{
    DeflateDecoder, DeflateEncoder, GzDecoder, GzEncoder, ZlibDecoder, ZlibEncoder,
};
use rquickjs::{ArrayBuffer, Ctx, Exception, Function, Object, Promise, TypedArray, Value};
use url::{Url, quirks};

use crate::web::{self, FailedRequest, WebRedirects, WebRequest, WebResponse};

use super::digest::DigestAlgorithm;
use super::encoding::TextEncoding;

/// The maximum number of bytes that `crypto.randomBytes` creates at once.
const RANDOM_BYTES_MAX: usize = 1 << 20;

/// The maximum number of bytes that `zlib` decompresses at once.
const DECOMPRESSED_BYTES_MAX: u64 = 16 << 20;

/// Creates the object of the functions.
pub(super) fn create_object<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    native.set("print", Function::new(ctx.clone(), print)?)?;
    native.set("encode", Function::new(ctx.clone(), encode)?)?;
    native.set("decode", Function::new(ctx.clone(), decode)?)?;
    native.set("isEncoding", Function::new(ctx.clone(), is_encoding)?)?;
    native.set("digest", Function::new(ctx.clone(), digest)?)?;
    native.set("hmac", Function::new(ctx.clone(), hmac)?)?;
    native.set("random", Function::new(ctx.clone(), random)?)?;
    native.set("parseUrl", Function::new(ctx.clone(), parse_url)?)?;
    native.set("changeUrl", Function::new(ctx.clone(), change_url)?)?;
    native.set("parseQuery", Function::new(ctx.clone(), parse_query)?)?;
    native.set("writeQuery", Function::new(ctx.clone(), write_query)?)?;
    native.set("send", Function::new(ctx.clone(), send)?)?;
    native.set("compress", Function::new(ctx.clone(), compress)?)?;
    native.set("decompress", Function::new(ctx.clone(), decompress)?)?;
    Ok(native)
}

/// Prints a line. The host turns printed lines into log lines.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the host logs what is printed")]
fn print(is_error: bool, line: String) {
    if is_error {
        eprintln!("{line}");
    } else {
        println!("{line}");
    }
}

fn bytes_of(ctx: &Ctx<'_>, bytes: &TypedArray<'_, u8>) -> rquickjs::Result<Vec<u8>> {
    // SAFETY: no JavaScript runs while the bytes are copied.
    let bytes = unsafe { bytes.as_bytes() }.map(<[u8]>::to_vec);
    bytes.ok_or_else(|| Exception::throw_type(ctx, "the buffer is detached"))
}

fn buffer<'js>(ctx: &Ctx<'js>, bytes: Vec<u8>) -> rquickjs::Result<Value<'js>> {
    Ok(ArrayBuffer::new(ctx.clone(), bytes)?.into_value())
}

fn encoding(ctx: &Ctx<'_>, name: &str) -> rquickjs::Result<TextEncoding> {
    TextEncoding::parse(name)
        .ok_or_else(|| Exception::throw_type(ctx, &format!("Unknown encoding: {name}")))
}

fn is_encoding(name: String) -> bool {
    TextEncoding::parse(&name).is_some()
}

fn encode(ctx: Ctx<'_>, bytes: TypedArray<'_, u8>, name: String) -> rquickjs::Result<String> {
    Ok(encoding(&ctx, &name)?.to_text(&bytes_of(&ctx, &bytes)?))
}

fn decode(ctx: Ctx<'_>, text: String, name: String) -> rquickjs::Result<Value<'_>> {
    let encoding = encoding(&ctx, &name)?;
    buffer(&ctx, encoding.to_bytes(&text))
}

fn algorithm(ctx: &Ctx<'_>, name: &str) -> rquickjs::Result<DigestAlgorithm> {
    DigestAlgorithm::parse(name).ok_or_else(|| {
        let message = format!(
            "Digest method not supported: {name}: use md5, sha1, sha224, sha256, sha384 or sha512"
        );
        Exception::throw_message(ctx, &message)
    })
}

fn digest<'js>(
    ctx: Ctx<'js>,
    name: String,
    data: TypedArray<'js, u8>,
) -> rquickjs::Result<Value<'js>> {
    let algorithm = algorithm(&ctx, &name)?;
    buffer(&ctx, algorithm.digest(&bytes_of(&ctx, &data)?))
}

fn hmac<'js>(
    ctx: Ctx<'js>,
    name: String,
    key: TypedArray<'js, u8>,
    data: TypedArray<'js, u8>,
) -> rquickjs::Result<Value<'js>> {
    let algorithm = algorithm(&ctx, &name)?;
    buffer(&ctx, algorithm.hmac(&bytes_of(&ctx, &key)?, &bytes_of(&ctx, &data)?))
}

fn random(ctx: Ctx<'_>, length: f64) -> rquickjs::Result<Value<'_>> {
    if !(0.0..=RANDOM_BYTES_MAX as f64).contains(&length) {
        let message = format!(
            "the number of random bytes must be at most {RANDOM_BYTES_MAX}, found {length}"
        );
        return Err(Exception::throw_range(&ctx, &message));
    }
    let mut bytes = vec![0; length as usize];
    if let Err(error) = getrandom::fill(&mut bytes) {
        return Err(Exception::throw_message(&ctx, &format!("no random bytes: {error}")));
    }
    buffer(&ctx, bytes)
}

/// The parts of an address, in the order in which `url.js` expects them.
fn url_parts(url: &Url) -> Vec<String> {
    let parts = [
        quirks::href(url),
        &quirks::origin(url),
        quirks::protocol(url),
        quirks::username(url),
        quirks::password(url),
        quirks::host(url),
        quirks::hostname(url),
        quirks::port(url),
        quirks::pathname(url),
        quirks::search(url),
        quirks::hash(url),
    ];
    parts.map(str::to_owned).to_vec()
}

/// Parses an address. Returns nothing if it is invalid.
fn parse_url(input: String, base: Option<String>) -> Option<Vec<String>> {
    let url = match base {
        Some(base) => Url::parse(&base).ok()?.join(&input).ok()?,
        None => Url::parse(&input).ok()?,
    };
    Some(url_parts(&url))
}

/// Changes a part of an address. A value that is invalid for the part changes nothing.
fn change_url(href: String, part: String, value: String) -> Option<Vec<String>> {
    let mut url = Url::parse(&href).ok()?;
    let changed = match part.as_str() {
        "href" => {
            url = Url::parse(&value).ok()?;
            Ok(())
        }
        "protocol" => quirks::set_protocol(&mut url, &value),
        "username" => quirks::set_username(&mut url, &value),
        "password" => quirks::set_password(&mut url, &value),
        "host" => quirks::set_host(&mut url, &value),
        "hostname" => quirks::set_hostname(&mut url, &value),
        "port" => quirks::set_port(&mut url, &value),
        "pathname" => {
            quirks::set_pathname(&mut url, &value);
            Ok(())
        }
        "search" => {
            quirks::set_search(&mut url, &value);
            Ok(())
        }
        "hash" => {
            quirks::set_hash(&mut url, &value);
            Ok(())
        }
        _ => return None,
    };
    // A setter of `URL` ignores what it does not accept.
    changed.ok();
    Some(url_parts(&url))
}

/// The names and values of a query, in turn.
fn parse_query(query: String) -> Vec<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .flat_map(|(name, value)| [name.into_owned(), value.into_owned()])
        .collect()
}

/// The query of names and values, in turn.
fn write_query(pairs: Vec<String>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for pair in pairs.chunks_exact(2) {
        query.append_pair(&pair[0], &pair[1]);
    }
    query.finish()
}

/// Sends a request. A time limit of zero is none of its own. The promise has an array: address, status, names and values of the headers in
/// turn, body.
fn send<'js>(
    ctx: Ctx<'js>,
    method: String,
    url: String,
    headers: Vec<String>,
    body: TypedArray<'js, u8>,
    redirect: String,
    timeout_ms: u32,
) -> rquickjs::Result<Promise<'js>> {
    let redirects = match redirect.as_str() {
        "manual" => WebRedirects::Manual,
        "error" => WebRedirects::Error,
        _ => WebRedirects::Follow,
    };
    let timeout_ms = (timeout_ms > 0).then_some(timeout_ms);
    let headers = headers.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
    let headers = headers.collect();
    let body = bytes_of(&ctx, &body)?;
    let request = WebRequest { method, url, headers, body, redirects, timeout_ms };
    web::send(&ctx, request, convert_response)
}

fn convert_response<'js>(
    ctx: &Ctx<'js>,
    response: Result<WebResponse, FailedRequest>,
) -> rquickjs::Result<Value<'js>> {
    let response = response.map_err(|failure| Exception::throw_message(ctx, &failure.reason))?;
    let headers = response.headers.into_iter().flat_map(|(name, value)| [name, value]);
    let headers: Vec<String> = headers.collect();
    let array = rquickjs::Array::new(ctx.clone())?;
    array.set(0, response.url)?;
    array.set(1, response.status)?;
    array.set(2, headers)?;
    array.set(3, buffer(ctx, response.body)?)?;
    Ok(array.into_value())
}

/// Compresses bytes in a format of `zlib`.
fn compress<'js>(
    ctx: Ctx<'js>,
    format: String,
    data: TypedArray<'js, u8>,
) -> rquickjs::Result<Value<'js>> {
    let data = bytes_of(&ctx, &data)?;
    let level = Compression::default();
    let mut output = Vec::new();
    let written = match format.as_str() {
        "gzip" => GzEncoder::new(data.as_slice(), level).read_to_end(&mut output),
        "raw" => DeflateEncoder::new(data.as_slice(), level).read_to_end(&mut output),
        _ => ZlibEncoder::new(data.as_slice(), level).read_to_end(&mut output),
    };
    written.map_err(|error| Exception::throw_message(&ctx, &error.to_string()))?;
    buffer(&ctx, output)
}

/// Decompresses bytes in a format of `zlib`.
fn decompress<'js>(
    ctx: Ctx<'js>,
    format: String,
    data: TypedArray<'js, u8>,
) -> rquickjs::Result<Value<'js>> {
    let data = bytes_of(&ctx, &data)?;
    let data = data.as_slice();
    let limit = DECOMPRESSED_BYTES_MAX + 1;
    let mut output = Vec::new();
    let read = match format.as_str() {
        "gzip" => GzDecoder::new(data).take(limit).read_to_end(&mut output),
        "raw" => DeflateDecoder::new(data).take(limit).read_to_end(&mut output),
        _ => ZlibDecoder::new(data).take(limit).read_to_end(&mut output),
    };
    read.map_err(|error| Exception::throw_message(&ctx, &error.to_string()))?;
    if output.len() as u64 >= limit {
        let message = format!("zlib: the data has more than {DECOMPRESSED_BYTES_MAX} bytes");
        return Err(Exception::throw_range(&ctx, &message));
    }
    buffer(&ctx, output)
}

//! RudderStack's functions that leave the sandbox: `fetch`, `fetchV2` and `geolocation`.
//!
//! `fetch` never rejects: it answers the body as JSON, or the text `ERROR`. `fetchV2` answers URL,
//! status, headers and body, and rejects with a plain object. `geolocation` answers from the
//! database of the operator, and rejects like `fetchV2`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use rquickjs::function::Rest;
use rquickjs::{Array, Coerced, Ctx, Function, Object, Promise, Value};
use serde_json::Value as Json;

use crate::exception::message_of;
use crate::web::{self, ConvertResponse, FailedRequest, WebRedirects, WebRequest, WebResponse};

/// What `fetch` answers in place of an error.
const FETCH_ERROR: &str = "ERROR";

/// Methods without a body.
const METHODS_WITHOUT_BODY: [&str; 2] = ["GET", "HEAD"];

/// The content type of a body that is text.
const TEXT: &str = "text/plain;charset=UTF-8";

/// What the host answers to a text that is not a URL.
const INVALID_URL: &str = "Invalid URL";

/// How the reasons begin for which RudderStack rejects before there is a request.
const CHECKS_BEFORE_REQUEST: [&str; 3] =
    [INVALID_URL, "invalid protocol", "blocked request to non-public address"];

/// Defines the functions.
pub(super) fn define_functions<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<()> {
    let globals = ctx.globals();
    globals.set("fetch", Function::new(ctx.clone(), fetch)?.with_name("fetch")?)?;
    globals.set("fetchV2", Function::new(ctx.clone(), fetch_v2)?.with_name("fetchV2")?)?;
    let geolocation = Function::new(ctx.clone(), geolocation)?;
    globals.set("geolocation", geolocation.with_name("geolocation")?)
}

#[expect(clippy::needless_pass_by_value, reason = "rquickjs passes arguments by value")]
fn fetch<'js>(ctx: Ctx<'js>, arguments: Rest<Value<'js>>) -> rquickjs::Result<Promise<'js>> {
    send(&ctx, &arguments.0, body_as_json)
}

#[expect(clippy::needless_pass_by_value, reason = "rquickjs passes arguments by value")]
fn fetch_v2<'js>(ctx: Ctx<'js>, arguments: Rest<Value<'js>>) -> rquickjs::Result<Promise<'js>> {
    send(&ctx, &arguments.0, response_object)
}

/// Sends a request. What is wrong with the arguments becomes the outcome of the promise, as an error
/// of the network does.
fn send<'js>(
    ctx: &Ctx<'js>,
    arguments: &[Value<'js>],
    convert: ConvertResponse,
) -> rquickjs::Result<Promise<'js>> {
    match read_request(ctx, arguments) {
        Ok(request) => web::send(ctx, request, convert),
        Err(reason) => {
            let failure = FailedRequest { url: String::new(), reason };
            settled_promise(ctx, convert(ctx, Err(failure)))
        }
    }
}

fn settled_promise<'js>(
    ctx: &Ctx<'js>,
    outcome: rquickjs::Result<Value<'js>>,
) -> rquickjs::Result<Promise<'js>> {
    let (promise, resolve, reject) = ctx.promise()?;
    match outcome {
        Ok(value) => resolve.call::<_, ()>((value,))?,
        Err(error) if error.is_exception() => reject.call::<_, ()>((ctx.catch(),))?,
        Err(error) => return Err(error),
    }
    Ok(promise)
}

/// Reads the arguments `url` and `options`, as RudderStack and node-fetch do.
fn read_request<'js>(ctx: &Ctx<'js>, arguments: &[Value<'js>]) -> Result<WebRequest, String> {
    let Some(url) = arguments.first() else { return Err("fetch url is required".to_owned()) };
    if url.is_undefined() || url.is_null() {
        let kind = url.type_name();
        return Err(format!("Cannot read properties of {kind} (reading 'trim')"));
    }
    let Some(url) = url.as_string() else {
        return Err("args[0].trim is not a function".to_owned());
    };
    let failed = |_| message_of(&ctx.catch());
    let url = url.to_string().map_err(failed)?.trim().to_owned();
    let mut request = WebRequest { method: "GET".to_owned(), url, ..WebRequest::default() };
    if let Some(options) = arguments.get(1).and_then(Value::as_object) {
        read_options(options, &mut request).map_err(failed)?;
    }
    let has_body = !request.body.is_empty();
    if has_body && METHODS_WITHOUT_BODY.contains(&request.method.as_str()) {
        return Err("Request with GET/HEAD method cannot have body".to_owned());
    }
    Ok(request)
}

fn read_options<'js>(options: &Object<'js>, request: &mut WebRequest) -> rquickjs::Result<()> {
    if let Some(Coerced(method)) = option::<Coerced<String>>(options, "method")? {
        request.method = method.to_ascii_uppercase();
    }
    if let Some(headers) = option::<Object<'js>>(options, "headers")? {
        request.headers = read_headers(&headers)?;
    }
    request.redirects = match option::<String>(options, "redirect")?.as_deref() {
        Some("error") => WebRedirects::Error,
        Some("manual") => WebRedirects::Manual,
        _ => WebRedirects::Follow,
    };
    // Zero means no limit, as in node-fetch.
    let timeout = option::<f64>(options, "timeout")?.filter(|millis| *millis >= 1.0);
    request.timeout_ms = timeout.map(|millis| millis as u32);
    if let Some(Coerced(body)) = option::<Coerced<String>>(options, "body")? {
        request.body = body.into_bytes();
        let has_type =
            request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if !has_type {
            request.headers.push(("content-type".to_owned(), TEXT.to_owned()));
        }
    }
    Ok(())
}

/// The value of an option, unless it is missing, null, or of another type.
fn option<'js, T: rquickjs::FromJs<'js>>(
    options: &Object<'js>,
    name: &str,
) -> rquickjs::Result<Option<T>> {
    let value: Value<'js> = options.get(name)?;
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    match value.get::<T>() {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_exception() => Err(error),
        Err(_) => Ok(None),
    }
}

/// Headers: an object, or an array of pairs.
fn read_headers(headers: &Object<'_>) -> rquickjs::Result<Vec<(String, String)>> {
    if let Some(pairs) = headers.as_array() {
        let pairs = pairs.iter::<Array<'_>>().map(|pair| {
            let pair = pair?;
            let part = |position| pair.get::<Coerced<String>>(position).map(|text| text.0);
            Ok((part(0)?, part(1)?))
        });
        return pairs.collect();
    }
    let headers = headers.props::<String, Coerced<String>>();
    headers.map(|header| header.map(|(name, value)| (name, value.0))).collect()
}

/// The outcome of `fetch`.
fn body_as_json<'js>(
    ctx: &Ctx<'js>,
    response: Result<WebResponse, FailedRequest>,
) -> rquickjs::Result<Value<'js>> {
    let parsed = response.ok().map(|response| ctx.json_parse(response.body));
    match parsed {
        Some(Ok(value)) => Ok(value),
        Some(Err(_)) => {
            ctx.catch();
            rquickjs::IntoJs::into_js(FETCH_ERROR, ctx)
        }
        None => rquickjs::IntoJs::into_js(FETCH_ERROR, ctx),
    }
}

/// The outcome of `fetchV2`.
fn response_object<'js>(
    ctx: &Ctx<'js>,
    response: Result<WebResponse, FailedRequest>,
) -> rquickjs::Result<Value<'js>> {
    let response = match response {
        Ok(response) => response,
        Err(failure) => return Err(ctx.throw(failure_object(ctx, &failure)?)),
    };
    let object = Object::new(ctx.clone())?;
    object.set("url", response.url)?;
    object.set("status", response.status)?;
    let headers = Object::new(ctx.clone())?;
    // As node-fetch iterates: by name, values of one name together.
    let mut by_name = BTreeMap::<String, String>::new();
    for (name, value) in response.headers {
        let values = by_name.entry(name.to_ascii_lowercase()).or_default();
        if !values.is_empty() {
            values.push_str(", ");
        }
        values.push_str(&value);
    }
    for (name, values) in by_name {
        headers.set(name, values)?;
    }
    object.set("headers", headers)?;
    let text = String::from_utf8_lossy(&response.body).into_owned();
    match ctx.json_parse(text.as_str()) {
        Ok(body) => object.set("body", body)?,
        Err(_) => {
            ctx.catch();
            object.set("body", text)?;
        }
    }
    Ok(object.into_value())
}

/// Why `fetchV2` rejects: the own members of an error of node-fetch, or of RudderStack's checks
/// before there is a request.
fn failure_object<'js>(ctx: &Ctx<'js>, failure: &FailedRequest) -> rquickjs::Result<Value<'js>> {
    let FailedRequest { url, reason } = failure;
    let is_check =
        url.is_empty() || CHECKS_BEFORE_REQUEST.iter().any(|check| reason.starts_with(check));
    if is_check {
        let reason = if reason == INVALID_URL { "invalid url, Invalid URL" } else { reason };
        return error_object(ctx, reason);
    }
    let message = format!("request to {} failed, reason: {reason}", shown_url(url));
    let object = Object::new(ctx.clone())?;
    object.set("message", message.as_str())?;
    object.set("type", "system")?;
    if let Some(code) = system_code(reason) {
        object.set("errno", code)?;
        object.set("code", code)?;
    }
    object.set("stack", format!("FetchError: {message}"))?;
    Ok(object.into_value())
}

/// The own members of a plain error.
fn error_object<'js>(ctx: &Ctx<'js>, reason: &str) -> rquickjs::Result<Value<'js>> {
    let object = Object::new(ctx.clone())?;
    object.set("stack", format!("Error: {reason}"))?;
    object.set("message", reason)?;
    Ok(object.into_value())
}

/// A URL without user, password, query and fragment, which may be secret: the message becomes a part
/// of the reasons in dead letters.
fn shown_url(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("//") else { return url.to_owned() };
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}//{host}{path}")
}

/// The code of an error of the system, such as `ECONNREFUSED`.
fn system_code(reason: &str) -> Option<&str> {
    let mut words = reason.split(|character: char| !character.is_ascii_alphanumeric());
    words.find(|word| {
        word.len() > 4
            && word.starts_with('E')
            && word.bytes().all(|byte| byte.is_ascii_uppercase())
    })
}

#[expect(clippy::needless_pass_by_value, reason = "rquickjs passes arguments by value")]
fn geolocation<'js>(ctx: Ctx<'js>, arguments: Rest<Value<'js>>) -> rquickjs::Result<Promise<'js>> {
    let located = find_place(arguments.0.first());
    let outcome = match located {
        Ok(place) => ctx.json_parse(place.to_string()),
        Err(reason) => {
            let error = error_object(&ctx, &reason)?;
            Err(ctx.throw(error))
        }
    };
    settled_promise(&ctx, outcome)
}

fn find_place(ip: Option<&Value<'_>>) -> Result<Json, String> {
    let is_missing = |ip: &&Value<'_>| {
        ip.is_undefined()
            || ip.is_null()
            || ip.as_bool() == Some(false)
            || ip.as_number() == Some(0.0)
            || ip.as_string().is_some_and(|ip| ip.to_string().is_ok_and(|ip| ip.is_empty()))
    };
    let ip = ip.filter(|ip| !is_missing(ip)).ok_or("ip address is required")?;
    let ip = ip.as_string().and_then(|ip| ip.to_string().ok()).ok_or("invalid ip address")?;
    let address = parse_address(&ip).ok_or("invalid ip address")?;
    let found = locate(&address.to_string())?;
    let found = found.map(|found| serde_json::from_str(&found)).transpose();
    let found: Option<Json> = found.map_err(|error| error.to_string())?;
    Ok(describe_place(&ip, &found.unwrap_or_default()))
}

#[cfg(target_arch = "wasm32")]
fn locate(address: &str) -> Result<Option<String>, String> {
    standpipe_plugin::geolocation::locate(address)
}

#[cfg(not(target_arch = "wasm32"))]
fn locate(_: &str) -> Result<Option<String>, String> {
    Err("geolocation is not available right now".to_owned())
}

/// What RudderStack's service answers, from a record of a MaxMind database of cities.
fn describe_place(ip: &str, record: &Json) -> Json {
    let text = |pointer: &str| {
        record.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned()
    };
    let number = |pointer: &str| record.pointer(pointer).and_then(Json::as_f64);
    let location = match (number("/location/latitude"), number("/location/longitude")) {
        (Some(latitude), Some(longitude)) => format!("{latitude:.6},{longitude:.6}"),
        _ => String::new(),
    };
    serde_json::json!({
        "ip": ip,
        "city": text("/city/names/en"),
        "country": text("/country/iso_code"),
        "region": text("/subdivisions/0/names/en"),
        "postal": text("/postal/code"),
        "location": location,
        "timezone": text("/location/time_zone"),
    })
}

/// Parses an address, also in the older forms of IPv4: with leading zeros (octal), in hexadecimal,
/// and with fewer than four parts.
fn parse_address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let parts: Option<Vec<u64>> = text.split('.').map(parse_part).collect();
    let parts = parts.filter(|parts| parts.len() <= 4)?;
    let (last, first) = parts.split_last()?;
    let mut bits = *last;
    // The last part fills what the others leave.
    if bits >> (8 * (4 - first.len())) != 0 {
        return None;
    }
    for (position, part) in first.iter().enumerate() {
        if *part > 255 {
            return None;
        }
        bits |= part << (8 * (3 - position));
    }
    u32::try_from(bits).ok().map(|bits| Ipv4Addr::from(bits).into())
}

fn parse_part(part: &str) -> Option<u64> {
    let digits = |text: &str, radix| {
        let is_number = !text.is_empty() && text.chars().all(|digit| digit.is_digit(radix));
        is_number.then(|| u64::from_str_radix(text, radix).ok()).flatten()
    };
    match part.as_bytes() {
        [b'0', b'x' | b'X', ..] => digits(&part[2..], 16),
        [b'0', _, ..] => digits(part, 8),
        _ => digits(part, 10),
    }
}

#[cfg(test)]
mod tests;

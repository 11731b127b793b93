//! One request with its redirects. Each URL on the way is checked like the first one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue,
    LOCATION, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use reqwest::{Client, Method, Response, StatusCode};
use url::Url;

use super::bindings::standpipe::mapping::web::{self as contract, Redirects};
use super::failure::WebFailure;
use super::host_pattern::{check_parsed_url, check_url, host_and_port, literal_address};
use super::resolver::CheckedResolver;
use super::settings::NetworkSettings;

/// Redirects that a request follows.
const REDIRECTS_MAX: usize = 5;

/// Bytes of all responses of one call together. A plugin instance holds them in its memory at the
/// same time as its events.
const BATCH_RESPONSE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Methods that would make the server something other than the end of the request.
const METHODS_REFUSED: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];

/// Headers of the connection, which the HTTP client sets. Those for a proxy are among them, because
/// the settings name the proxy.
const HEADERS_OF_CONNECTION: [HeaderName; 7] =
    [CONNECTION, CONTENT_LENGTH, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// Other headers of the connection, for which there are no constants.
const KEEP_ALIVE: [&str; 2] = ["keep-alive", "proxy-connection"];

/// Headers with credentials, which are not sent to another origin.
const HEADERS_WITH_CREDENTIALS: [HeaderName; 2] = [AUTHORIZATION, COOKIE];

/// What all requests of a call share.
pub(super) struct WebCall {
    pub(super) client: Client,
    pub(super) resolver: CheckedResolver,
    pub(super) settings: NetworkSettings,
    /// Bytes of all responses so far.
    pub(super) response_bytes: AtomicUsize,
}

/// A request that can be sent.
#[derive(Clone)]
struct NextRequest {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl WebCall {
    /// Sends a request and follows its redirects, within its time limit.
    pub(super) async fn exchange(
        &self,
        request: contract::Request,
    ) -> Result<contract::Response, WebFailure> {
        let own = request.timeout_ms.map(|millis| Duration::from_millis(millis.into()));
        let timeout = own.map_or(self.settings.timeout, |own| own.min(self.settings.timeout));
        let redirects = request.redirects;
        let next = self.check_request(request)?;
        let host = host_and_port(&next.url);
        let exchanged = tokio::time::timeout(timeout, self.follow(next, redirects)).await;
        exchanged.unwrap_or(Err(WebFailure::Timeout { host, millis: timeout.as_millis() }))
    }

    fn check_request(&self, request: contract::Request) -> Result<NextRequest, WebFailure> {
        let contract::Request { method, url, headers, body, .. } = request;
        let url = check_url(&url, &self.settings.allow)?;
        let parsed = Method::from_bytes(method.as_bytes()).ok();
        let parsed = parsed.filter(|parsed| {
            METHODS_REFUSED.iter().all(|refused| !refused.eq_ignore_ascii_case(parsed.as_str()))
        });
        let method = parsed.ok_or(WebFailure::Method { method })?;
        Ok(NextRequest { method, url, headers: check_headers(headers)?, body })
    }

    async fn follow(
        &self,
        mut next: NextRequest,
        redirects: Redirects,
    ) -> Result<contract::Response, WebFailure> {
        for _ in 0..=REDIRECTS_MAX {
            let response = self.send(&next).await?;
            let is_redirect = is_redirect(&response);
            match redirects {
                Redirects::Error if is_redirect => return Err(WebFailure::Redirected),
                Redirects::Follow if is_redirect => next = self.next_request(next, &response)?,
                _ => return self.read_response(response, &next.url).await,
            }
        }
        Err(WebFailure::Redirects { redirects: REDIRECTS_MAX })
    }

    /// Sends a request to an address that it may go to.
    async fn send(&self, request: &NextRequest) -> Result<Response, WebFailure> {
        let host = host_and_port(&request.url);
        // The client resolves only names, so the resolver does not see addresses in URLs.
        if let Some(address) = literal_address(&request.url)
            && !self.resolver.is_allowed(address)
        {
            return Err(WebFailure::Address { address });
        }
        let NextRequest { method, url, headers, body } = request.clone();
        let mut built = self.client.request(method, url).headers(headers);
        if !body.is_empty() || has_body_by_default(&request.method) {
            built = built.body(body);
        }
        let response = built.send().await.map_err(|error| WebFailure::of_client(error, &host))?;
        // A second look at the address that was really used, should the client change.
        match response.remote_addr().map(|address| address.ip()) {
            Some(address) if !self.resolver.is_connection_allowed(address) => {
                Err(WebFailure::ResolvedAddress { address, host })
            }
            _ => Ok(response),
        }
    }

    /// The request that a redirect asks for.
    fn next_request(
        &self,
        mut request: NextRequest,
        response: &Response,
    ) -> Result<NextRequest, WebFailure> {
        let location = response.headers().get(LOCATION);
        let target = location
            .and_then(|location| std::str::from_utf8(location.as_bytes()).ok())
            .and_then(|location| request.url.join(location).ok());
        let target =
            target.ok_or_else(|| WebFailure::Location { host: host_and_port(&request.url) })?;
        check_parsed_url(&target, &self.settings.allow)?;
        if becomes_get(response.status(), &request.method) {
            request.method = Method::GET;
            request.body = Vec::new();
            for name in ["content-type", "content-encoding", "content-language"] {
                request.headers.remove(name);
            }
        }
        if target.origin() != request.url.origin() {
            for name in HEADERS_WITH_CREDENTIALS {
                request.headers.remove(name);
            }
        }
        request.url = target;
        Ok(request)
    }

    async fn read_response(
        &self,
        mut response: Response,
        url: &Url,
    ) -> Result<contract::Response, WebFailure> {
        let host = host_and_port(url);
        let mut body = Vec::new();
        loop {
            let part = response.chunk().await;
            let Some(part) = part.map_err(|error| WebFailure::of_client(error, &host))? else {
                break;
            };
            if body.len() + part.len() > self.settings.response_bytes {
                return Err(WebFailure::TooLarge { host, bytes: self.settings.response_bytes });
            }
            let before = self.response_bytes.fetch_add(part.len(), Ordering::Relaxed);
            if before + part.len() > BATCH_RESPONSE_BYTES_MAX {
                return Err(WebFailure::BatchTooLarge { bytes: BATCH_RESPONSE_BYTES_MAX });
            }
            body.extend_from_slice(&part);
        }
        let headers = response.headers().iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        Ok(contract::Response {
            url: url.as_str().to_owned(),
            status: response.status().as_u16(),
            headers: headers.collect(),
            body,
        })
    }
}

fn check_headers(headers: Vec<(String, String)>) -> Result<HeaderMap, WebFailure> {
    let mut checked = HeaderMap::new();
    for (name, value) in headers {
        let parsed = HeaderName::try_from(name.as_str()).ok();
        let parsed = parsed.zip(HeaderValue::from_bytes(value.as_bytes()).ok());
        let Some((key, value)) = parsed else { return Err(WebFailure::Header { name }) };
        if key == HOST {
            return Err(WebFailure::HostHeader);
        }
        if HEADERS_OF_CONNECTION.contains(&key) || KEEP_ALIVE.contains(&key.as_str()) {
            continue;
        }
        checked.append(key, value);
    }
    Ok(checked)
}

fn is_redirect(response: &Response) -> bool {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
        && response.headers().contains_key(LOCATION)
}

/// Whether the request after a redirect is a GET.
///
/// Source: the Fetch standard, section "HTTP-redirect fetch".
fn becomes_get(status: StatusCode, method: &Method) -> bool {
    match status {
        StatusCode::SEE_OTHER => !matches!(*method, Method::GET | Method::HEAD),
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => *method == Method::POST,
        _ => false,
    }
}

/// Whether an empty body is sent as such, with a length of zero.
fn has_body_by_default(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

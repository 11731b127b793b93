//! A client for servers outside of AWS: JSON over HTTP.
//!
//! Redirects are not followed because they would send the token elsewhere. Responses are limited in
//! size. Requests with a transient error are retried after random delays. Errors contain neither a
//! token nor a body.

mod error;
mod retry;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::Value;

use crate::limits;
use error::{unreachable_error, without_secrets};
use standpipe_core::secret::{Secret, SecretResolver, SecretSetting, UnresolvedSecret};

pub use error::HttpError;
pub use reqwest::Method;

/// Names and values of headers. Values may be references to secrets.
pub type Headers = Vec<(String, SecretSetting)>;

/// Resolves the values that are references.
pub(crate) async fn resolve_headers(
    headers: &Headers,
    secrets: &dyn SecretResolver,
) -> Result<Vec<(String, Secret)>, UnresolvedSecret> {
    let mut all = Vec::with_capacity(headers.len());
    for (name, setting) in headers {
        all.push((name.clone(), secrets.resolve_setting(setting).await?));
    }
    Ok(all)
}

/// Settings that all requests share.
#[derive(Debug, Clone)]
pub struct HttpClientSettings {
    /// Headers of each request: name and value. Values may be secrets.
    pub extra_headers: Vec<(String, Secret)>,
    /// The token of `Authorization: Bearer`.
    pub bearer: Option<Secret>,
    /// Which server certificates are trusted.
    pub verify: TlsVerification,
    /// Timeout for each attempt, including the body of its response.
    pub timeout: Duration,
    /// The pause before the second attempt. It doubles with each further attempt.
    pub pause: Duration,
}

/// Which server certificates are trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TlsVerification {
    /// The certificates that the system trusts.
    #[default]
    System,
    /// All certificates. A machine in the middle can read the token.
    Nothing,
    /// Only certificates signed by the authorities in this PEM file.
    Authority(PathBuf),
}

impl Default for HttpClientSettings {
    fn default() -> Self {
        HttpClientSettings {
            extra_headers: Vec::new(),
            bearer: None,
            verify: TlsVerification::System,
            timeout: limits::HTTP_TIMEOUT,
            pause: limits::HTTP_PAUSE,
        }
    }
}

/// A client for one server.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: Client,
    pause: Duration,
}

/// The response of a server, with any status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status: below 300, or at least 400.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the body is an HTML page, which means that something other than the API responded.
    pub is_html: bool,
}

impl HttpClient {
    /// Creates a client.
    ///
    /// # Errors
    ///
    /// Fails if a header or the certificates cannot be used.
    pub fn new(settings: &HttpClientSettings) -> Result<Self, HttpError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls::tls_config(&settings.verify)?)
            .default_headers(header_map(settings)?)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(standpipe_aws::limits::CONNECT_TIMEOUT)
            .timeout(settings.timeout)
            .user_agent(concat!("standpipe/", env!("CARGO_PKG_VERSION")))
            .build()
            .expect("nothing else of it can be wrong");
        Ok(HttpClient { client, pause: settings.pause })
    }

    /// Sends a request, with retries: after status 429, 502, 503 or 504, or if the server was not
    /// reached. Requests that must not be repeated (POST and PATCH) are retried only if the server
    /// did not process them: after 429, or without a connection.
    ///
    /// A response with another status is returned, and so is the last response with one of these.
    ///
    /// # Errors
    ///
    /// Fails if the server did not respond, or if the response is a redirect or too long.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
    ) -> Result<HttpResponse, HttpError> {
        let target = reqwest::Url::parse(url).ok().filter(reqwest::Url::has_host);
        let target = target.ok_or_else(|| HttpError::Url { url: without_secrets(url) })?;
        let mut failures = 0;
        loop {
            let sent = self.request(&method, &target, body).send().await;
            let headers = sent.as_ref().ok().map(Response::headers);
            let retry_after = headers.and_then(retry::retry_after);
            let outcome = match sent {
                Ok(response) => read_response(response, &target).await,
                Err(error) => Err(unreachable_error(&target, error)),
            };
            failures += 1;
            let pause = retry::retry_delay(self.pause, failures, retry_after.unwrap_or_default());
            let Some(pause) = pause.filter(|_| retry::may_help(&outcome, &method)) else {
                return outcome;
            };
            tracing::debug!("retrying {} in {pause:?}", without_secrets(url));
            tokio::time::sleep(pause).await;
        }
    }

    fn request(
        &self,
        method: &Method,
        url: &reqwest::Url,
        body: Option<&Value>,
    ) -> reqwest::RequestBuilder {
        let request = self.client.request(method.clone(), url.clone());
        match body {
            Some(body) => request.header(CONTENT_TYPE, content_type(method)).body(body.to_string()),
            None => request,
        }
    }
}

async fn read_response(
    mut response: Response,
    url: &reqwest::Url,
) -> Result<HttpResponse, HttpError> {
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let to = to.map_or_else(|| "nowhere".to_owned(), without_secrets);
        return Err(HttpError::Redirect {
            url: without_secrets(url.as_str()),
            status: status.as_u16(),
            to,
        });
    }
    let is_page = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/html"));
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| unreachable_error(url, error))? {
        if body.len() + part.len() > limits::HTTP_ANSWER_BYTES_MAX {
            return Err(HttpError::TooLong { url: without_secrets(url.as_str()) });
        }
        body.extend_from_slice(&part);
    }
    let is_html = is_page || looks_like_html(&body);
    Ok(HttpResponse { status: status.as_u16(), body, is_html })
}

/// Whether a body starts like a page: JSON never starts with `<`.
pub(super) fn looks_like_html(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    let begins =
        |with: &[u8]| body.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    begins(b"<!doctype") || begins(b"<html") || begins(b"<head") || begins(b"<body")
}

fn content_type(method: &Method) -> &'static str {
    if method == Method::PATCH { "application/json-patch+json" } else { "application/json" }
}

fn header_map(settings: &HttpClientSettings) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.extra_headers {
        let key = HeaderName::try_from(name.as_str());
        let key = key.map_err(|_| HttpError::Header { name: name.clone() })?;
        let is_taken = matches!(key.as_str(), "host" | "content-length" | "content-type")
            || key == "authorization" && settings.bearer.is_some();
        if is_taken {
            return Err(HttpError::HeaderTaken { name: name.clone() });
        }
        headers.insert(key, sensitive_value(name, value.expose())?);
    }
    if let Some(bearer) = &settings.bearer {
        let value = format!("Bearer {}", bearer.expose());
        headers.insert("authorization", sensitive_value("Authorization", &value)?);
    }
    Ok(headers)
}

fn sensitive_value(name: &str, value: &str) -> Result<HeaderValue, HttpError> {
    let value = HeaderValue::try_from(value);
    let mut value = value.map_err(|_| HttpError::Header { name: name.to_owned() })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;

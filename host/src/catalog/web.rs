//! The way to servers that are not Amazon's: JSON over HTTP, a few requests of it.
//!
//! Redirects are not followed, since they would take the token elsewhere; answers
//! are bounded; what failed in passing is tried again, with pauses that do not fall
//! together. Neither a token nor a body is ever part of an error.

mod again;
mod trust;

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::Value;
use thiserror::Error;

use crate::limits;
use crate::secret::Secret;
use again::Pauses;

pub use reqwest::Method;

/// What requests have in common.
#[derive(Debug, Clone)]
pub struct WebSettings {
    /// Headers of every request: name and value. Values may be secrets.
    pub extra_headers: Vec<(String, String)>,
    /// The token of `Authorization: Bearer`.
    pub bearer: Option<Secret>,
    /// Which servers are believed.
    pub verify: Verify,
    /// How long an attempt may take, its answer's body included.
    pub timeout: Duration,
    /// The pause before the second attempt; doubled for each further one.
    pub pause: Duration,
}

/// Which certificates of servers are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Verify {
    /// Those that the system trusts.
    #[default]
    System,
    /// All of them: whoever is in between reads the token.
    Nothing,
    /// Those that the authorities of this file, in PEM, vouch for, and no others.
    Authority(PathBuf),
}

impl Default for WebSettings {
    fn default() -> Self {
        WebSettings {
            extra_headers: Vec::new(),
            bearer: None,
            verify: Verify::System,
            timeout: limits::WEB_TIMEOUT,
            pause: limits::WEB_PAUSE,
        }
    }
}

/// A client for one server.
#[derive(Debug, Clone)]
pub struct Web {
    client: Client,
    pause: Duration,
}

/// What a server said, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status: below 300, or 400 and more.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// Whether it is a page for people: something else than the API answered.
    pub is_html: bool,
}

/// No answer was had.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum WebError {
    /// A header cannot be sent. Its value may be a secret.
    #[error(
        "the header {name:?} cannot be sent: write a name of letters and `-`, and a value without line breaks"
    )]
    Header {
        /// Its name.
        name: String,
    },
    /// A header of the settings does what another setting is for.
    #[error("the header {name:?} is set by the program itself: leave it out")]
    HeaderTaken {
        /// Its name.
        name: String,
    },
    /// The certificates cannot be used.
    #[error("use the certificates of {}: {problem}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The URL is none.
    #[error("{url:?} is no URL of a server: write http://HOST:PORT/PATH or https://HOST/PATH")]
    Url {
        /// What was written, without what may be a secret in it.
        url: String,
    },
    /// The server points elsewhere.
    #[error(
        "{url} answers {status} and points to {to}, which is not followed: set the address that it moved to"
    )]
    Redirect {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
        /// Where to, without its query.
        to: String,
    },
    /// The server is not reached, or breaks off.
    #[error("{url} was not reached: {cause}")]
    Unreached {
        /// What was asked.
        url: String,
        /// Why.
        cause: String,
    },
    /// The answer is too long.
    #[error("{url} answers more than {} bytes", limits::WEB_ANSWER_BYTES_MAX)]
    TooLong {
        /// What was asked.
        url: String,
    },
}

impl Web {
    /// Make a client.
    ///
    /// # Errors
    ///
    /// A header or the certificates cannot be used.
    pub fn new(settings: &WebSettings) -> Result<Self, WebError> {
        let client = Client::builder()
            .tls_backend_preconfigured(trust::config(&settings.verify)?)
            .default_headers(headers(settings)?)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(limits::CONNECT_TIMEOUT)
            .timeout(settings.timeout)
            .user_agent(concat!("standpipe/", env!("CARGO_PKG_VERSION")))
            .build()
            .expect("nothing else of it can be wrong");
        Ok(Web { client, pause: settings.pause })
    }

    /// Ask, and ask again where that may help: after 429, 502, 503, 504 or when
    /// the server was not reached. What must not be done twice (POST and PATCH) is
    /// asked again only where it was not done: after 429, or without a connection.
    ///
    /// An answer of any other status is returned as it is, also the last one of
    /// those above.
    ///
    /// # Errors
    ///
    /// There is no answer, it is a redirect, or too long.
    pub async fn ask(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
    ) -> Result<Answer, WebError> {
        let target = reqwest::Url::parse(url).ok().filter(reqwest::Url::has_host);
        let target = target.ok_or_else(|| WebError::Url { url: without_secrets(url) })?;
        let mut pauses = Pauses::new(self.pause, limits::WEB_ATTEMPTS);
        loop {
            let attempt = self.attempt(&method, &target, body).await;
            let Some(told) = attempt.may_help(&method) else { return attempt.into_answer() };
            let Some(pause) = pauses.next(told) else { return attempt.into_answer() };
            tracing::debug!("ask {} again in {pause:?}", without_secrets(url));
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&self, method: &Method, url: &reqwest::Url, body: Option<&Value>) -> Attempt {
        let mut request = self.client.request(method.clone(), url.clone());
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, content_type(method)).body(body.to_string());
        }
        match request.send().await {
            Ok(response) => {
                let retry_after = again::retry_after(response.headers().get(RETRY_AFTER));
                let outcome = read(response, url).await;
                Attempt { outcome, retry_after, is_unsent: false }
            }
            Err(error) => {
                let is_unsent = error.is_connect();
                Attempt { outcome: Err(unreached(url, error)), retry_after: None, is_unsent }
            }
        }
    }
}

/// What came of asking once.
struct Attempt {
    outcome: Result<Answer, WebError>,
    retry_after: Option<Duration>,
    is_unsent: bool,
}

impl Attempt {
    /// Whether asking again may help, and after how long at least.
    fn may_help(&self, method: &Method) -> Option<Duration> {
        let may = match &self.outcome {
            Ok(answer) => again::may_help(answer.status, method),
            Err(WebError::Unreached { .. }) => self.is_unsent || method.is_idempotent(),
            Err(_) => false,
        };
        may.then(|| self.retry_after.unwrap_or_default())
    }

    fn into_answer(self) -> Result<Answer, WebError> {
        self.outcome
    }
}

async fn read(mut response: Response, url: &reqwest::Url) -> Result<Answer, WebError> {
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let to = to.map_or_else(|| "nowhere".to_owned(), without_secrets);
        return Err(WebError::Redirect { url: shown(url), status: status.as_u16(), to });
    }
    let is_page = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/html"));
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| unreached(url, error))? {
        if body.len() + part.len() > limits::WEB_ANSWER_BYTES_MAX {
            return Err(WebError::TooLong { url: shown(url) });
        }
        body.extend_from_slice(&part);
    }
    let is_html = is_page || looks_like_html(&body);
    Ok(Answer { status: status.as_u16(), body, is_html })
}

/// Whether a body begins as pages do: JSON never begins with `<`.
pub(super) fn looks_like_html(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    let begins =
        |with: &[u8]| body.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    begins(b"<!doctype") || begins(b"<html") || begins(b"<head") || begins(b"<body")
}

fn content_type(method: &Method) -> &'static str {
    if method == Method::PATCH { "application/json-patch+json" } else { "application/json" }
}

fn headers(settings: &WebSettings) -> Result<HeaderMap, WebError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.extra_headers {
        let wrong = || WebError::Header { name: name.clone() };
        let key = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
        let is_taken = matches!(key.as_str(), "host" | "content-length" | "content-type")
            || key == "authorization" && settings.bearer.is_some();
        if is_taken {
            return Err(WebError::HeaderTaken { name: name.clone() });
        }
        let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    if let Some(bearer) = &settings.bearer {
        let name = "Authorization".to_owned();
        let value = format!("Bearer {}", bearer.expose());
        let value = HeaderValue::try_from(value).map_err(|_| WebError::Header { name });
        let mut value = value?;
        value.set_sensitive(true);
        headers.insert("authorization", value);
    }
    Ok(headers)
}

fn unreached(url: &reqwest::Url, error: reqwest::Error) -> WebError {
    let is_late = error.is_timeout();
    // Its URL is told apart, and without its query.
    let error = error.without_url();
    let mut cause =
        if is_late { "there was no answer in time".to_owned() } else { error.to_string() };
    let mut next = std::error::Error::source(&error);
    while let Some(source) = next {
        let words = source.to_string();
        if !cause.contains(&words) {
            cause = format!("{cause}: {words}");
        }
        next = source.source();
    }
    WebError::Unreached { url: shown(url), cause }
}

fn shown(url: &reqwest::Url) -> String {
    without_secrets(url.as_str())
}

/// A URL without user, password, query and fragment.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("//") else { return url.to_owned() };
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let url: String = format!("{scheme}//{host}{path}");
    url.chars().take(limits::WEB_URL_SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests;

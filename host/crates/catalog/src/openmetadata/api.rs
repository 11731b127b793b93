//! Requests to the server, and the meaning of its responses.

use serde_json::Value;
use thiserror::Error;

use crate::http_client::{HttpClient, HttpError, HttpResponse, Method};
use standpipe_core::secret::Secret;

/// The REST API of a server.
#[derive(Debug)]
pub(super) struct Api {
    web: HttpClient,
    /// `https://HOST/api/v1`.
    base: String,
    /// The token, which is removed from the server's messages.
    token: Option<Secret>,
}

/// A request to the server that failed.
#[derive(Debug, Clone, Error)]
pub enum RestError {
    /// The server was not reached.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Something other than the API responded.
    #[error(
        "the response of {url} is an HTML page, not OpenMetadata's API: set `url` (`hostPort`) to an address that ends in /api, and check proxies in between"
    )]
    Page {
        /// The requested URL.
        url: String,
    },
    /// The server returned an error.
    #[error("{what} failed with status {status}: {message}{}", status_advice(*status))]
    Refused {
        /// The request.
        what: String,
        /// The status.
        status: u16,
        /// The server's message.
        message: String,
    },
    /// The response cannot be understood.
    #[error("unexpected response to {what}: {problem}")]
    Unreadable {
        /// The request.
        what: String,
        /// The problem.
        problem: String,
    },
}

impl RestError {
    /// The error of a response that lacks a required member.
    pub(super) fn unreadable(method: &str, path: &str, problem: &str) -> Self {
        let what = format!("{method} {}", path.split('?').next().unwrap_or_default());
        RestError::Unreadable { what, problem: problem.to_owned() }
    }

    /// Returns the status of the server's error, if there is one.
    pub fn status(&self) -> Option<u16> {
        match self {
            RestError::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

fn status_advice(status: u16) -> &'static str {
    match status {
        401 => ": check the token (`jwtToken`): it may have expired or belong to another server",
        403 => ": give the bot of this token a role that allows it, such as that of IngestionBot",
        413 => ": reduce `batch` (`bulk_sink_batch_size`)",
        429 | 502..=504 => ": all retries failed; run it again later",
        _ => "",
    }
}

impl Api {
    pub(super) fn new(web: HttpClient, host_port: &str, token: Option<Secret>) -> Self {
        Api { web, base: format!("{}/v1", host_port.trim_end_matches('/')), token }
    }

    /// Reads a JSON object. Returns `None` if it does not exist.
    pub(super) async fn get_object(&self, path: &str) -> Result<Option<Value>, RestError> {
        match self.send(Method::GET, path, None).await {
            Err(RestError::Refused { status: 404, .. }) => Ok(None),
            Ok(answer) if !answer.is_object() => {
                Err(RestError::unreadable("GET", path, "it is not a JSON object"))
            }
            answer => answer.map(Some),
        }
    }

    /// Sends a request. Returns null if the response has no body.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, RestError> {
        let what = format!("{method} {}", path.split('?').next().unwrap_or_default());
        let url = format!("{}{path}", self.base);
        let answer = self.web.send(method, &url, body).await?;
        if answer.is_html {
            return Err(RestError::Page { url: self.base.clone() });
        }
        self.read_response(what, &answer)
    }

    fn read_response(&self, what: String, answer: &HttpResponse) -> Result<Value, RestError> {
        let is_empty = answer.body.trim_ascii().is_empty();
        let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
        match answer.status {
            200..300 if is_empty => Ok(Value::Null),
            200..300 => {
                body.ok_or_else(|| RestError::Unreadable { what, problem: "it is not JSON".into() })
            }
            // Proxies that do not know the path also respond with 404.
            404 if !is_empty && !body.is_some_and(|body| body.is_object()) => {
                let problem = "a 404 that does not come from OpenMetadata: check `url` (`hostPort`) and the proxies in between".into();
                Err(RestError::Unreadable { what, problem })
            }
            status => {
                let message = self.without_token(&error_message(&answer.body));
                Err(RestError::Refused { what, status, message })
            }
        }
    }

    fn without_token(&self, text: &str) -> String {
        match &self.token {
            Some(token) => text.replace(token.expose(), "(the token)"),
            None => text.to_owned(),
        }
    }
}

/// Returns the message of an error response, shortened for display.
pub fn error_message(body: &[u8]) -> String {
    let read: Option<Value> = serde_json::from_slice(body).ok();
    let words = ["message", "errorMessage", "error"].iter().find_map(|key| {
        let words = read.as_ref()?.get(key)?.as_str()?;
        (!words.is_empty()).then(|| words.to_owned())
    });
    let words = words.unwrap_or_else(|| "no reason given".to_owned());
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    words
        .chars()
        .filter(|it| !it.is_control())
        .take(standpipe_core::limits::DETAIL_BYTES_MAX / 4)
        .collect()
}

/// Returns a member of a response that is a non-empty string.
pub(super) fn text_field<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_of_refusals_are_found() {
        for (body, expected) in [
            (&b"{\"code\":400,\"message\":\"a\\n b\"}"[..], "a b"),
            (b"{\"errorMessage\":\"c\"}", "c"),
            (b"[1]", "no reason given"),
            (b"\xff", "no reason given"),
        ] {
            assert_eq!(error_message(body), expected);
        }
    }

    #[test]
    fn a_token_that_comes_back_is_struck_out() {
        let web = HttpClient::new(&crate::http_client::HttpClientSettings::default()).unwrap();
        let api = Api::new(web, "http://a/api/", Some(Secret::new("t0p".into())));
        let body = b"{\"message\":\"t0p is no token\"}".to_vec();
        let answer = HttpResponse { status: 401, body, is_html: false };
        let error = api.read_response("GET /x".into(), &answer).unwrap_err().to_string();
        assert!(
            error.starts_with("GET /x failed with status 401: (the token) is no token"),
            "{error}"
        );
    }

    #[test]
    fn a_404_of_a_proxy_does_not_mean_that_there_is_no_such_thing() {
        let web = HttpClient::new(&crate::http_client::HttpClientSettings::default()).unwrap();
        let api = Api::new(web, "http://a/api", None);
        for (body, expected) in [
            (&b"{\"code\":404,\"message\":\"no such pipeline\"}"[..], Some(404)),
            (b"", Some(404)),
            (b"404 page not found\n", None),
            (b"[]", None),
        ] {
            let answer = HttpResponse { status: 404, body: body.to_vec(), is_html: false };
            let error = api.read_response("GET /x".into(), &answer).unwrap_err();
            assert_eq!(error.status(), expected, "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(error_message(&body).len() <= standpipe_core::limits::DETAIL_BYTES_MAX);
        }
    }
}

//! Sends OpenLineage events to a server such as Marquez, in order. A rejected event is reported,
//! and the others are still sent. If the server does not respond, the remaining events are not
//! sent.

use thiserror::Error;

use super::{JobEvent, LineageName};
use crate::http_client::{HttpClient, HttpError, Method};

/// The default path of a server's API, as in Marquez and similar servers.
const PATH: &str = "/api/v1/lineage";

/// Maximum characters of an error response's body in an error.
const REFUSAL_CHARS_MAX: usize = 300;

/// A server that accepts OpenLineage events.
#[derive(Debug, Clone)]
pub struct LineageServer {
    web: HttpClient,
    url: String,
}

/// The result of sending events.
#[derive(Debug, Default)]
pub struct SendReport {
    /// Number of accepted events.
    pub taken: usize,
    /// The rejected events: the job and the error.
    pub failed: Vec<(LineageName, SendError)>,
}

/// Why an event was not accepted.
#[derive(Debug, Clone, Error)]
pub enum SendError {
    /// There was no response.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server rejected the event.
    #[error("{}", refusal_text(*status, body, *is_html))]
    Refused {
        /// The status.
        status: u16,
        /// The start of the response's body.
        body: String,
        /// Whether the body is an HTML page.
        is_html: bool,
    },
}

impl LineageServer {
    /// Creates a server for a client with the token and the certificates. An example of its URL is
    /// `http://localhost:5000`. The default path is that of Marquez.
    pub fn new(web: HttpClient, url: &str, path: Option<&str>) -> Self {
        let path = path.unwrap_or(PATH).trim_start_matches('/');
        let url = format!("{}/{path}", url.trim_end_matches('/'));
        LineageServer { web, url }
    }

    /// Sends all events in order, even after a rejected one. If the server does not respond, the
    /// remaining events are not sent.
    pub async fn send_all(&self, events: &[JobEvent]) -> SendReport {
        let mut sent = SendReport::default();
        for event in events {
            match self.send_one(event).await {
                Ok(()) => sent.taken += 1,
                Err(error) => {
                    let is_gone = matches!(error, SendError::Http(_));
                    sent.failed.push((event.job().clone(), error));
                    if is_gone {
                        break;
                    }
                }
            }
        }
        sent
    }

    async fn send_one(&self, event: &JobEvent) -> Result<(), SendError> {
        let body = serde_json::to_value(event).expect("all keys are strings");
        let answer = self.web.send(Method::POST, &self.url, Some(&body)).await?;
        match answer.status {
            200..300 if !answer.is_html => Ok(()),
            status => {
                let body = String::from_utf8_lossy(&answer.body);
                let body = body.chars().take(REFUSAL_CHARS_MAX).collect();
                Err(SendError::Refused { status, body, is_html: answer.is_html })
            }
        }
    }
}

fn refusal_text(status: u16, body: &str, is_html: bool) -> String {
    match status {
        _ if is_html => format!(
            "the response ({status}) is an HTML page: check the URL, and proxies in between"
        ),
        401 | 403 => format!("the server rejected the token ({status}): {body}"),
        404 => format!("unknown path ({status}): set `path` to that of this server's API"),
        _ => format!("the server rejected the event ({status}): {body}"),
    }
}

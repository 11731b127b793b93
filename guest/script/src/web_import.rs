//! The client that sends the requests of scripts through the host.

use standpipe_plugin::web::{self, Redirects, Request, Response};

use crate::web::{RequestClient, WebRedirects, WebRequest, WebResponse};

/// The host's import `web`.
pub(crate) struct WebImport;

impl RequestClient for WebImport {
    fn fetch_all(&mut self, requests: Vec<WebRequest>) -> Vec<Result<WebResponse, String>> {
        let requests: Vec<_> = requests.into_iter().map(to_contract).collect();
        let results = web::fetch_all(&requests).into_iter();
        results.map(|result| result.map(from_contract).map_err(|failure| failure.message)).collect()
    }
}

fn to_contract(request: WebRequest) -> Request {
    let WebRequest { method, url, headers, body, redirects, timeout_ms } = request;
    let redirects = match redirects {
        WebRedirects::Follow => Redirects::Follow,
        WebRedirects::Error => Redirects::Error,
        WebRedirects::Manual => Redirects::Manual,
    };
    Request { method, url, headers, body, redirects, timeout_ms }
}

fn from_contract(response: Response) -> WebResponse {
    let Response { url, status, headers, body } = response;
    WebResponse { url, status, headers, body }
}

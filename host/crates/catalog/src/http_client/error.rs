//! Why a request to a catalog server has no usable response. URLs are shown without user, password,
//! query and fragment.

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use standpipe_aws::CertificatesError;
use standpipe_core::error_chain;

use crate::limits;

/// Maximum characters of a URL in an error.
const HTTP_URL_SHOWN_MAX: usize = 300;

/// Why a request has no usable response.
#[derive(Debug, Clone, Error)]
pub enum HttpError {
    /// A header cannot be sent. Its value may be a secret.
    #[error(
        "invalid header {name:?}: write a name of letters and `-`, and a value without line breaks"
    )]
    Header {
        /// The name of the header.
        name: String,
    },
    /// A header in the settings has the function of another setting.
    #[error("the header {name:?} is set by the program itself: remove it")]
    HeaderTaken {
        /// The name of the header.
        name: String,
    },
    /// The certificates cannot be used.
    #[error("failed to read the certificates in {}: {problem}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// The problem of the file.
        #[source]
        problem: Arc<CertificatesError>,
    },
    /// The text is not a URL.
    #[error("invalid URL {url:?}: write http://HOST:PORT/PATH or https://HOST/PATH")]
    Url {
        /// The text without parts that may be secret.
        url: String,
    },
    /// The server redirects.
    #[error(
        "{url} responded with {status} and redirects to {to}; redirects are not followed: set the new address"
    )]
    Redirect {
        /// The requested URL.
        url: String,
        /// The status.
        status: u16,
        /// The target of the redirect, without its query.
        to: String,
    },
    /// The server is not reached, or the connection fails.
    #[error("failed to reach {url}: {}", cause_text(cause))]
    Unreached {
        /// The requested URL.
        url: String,
        /// The error.
        #[source]
        cause: Arc<reqwest::Error>,
    },
    /// The response is too long.
    #[error("the response of {url} is larger than {} bytes", limits::HTTP_ANSWER_BYTES_MAX)]
    TooLong {
        /// The requested URL.
        url: String,
    },
}

pub(super) fn unreachable_error(url: &reqwest::Url, error: reqwest::Error) -> HttpError {
    // The error already contains the URL without its query.
    HttpError::Unreached {
        url: without_secrets(url.as_str()),
        cause: Arc::new(error.without_url()),
    }
}

fn cause_text(error: &reqwest::Error) -> String {
    match (error.is_timeout(), error.source()) {
        (true, None) => LATE.to_owned(),
        (true, Some(source)) => format!("{LATE}: {}", error_chain(source)),
        (false, _) => error_chain(error),
    }
}

/// Replaces the text of the client.
const LATE: &str = "no response in time";

/// A URL without user, password, query and fragment.
pub(super) fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("//") else { return url.to_owned() };
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let url: String = format!("{scheme}//{host}{path}");
    url.chars().take(HTTP_URL_SHOWN_MAX).collect()
}

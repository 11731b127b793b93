//! Why a request to a catalog server had no usable response. URLs are shown without user, password,
//! query and fragment.

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use standpipe_aws::CertificatesError;
use standpipe_core::error_chain;

use crate::limits;

/// Characters of a URL that an error shows.
const HTTP_URL_SHOWN_MAX: usize = 300;

/// Why a request has no usable response.
#[derive(Debug, Clone, Error)]
pub enum HttpError {
    /// A header cannot be sent. Its value may be a secret.
    #[error(
        "invalid header {name:?}: write a name of letters and `-`, and a value without line breaks"
    )]
    Header {
        /// Its name.
        name: String,
    },
    /// A header of the settings does what another setting is for.
    #[error("the header {name:?} is set by the program itself: remove it")]
    HeaderTaken {
        /// Its name.
        name: String,
    },
    /// The certificates cannot be used.
    #[error("failed to read the certificates in {}: {problem}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        problem: Arc<CertificatesError>,
    },
    /// The text is not a URL.
    #[error("invalid URL {url:?}: write http://HOST:PORT/PATH or https://HOST/PATH")]
    Url {
        /// What was written, without what may be a secret in it.
        url: String,
    },
    /// The server redirects.
    #[error(
        "{url} responded with {status} and redirects to {to}; redirects are not followed: set the new address"
    )]
    Redirect {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
        /// Where to, without its query.
        to: String,
    },
    /// The server is not reached, or the connection breaks.
    #[error("failed to reach {url}: {}", cause_text(cause))]
    Unreached {
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        cause: Arc<reqwest::Error>,
    },
    /// The response is too long.
    #[error("the response of {url} is larger than {} bytes", limits::HTTP_ANSWER_BYTES_MAX)]
    TooLong {
        /// What was asked.
        url: String,
    },
}

pub(super) fn unreachable_error(url: &reqwest::Url, error: reqwest::Error) -> HttpError {
    // The error has the URL already, without its query.
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

/// The text in place of the client's own.
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

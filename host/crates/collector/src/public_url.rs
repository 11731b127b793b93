//! The URL to which SDKs send events, from the settings, a trusted proxy or the request. Also
//! explains why the URL may not work for SDKs.

use std::fmt;
use std::net::IpAddr;

use hyper::Uri;
use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use thiserror::Error;

use standpipe_http::{Forwarded, is_host, is_private};

/// Suffixes of names that only internal networks resolve, and of AWS machines and load balancers,
/// which have no certificate of their own.
const INTERNAL_SUFFIXES: [&str; 9] = [
    ".internal",
    ".local",
    ".localhost",
    ".localdomain",
    ".lan",
    ".svc",
    ".home.arpa",
    ".amazonaws.com",
    ".amazonaws.com.cn",
];

/// The URL at which clients reach the collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    is_encrypted: bool,
    /// The host, the port if it is not the default, and a path without a trailing slash.
    location: String,
}

/// The text is not a public URL.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "invalid URL {0:?}: expected one such as \"https://collect.example\" or \"https://example.com/collect\", without a query"
)]
pub struct InvalidPublicUrl(String);

impl PublicUrl {
    /// Parses a URL in the settings.
    ///
    /// # Errors
    ///
    /// Fails if the URL is not `http` or `https`, has no host, or has more parts than a host and a
    /// path.
    pub fn parse(text: &str) -> Result<Self, InvalidPublicUrl> {
        let invalid = || InvalidPublicUrl(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| invalid())?;
        let is_encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(invalid()),
        };
        let host = uri.authority().map(Authority::as_str).filter(|host| is_host(host));
        let host = host.ok_or_else(invalid)?;
        if uri.query().is_some() || text.contains('#') {
            return Err(invalid());
        }
        let path = uri.path().trim_end_matches('/');
        Ok(PublicUrl { is_encrypted, location: format!("{host}{path}") })
    }

    /// Derives the URL from a request: its own host, or the host in a trusted proxy's headers.
    /// `None` if there is no host.
    pub(super) fn of_request(
        parts: &Parts,
        is_encrypted: bool,
        forwarded: Option<Forwarded<'_>>,
    ) -> Option<Self> {
        let own = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        let own =
            own.or_else(|| Some(parts.uri.authority()?.as_str())).filter(|host| is_host(host));
        let host = forwarded.and_then(Forwarded::host).or(own)?;
        let is_encrypted = forwarded.and_then(Forwarded::is_encrypted).unwrap_or(is_encrypted);
        Some(PublicUrl { is_encrypted, location: host.to_owned() })
    }

    /// Returns host, port and path: the URL without its scheme.
    pub(super) fn location(&self) -> &str {
        &self.location
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.is_encrypted { "https" } else { "http" }
    }

    /// Returns why a page of this origin, or an app without an origin, probably cannot send to the
    /// URL.
    pub(super) fn problem(&self, origin: Option<&str>) -> Option<&'static str> {
        if is_internal(&self.location) && !origin.is_some_and(is_internal_origin) {
            Some("which looks like a host that clients cannot reach")
        } else if !self.is_encrypted && origin.is_some_and(|origin| origin.starts_with("https:")) {
            Some("and browsers send nothing there from a page that was loaded over https")
        } else {
            None
        }
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}://{}", self.scheme(), self.location))
    }
}

fn is_internal_origin(origin: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, location)| is_internal(location))
}

/// Returns whether a host, with or without port and path, looks internal.
fn is_internal(location: &str) -> bool {
    let host = location.split('/').next().unwrap_or_default();
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<IpAddr>().is_ok_and(is_private);
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if let Ok(address) = name.parse::<IpAddr>() {
        return is_private(address);
    }
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    !name.contains('.') || INTERNAL_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_the_settings_is_a_host_and_a_path() {
        for (text, scheme, location) in [
            ("https://collect.example", "https", "collect.example"),
            ("https://collect.example/", "https", "collect.example"),
            ("http://collect.example:8080", "http", "collect.example:8080"),
            ("https://example.com/a/b//", "https", "example.com/a/b"),
            ("HTTPS://[2001:db8::1]:8443", "https", "[2001:db8::1]:8443"),
        ] {
            let url = PublicUrl::parse(text).unwrap();
            assert_eq!((url.scheme(), url.location()), (scheme, location), "{text}");
        }
        for wrong in [
            "",
            "collect.example",
            "//collect.example",
            "ftp://collect.example",
            "https://",
            "https:///path",
            "https://user@collect.example",
            "https://user:password@collect.example",
            "https://collect.example?a=b",
            "https://collect.example#a",
            "https://collect example",
            "/path",
        ] {
            assert_eq!(PublicUrl::parse(wrong), Err(InvalidPublicUrl(wrong.to_owned())), "{wrong}");
        }
    }

    #[test]
    fn hosts_of_the_inside_look_like_it() {
        for inside in [
            "localhost",
            "localhost:8080",
            "collector",
            "collector:8080/path",
            "127.0.0.1:8080",
            "10.0.0.7",
            "[::1]:8080",
            "[fd00::1]",
            "ip-10-0-0-7.eu-west-1.compute.internal",
            "collector.default.svc",
            "collector.default.svc.cluster.local:8080",
            "Internal-A-1.eu-west-1.ELB.amazonaws.com.",
        ] {
            assert!(is_internal(inside), "{inside}");
        }
        for outside in
            ["collect.example", "collect.example:8443/path", "203.0.113.7", "[2001:db8::1]:8443"]
        {
            assert!(!is_internal(outside), "{outside}");
        }
    }

    #[test]
    fn what_clients_cannot_reach_is_a_problem() {
        let problem = |url: &str, origin| PublicUrl::parse(url).unwrap().problem(origin).is_some();
        let page = Some("https://shop.example");
        assert!(problem("https://10.0.0.7", page) && problem("http://backend:8080", None));
        assert!(problem("http://collect.example", page));
        assert!(
            !problem("https://collect.example", page) && !problem("http://collect.example", None)
        );
        assert!(!problem("http://collect.example", Some("http://shop.example")));
        // Local tests on one machine are not a problem.
        assert!(!problem("http://localhost:8080", Some("http://localhost:3000")));
    }
}

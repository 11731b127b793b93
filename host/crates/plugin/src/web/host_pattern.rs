//! The hosts that a plugin may reach, as an operator writes them, and the check of a URL.

use std::fmt;
#[cfg(feature = "network")]
use std::net::IpAddr;

use thiserror::Error;
use url::{Host, Url};

/// Bytes of a pattern. A host name has at most 253 characters, before a port.
///
/// Source: RFC 1035, section 2.3.4.
const PATTERN_BYTES_MAX: usize = 300;

/// Bytes of a URL. Servers refuse longer ones.
///
/// Source: RFC 9110, section 4.1, recommends to support 8,000; the limit is twice as much.
const URL_BYTES_MAX: usize = 16 * 1024;

/// Hosts that requests may go to: `api.example.com`, `*.example.com` or `api.example.com:8443`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    host: Host,
    /// Whether the pattern stands for the names below the host, and not for the host itself.
    is_below: bool,
    /// `None` for the usual port of the scheme.
    port: Option<u16>,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidHostPattern {
    /// The text has a scheme, a user or a path.
    #[error("write the host alone, such as \"api.example.com\"")]
    Url,
    /// The star stands for something other than the first labels of a name.
    #[error("write `*` only at the start, before a domain, such as \"*.example.com\"")]
    Star,
    /// The text is not a host.
    #[error(
        "write a host, such as \"api.example.com\", \"*.example.com\" or \"api.example.com:8443\""
    )]
    Host,
}

/// Why a request cannot be sent to a URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RefusedUrl {
    /// The text is not an absolute URL.
    #[error("Invalid URL")]
    Invalid,
    /// The URL has another scheme.
    #[error("invalid protocol, only http and https are supported")]
    Scheme,
    /// No pattern allows the host.
    #[error("requests to {host} are not allowed: add \"{host}\" to `allow` under [plugin.network]")]
    Host {
        /// The host, with its port if that is not the usual one.
        host: String,
    },
}

impl HostPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    ///
    /// Fails if the text is not a host, with a star or a port or both. A star alone is an error
    /// because it would allow each server that someone sets up to collect events.
    pub fn parse(text: &str) -> Result<Self, InvalidHostPattern> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(InvalidHostPattern::Host);
        }
        if text.contains(['/', '@', '?', '#', '\\']) {
            return Err(InvalidHostPattern::Url);
        }
        let (rest, is_below) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        if rest.contains('*') {
            return Err(InvalidHostPattern::Star);
        }
        let (host, port) = match rest.rsplit_once(':') {
            // The colons of an IPv6 address are in brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let port = port.map(|port| port.parse().ok().filter(|&port| port > 0));
        let port = port.map(|port| port.ok_or(InvalidHostPattern::Host)).transpose()?;
        let host = Host::parse(host).map_err(|_| InvalidHostPattern::Host)?;
        match &host {
            Host::Domain(name)
                if name.is_empty() || name.contains("..") || name.starts_with('.') =>
            {
                Err(InvalidHostPattern::Host)
            }
            Host::Ipv4(_) | Host::Ipv6(_) if is_below => Err(InvalidHostPattern::Star),
            _ => Ok(HostPattern { host, is_below, port }),
        }
    }

    /// Whether requests to this URL may be sent.
    fn allows(&self, url: &Url) -> bool {
        let is_port = match self.port {
            Some(port) => url.port_or_known_default() == Some(port),
            // A URL without a port has the usual one.
            None => url.port().is_none(),
        };
        is_port
            && match (url.host(), &self.host) {
                (Some(Host::Domain(name)), Host::Domain(domain)) if self.is_below => {
                    let start = name.strip_suffix(domain.as_str());
                    start.is_some_and(|start| start.len() > 1 && start.ends_with('.'))
                }
                (Some(host), own) => !self.is_below && host.to_owned() == *own,
                (None, _) => false,
            }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.is_below { "*." } else { "" };
        write!(f, "{star}{}", self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Parses the URL of a request, and checks its scheme and its host.
///
/// # Errors
///
/// Fails if a request may not be sent there.
pub fn check_url(text: &str, allow: &[HostPattern]) -> Result<Url, RefusedUrl> {
    let url = Some(text).filter(|text| text.len() <= URL_BYTES_MAX);
    let url = url.and_then(|text| Url::parse(text).ok()).ok_or(RefusedUrl::Invalid)?;
    check_parsed_url(&url, allow)?;
    Ok(url)
}

/// Checks the scheme and the host of a URL.
pub(super) fn check_parsed_url(url: &Url, allow: &[HostPattern]) -> Result<(), RefusedUrl> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(RefusedUrl::Scheme);
    }
    if allow.iter().any(|pattern| pattern.allows(url)) {
        return Ok(());
    }
    Err(RefusedUrl::Host { host: host_and_port(url) })
}

/// The host of a URL, with its port if that is not the usual one.
pub(super) fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The address that the host of a URL is, if it is no name.
#[cfg(feature = "network")]
pub(super) fn literal_address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, url: &str) -> bool {
        check_url(url, &[HostPattern::parse(pattern).unwrap()]).is_ok()
    }

    #[test]
    fn a_pattern_allows_its_hosts_and_no_others() {
        for (pattern, url) in [
            ("api.example.com", "https://api.example.com/x?y"),
            ("api.example.com", "http://API.example.com:80"),
            ("API.example.com", "https://api.example.com:443/"),
            ("api.example.com:8443", "https://user@api.example.com:8443/"),
            ("api.example.com:443", "https://api.example.com/"),
            ("*.example.com", "https://a.b.example.com/"),
            ("*.example.com:8080", "http://a.example.com:8080/"),
            ("bücher.example", "https://xn--bcher-kva.example/"),
            ("10.1.2.3", "http://10.1.2.3/"),
            ("10.1.2.3", "http://167838211/"),
            ("[::1]:8080", "http://[0:0::1]:8080/"),
            ("localhost:8080", "http://localhost:8080/"),
        ] {
            assert!(allows(pattern, url), "{pattern} {url}");
        }
        for (pattern, url) in [
            ("api.example.com", "https://example.com/"),
            ("api.example.com", "https://api.example.com.evil.com/"),
            ("api.example.com", "https://api.example.com@evil.com/"),
            ("api.example.com", "https://evil.com\\@api.example.com/"),
            ("api.example.com", "https://evil.com#@api.example.com/"),
            ("api.example.com", "https://api.example.com./"),
            ("api.example.com", "https://api.example.com:8443/"),
            ("api.example.com", "http://api.example.com:443/"),
            ("api.example.com:8443", "https://api.example.com/"),
            ("*.example.com", "https://example.com/"),
            ("*.example.com", "https://.example.com/"),
            ("*.example.com", "https://evilexample.com/"),
            ("10.1.2.3", "http://10.1.2.4/"),
            ("api.example.com", "file:///etc/passwd"),
            ("api.example.com", "ftp://api.example.com/"),
            ("api.example.com", "data:text/plain,x"),
            ("api.example.com", "/path"),
            ("api.example.com", ""),
        ] {
            assert!(!allows(pattern, url), "{pattern} {url}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        use InvalidHostPattern as Invalid;
        for (text, expected) in [
            ("https://api.example.com", Invalid::Url),
            ("api.example.com/path", Invalid::Url),
            ("user@api.example.com", Invalid::Url),
            ("*", Invalid::Star),
            ("*.*.example.com", Invalid::Star),
            ("api.*.com", Invalid::Star),
            ("*example.com", Invalid::Star),
            ("*.10.1.2.3", Invalid::Star),
            ("", Invalid::Host),
            ("*.", Invalid::Host),
            ("api.example.com:", Invalid::Host),
            ("api.example.com:0", Invalid::Host),
            ("api.example.com:65536", Invalid::Host),
            ("api example.com", Invalid::Host),
            ("::1", Invalid::Host),
        ] {
            assert_eq!(HostPattern::parse(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn a_refused_url_names_the_setting() {
        let error = check_url("http://user:password@a.example:81/secret?key=1", &[]).unwrap_err();
        let expected = "requests to a.example:81 are not allowed: add \"a.example:81\" to `allow` \
                        under [plugin.network]";
        assert_eq!(error.to_string(), expected);
    }
}

//! The part of a request before its body: write key, client address, origin, encoding. The key is
//! checked before a byte of the body is read.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, HeaderValue, ORIGIN};
use hyper::http::request::Parts;

use super::proxies::Proxies;
use super::refusal_reason::RefusalReason;
use super::refused_request::RefusedRequest;
use super::source::{CollectorSource, SourceRegistry};
use crate::content_encoding::Encoding;
use standpipe_http::Peer;

/// The query parameter with the write key.
pub(super) const KEY_PARAMETER: &str = "writeKey";

/// The parts of a request before its body.
#[derive(Debug)]
pub(super) struct RequestHead {
    /// The write key, if it is not in the body.
    pub(super) write_key: Option<String>,
    /// Whether the headers contain this key, and not the query.
    pub(super) is_key_in_headers: bool,
    /// The user's address.
    pub(super) ip: IpAddr,
    /// The client to which the body's memory counts, if clients can be distinguished.
    pub(super) client: Option<IpAddr>,
    /// Whether a page sent the request, according to its origin or its path.
    pub(super) is_of_page: bool,
    /// The encoding, or `None` if it is unknown.
    pub(super) encoding: Option<Encoding>,
    origin: Option<String>,
}

impl RequestHead {
    pub(super) fn of(parts: &Parts, peer: Peer, proxies: &Proxies) -> Self {
        let Parts { headers, uri, .. } = parts;
        let origin = header_text(headers, ORIGIN.as_str()).map(str::to_owned);
        let encoding = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
        let header_key = find_header_key(headers);
        RequestHead {
            is_key_in_headers: header_key.is_some(),
            write_key: header_key.or_else(|| find_query_key(uri.query().unwrap_or_default())),
            ip: proxies.user_address(headers, peer.address),
            client: proxies.client_address(headers, peer.address),
            is_of_page: origin.is_some(),
            encoding: encoding.map_or(Some(Encoding::Identity), Encoding::from_header),
            origin,
        }
    }

    /// Finds the source of a write key, and checks that it accepts requests from this origin.
    pub(super) fn find_source(
        &self,
        key: &str,
        sources: &SourceRegistry,
    ) -> Result<Arc<CollectorSource>, RefusedRequest> {
        let source = sources.find_by_key(key).ok_or_else(RefusedRequest::unknown_key)?;
        if !source.settings.enabled {
            return Err(RefusedRequest::new(RefusalReason::SourceDisabled, "source is disabled")
                .of_source(&source));
        }
        if !source.accepts_origin(self.origin.as_deref()) {
            let text = "this origin is not among the source's allowed_origins";
            return Err(RefusedRequest::new(RefusalReason::Origin, text).of_source(&source));
        }
        Ok(source)
    }
}

/// The write key in the headers.
fn find_header_key(headers: &HeaderMap) -> Option<String> {
    header_text(headers, AUTHORIZATION.as_str()).and_then(basic_user)
}

/// The write key in the query.
fn find_query_key(query: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let key = pairs.find(|(name, _)| name == KEY_PARAMETER).map(|(_, key)| key.into_owned());
    key.filter(|key| !key.is_empty())
}

/// The user of Basic authentication, with any password.
fn basic_user(authorization: &str) -> Option<String> {
    let (scheme, credentials) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64_simd::STANDARD.decode_to_vec(credentials.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (user, _) = decoded.split_once(':').unwrap_or((&decoded, ""));
    (!user.is_empty()).then(|| user.to_owned())
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use hyper::Request;
    use standpipe_http::TrustedProxies;

    use super::*;

    const PEER: Peer =
        Peer { address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), is_encrypted: false };

    fn head(uri: &str, headers: &[(&str, &str)]) -> RequestHead {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let proxies = Proxies::new(TrustedProxies::default(), None);
        RequestHead::of(&request.body(()).unwrap().into_parts().0, PEER, &proxies)
    }

    #[test]
    fn the_write_key_stands_in_the_headers_or_in_the_query() {
        let key = |uri, headers: &[_]| head(uri, headers).write_key;
        // `key:` and `ignored:password`.
        assert_eq!(key("/", &[("Authorization", "Basic a2V5Og==")]).as_deref(), Some("key"));
        let both = key("/?writeKey=other", &[("authorization", "basic aWdub3JlZDpwYXNzd29yZA==")]);
        assert_eq!(both.as_deref(), Some("ignored"));
        assert_eq!(key("/?a=1&writeKey=k%2Fy", &[]).as_deref(), Some("k/y"));
        for nothing in ["Bearer a2V5Og==", "Basic", "Basic Og==", "Basic !", "Basic //8="] {
            assert_eq!(key("/?writeKey=", &[("authorization", nothing)]), None, "{nothing}");
        }
    }

    #[test]
    fn the_address_is_what_a_believed_proxy_saw() {
        let ip = |forwarded| head("/", &[("X-Forwarded-For", forwarded)]).ip.to_string();
        assert_eq!(ip("203.0.113.7, 10.0.0.1"), "203.0.113.7");
        assert_eq!(ip(" [2001:db8::1]:443 "), "2001:db8::1");
        assert_eq!(ip("\"};evil"), "127.0.0.1");
    }
}

//! The parts of a request that the function of its source gets, without the write key.
//!
//! A function can verify the signature of a request, so everything else is passed on as received:
//! the path, the order and the text of the query, the headers and the body. The write key is only for
//! the collector: it is removed from the query and from the headers.

use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;

use super::request_head::{KEY_PARAMETER, RequestHead};
use standpipe_plugin_host::FunctionRequest;

/// The relevant parts of a request for a function besides its body.
#[derive(Debug)]
pub(super) struct FunctionHead(FunctionRequest);

impl FunctionHead {
    /// `sent_to` is the scheme and the host of the request.
    pub(super) fn of(parts: &Parts, head: &RequestHead, sent_to: &str) -> Self {
        let path = parts.uri.path();
        let query = remove_key(parts.uri.query().unwrap_or_default());
        let mark = if query.is_empty() { "" } else { "?" };
        // The function gets the body without compression, and its length need not be said.
        let mut left_out = vec![CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING];
        left_out.extend(head.is_key_in_headers.then_some(AUTHORIZATION));
        let headers = parts.headers.iter().filter(|(name, _)| !left_out.contains(*name));
        let headers =
            headers.map(|(name, value)| (name.as_str().to_owned(), latin1_text(value.as_bytes())));
        FunctionHead(FunctionRequest {
            method: parts.method.as_str().to_owned(),
            url: format!("{sent_to}{path}{mark}{query}"),
            headers: headers.collect(),
            body: Vec::new(),
        })
    }

    /// The request with its body.
    pub(super) fn with_body(self, body: Vec<u8>) -> FunctionRequest {
        FunctionRequest { body, ..self.0 }
    }
}

/// Whether a part of a path is this name, percent-encoded.
pub(super) fn is_name(encoded: &str, name: &str) -> bool {
    percent_decode_str(encoded).eq(name.bytes())
}

/// The query without the write key. The other parameters keep their text.
fn remove_key(query: &str) -> String {
    let is_key = |parameter: &&str| {
        form_urlencoded::parse(parameter.as_bytes()).any(|(name, _)| name == KEY_PARAMETER)
    };
    let kept: Vec<_> = query.split('&').filter(|parameter| !is_key(parameter)).collect();
    kept.join("&")
}

/// A text in which each character is one byte.
fn latin1_text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => text.to_owned(),
        _ => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

/// The events of a function as the body of a batch.
pub(super) fn batch_of(events: &[String]) -> Vec<u8> {
    let bytes = events.iter().map(|event| event.len() + 1).sum::<usize>();
    let mut body = Vec::with_capacity(bytes + BATCH_START.len() + BATCH_END.len());
    body.extend_from_slice(BATCH_START);
    for (position, event) in events.iter().enumerate() {
        body.extend_from_slice(if position > 0 { b"," } else { b"" });
        body.extend_from_slice(event.as_bytes());
    }
    body.extend_from_slice(BATCH_END);
    body
}

const BATCH_START: &[u8] = b"{\"batch\":[";
const BATCH_END: &[u8] = b"]}";

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use hyper::Request;
    use proptest::prelude::*;
    use standpipe_http::{Peer, TrustedProxies};

    use super::super::proxies::Proxies;
    use super::*;

    const PEER: Peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), is_encrypted: false };

    fn function_request(uri: &str, headers: &[(&str, &[u8])]) -> FunctionRequest {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        let proxies = Proxies::new(TrustedProxies::default(), None);
        let head = RequestHead::of(&parts, PEER, &proxies);
        FunctionHead::of(&parts, &head, &proxies.sent_to(&parts, PEER)).with_body(b"b".to_vec())
    }

    #[test]
    fn everything_but_the_key_reaches_the_function() {
        let basic = b"Basic a2V5Og==".as_slice();
        let request = function_request(
            "/v1/functions/a%20b?x=1&y=a+b&writeKey=key&x=%32&write%4Bey=key",
            &[
                ("Host", b"hooks.example"),
                ("X-Signature", b"t=1,v1=\xe9"),
                ("Cookie", b"a=1"),
                ("cookie", b"b=2"),
                ("Authorization", basic),
                ("Content-Encoding", b"gzip"),
                ("Content-Length", b"9"),
            ],
        );
        assert_eq!(request.url, "http://hooks.example/v1/functions/a%20b?x=1&y=a+b&x=%32");
        assert_eq!((request.method.as_str(), &request.body[..]), ("POST", &b"b"[..]));
        let headers: Vec<_> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            headers,
            [
                ("host", "hooks.example"),
                ("x-signature", "t=1,v1=\u{e9}"),
                ("cookie", "a=1"),
                ("cookie", "b=2"),
            ]
        );
        // The function checks credentials that are not the key.
        let bearer = ("Authorization", b"Bearer t".as_slice());
        let request = function_request("/v1/functions/a?writeKey=key", &[bearer]);
        assert_eq!(request.url, "http://localhost/v1/functions/a");
        assert_eq!(request.headers, [("authorization".to_owned(), "Bearer t".to_owned())]);
    }

    #[test]
    fn a_name_is_compared_byte_by_byte() {
        for (encoded, name) in
            [("shop", "shop"), ("a%2Fb%20c", "a/b c"), ("%C3%A9", "é"), ("é", "é")]
        {
            assert!(is_name(encoded, name), "{encoded}");
        }
        for (encoded, name) in
            [("shop", "Shop"), ("a+b", "a b"), ("%E9", "é"), ("%", ""), ("", "a")]
        {
            assert!(!is_name(encoded, name), "{encoded}");
        }
    }

    proptest! {
        #[test]
        fn no_key_is_left_and_no_other_parameter_is_lost(query in "(writeKey|w|%77riteKey|[&=%+a7])*") {
            let kept = remove_key(&query);
            let pairs = |text: &str| -> Vec<_> {
                let pairs = form_urlencoded::parse(text.as_bytes());
                pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
            };
            let mut expected = pairs(&query);
            expected.retain(|(name, _)| name != KEY_PARAMETER);
            prop_assert_eq!(pairs(&kept), expected);
        }
    }
}

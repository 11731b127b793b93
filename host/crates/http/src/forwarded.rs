//! Reads the headers that proxies set about the client of a request: `X-Forwarded-For`, `-Host` and
//! `-Proto`, and `Forwarded` of RFC 7239.
//!
//! Any client can send these headers. [`TrustedProxies`](super::TrustedProxies) determines whether
//! they are trusted.

use std::net::{IpAddr, Ipv6Addr};

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName, HeaderValue};
use hyper::http::uri::Authority;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The headers that proxies add to a request.
#[derive(Debug, Clone, Copy)]
pub struct Forwarded<'a>(&'a HeaderMap);

impl<'a> Forwarded<'a> {
    /// Selects these headers.
    pub fn new(headers: &'a HeaderMap) -> Self {
        Forwarded(headers)
    }

    /// Whether one of the headers names an address.
    pub fn names_addresses(self) -> bool {
        self.0.contains_key(X_FORWARDED_FOR) || self.0.contains_key(FORWARDED)
    }

    /// The addresses that proxies have noted, the client's first: those of `X-Forwarded-For`, or
    /// else of `Forwarded`. `None` for each address that cannot be parsed.
    pub fn addresses(self) -> impl DoubleEndedIterator<Item = Option<IpAddr>> + use<'a> {
        let is_list = self.0.contains_key(X_FORWARDED_FOR);
        let name = if is_list { X_FORWARDED_FOR } else { FORWARDED };
        let elements = self.0.get_all(name).iter().flat_map(|value| header_text(value).split(','));
        let addresses = elements.map(move |element| match is_list {
            true => strip_quotes(element),
            false => forwarded_parameter(element, "for").unwrap_or_default(),
        });
        addresses.filter(|address| !address.is_empty()).map(parse_address)
    }

    /// The host that the client requested, with its port if it is not the default.
    pub fn host(self) -> Option<&'a str> {
        let host = self.first_element(&X_FORWARDED_HOST).or_else(|| self.parameter("host"));
        host.filter(|host| is_host(host))
    }

    /// Whether the client's connection is encrypted.
    pub fn is_encrypted(self) -> Option<bool> {
        let scheme = self.first_element(&X_FORWARDED_PROTO).or_else(|| self.parameter("proto"))?;
        let is = |known: &str| scheme.eq_ignore_ascii_case(known);
        if is("https") || is("wss") {
            Some(true)
        } else {
            (is("http") || is("ws")).then_some(false)
        }
    }

    /// The first element of a header with a list.
    fn first_element(self, name: &HeaderName) -> Option<&'a str> {
        let elements = self.0.get_all(name).iter().flat_map(|value| header_text(value).split(','));
        elements.map(strip_quotes).find(|element| !element.is_empty())
    }

    /// A parameter of the first element of `Forwarded`.
    fn parameter(self, name: &str) -> Option<&'a str> {
        forwarded_parameter(self.first_element(&FORWARDED)?, name)
    }
}

/// Whether a text is a host, with a port or without, and nothing else.
pub fn is_host(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else { return false };
    let host = authority.host();
    // If a user precedes the host, the text does not start with a host.
    let port = text.strip_prefix(host).filter(|_| !host.is_empty());
    port.is_some_and(|port| port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// Returns a header's text. A text that is not ASCII is neither an address nor a host.
fn header_text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or("?")
}

/// The value of a parameter in an element of `Forwarded`, such as `for="[2001:db8::1]:4711"`.
fn forwarded_parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(known, _)| known.trim().eq_ignore_ascii_case(name))?;
    Some(strip_quotes(value))
}

fn strip_quotes(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.map_or(text, str::trim)
}

/// Parses an address as proxies write it: IPv4 or IPv6, with or without a port, IPv6 with or
/// without brackets. Without brackets, digits after the last colon are a port only if the whole
/// text is not an address.
fn parse_address(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let port = port.trim();
        let is_whole = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return parse_ipv6(address.trim()).filter(|_| is_whole);
    }
    let parse = |text: &str| match text.parse::<IpAddr>() {
        Ok(address) => Some(address.to_canonical()),
        Err(_) => parse_ipv6(text),
    };
    parse(text).or_else(|| {
        let (address, port) = text.rsplit_once(':')?;
        parse(address.trim()).filter(|_| is_port(port))
    })
}

/// Parses an IPv6 address and ignores its zone, which has no meaning on other machines.
fn parse_ipv6(text: &str) -> Option<IpAddr> {
    let (address, _zone) = text.split_once('%').unwrap_or((text, ""));
    address.parse::<Ipv6Addr>().ok().map(|address| IpAddr::V6(address).to_canonical())
}

fn is_port(text: &str) -> bool {
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        });
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        headers
    }

    fn addresses(pairs: &[(&'static str, &str)]) -> Vec<String> {
        let headers = headers(pairs);
        let shown = |address: Option<IpAddr>| address.map_or("-".to_owned(), |it| it.to_string());
        Forwarded::new(&headers).addresses().map(shown).collect()
    }

    #[test]
    fn an_address_is_read_as_every_proxy_writes_it() {
        for (text, expected) in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7:51234", "203.0.113.7"),
            ("203.0.113.7:0", "203.0.113.7"),
            ("\t 203.0.113.7 :51234  ", "203.0.113.7"),
            ("\"203.0.113.7:51234\"", "203.0.113.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("2001:DB8:0:0:0:0:0:7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:443", "2001:db8::7"),
            ("\"[2001:db8::7]:443\"", "2001:db8::7"),
            ("[ 2001:db8::7 ] :443", "2001:db8::7"),
            // Five digits are not a valid part of an address, and neither is a ninth part.
            ("2001:db8::7:51234", "2001:db8::7"),
            ("2001:db8:1:2:3:4:5:7:443", "2001:db8:1:2:3:4:5:7"),
            ("fe80::7%eth0", "fe80::7"),
            ("[fe80::7%25eth0]:443", "fe80::7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("[::ffff:203.0.113.7]:51234", "203.0.113.7"),
        ] {
            assert_eq!(addresses(&[("x-forwarded-for", text)]), [expected], "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in [
            "unknown",
            "_hidden",
            "203.0.113.7:",
            "203.0.113.7:65536",
            "203.0.113.7:-1",
            "203.0.113.7:+1",
            "203.0.113.256",
            "203.0.113",
            "[203.0.113.7]",
            "[2001:db8::7",
            "2001:db8::7]",
            "[2001:db8::7]x",
            "[2001:db8::7]:x",
            "http://203.0.113.7",
            "\"};evil",
            "ä",
        ] {
            assert_eq!(addresses(&[("x-forwarded-for", text)]), ["-"], "{text}");
        }
    }

    #[test]
    fn lists_may_be_divided_in_any_way() {
        let expected = ["203.0.113.7", "10.0.0.1", "10.0.0.2"];
        for lines in [
            &["203.0.113.7, 10.0.0.1, 10.0.0.2"][..],
            &["203.0.113.7,10.0.0.1 ,10.0.0.2"],
            &["203.0.113.7", "10.0.0.1,  10.0.0.2"],
            &[" ,203.0.113.7,, \t10.0.0.1,", "", "10.0.0.2,"],
        ] {
            let pairs: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            assert_eq!(addresses(&pairs), expected, "{lines:?}");
        }
        assert_eq!(addresses(&[("x-forwarded-for", "")]), [""; 0]);
        assert_eq!(addresses(&[]), [""; 0]);
    }

    #[test]
    fn the_header_of_rfc_7239_is_read() {
        let of = |text| addresses(&[("forwarded", text)]);
        assert_eq!(of("for=192.0.2.60;proto=http;by=203.0.113.43"), ["192.0.2.60"]);
        assert_eq!(of("For=\"[2001:db8:cafe::17]:4711\""), ["2001:db8:cafe::17"]);
        assert_eq!(
            of("for=192.0.2.43, for=\"192.0.2.44:47011\" , FOR = unknown"),
            ["192.0.2.43", "192.0.2.44", "-"]
        );
        assert_eq!(of("proto=https;host=shop.example"), [""; 0]);
        // Most proxies append to this header, so it has priority.
        let both = [("forwarded", "for=192.0.2.60"), ("x-forwarded-for", "203.0.113.7")];
        assert_eq!(addresses(&both), ["203.0.113.7"]);
    }

    #[test]
    fn host_and_scheme_are_those_of_the_first_proxy() {
        fn of(pairs: &[(&'static str, &str)]) -> (Option<String>, Option<bool>) {
            let headers = headers(pairs);
            let forwarded = Forwarded::new(&headers);
            (forwarded.host().map(str::to_owned), forwarded.is_encrypted())
        }
        let host = |text: &str| Some(text.to_owned());
        assert_eq!(of(&[]), (None, None));
        let pairs =
            [("x-forwarded-host", "t.example:8443, inner"), ("x-forwarded-proto", "HTTPS,http")];
        assert_eq!(of(&pairs), (host("t.example:8443"), Some(true)));
        let pairs = [("x-forwarded-host", "[2001:db8::7]:8443"), ("x-forwarded-proto", " http ")];
        assert_eq!(of(&pairs), (host("[2001:db8::7]:8443"), Some(false)));
        let pairs =
            [("forwarded", "for=192.0.2.60;proto=https;host=\"t.example:8443\", for=10.0.0.1")];
        assert_eq!(of(&pairs), (host("t.example:8443"), Some(true)));
        for wrong in ["", "a b", "a/b", "user@t.example", "a\"b", "t.example:x", "ä.example"] {
            let pairs = [("x-forwarded-host", wrong), ("x-forwarded-proto", "ftp")];
            assert_eq!(of(&pairs), (None, None), "{wrong}");
        }
    }
}

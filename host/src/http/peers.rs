//! Who is at the other end, for what each may hold: one address gets a share, and
//! cannot take all.
//!
//! Proxies hold connections for everybody behind them. Those that are trusted have no
//! share of their own; what they forward counts for the client that they name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use hyper::HeaderMap;
use ipnet::IpNet;
use thiserror::Error;

/// Bits of an IPv6 address that one customer of a provider has at least.
const IPV6_CUSTOMER_BITS: u32 = 64;

/// Addresses of proxies whose word on their clients counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// A text that is neither an address nor a network.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("invalid network {0:?}: expected an IP address or a network such as \"10.0.0.0/8\"")]
pub struct InvalidNetwork(String);

impl TrustedProxies {
    /// Addresses, or networks such as `10.0.0.0/8`.
    ///
    /// # Errors
    ///
    /// One of them is neither.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, InvalidNetwork> {
        let network = |text: &T| {
            let text = text.as_ref();
            let network = IpNet::from_str(text);
            let network = network.or_else(|_| IpAddr::from_str(text).map(IpNet::from));
            network.map_err(|_| InvalidNetwork(text.to_owned()))
        };
        Ok(TrustedProxies(texts.iter().map(network).collect::<Result<_, _>>()?))
    }

    /// Whether an address is that of a proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whose share a request counts for: the connection's address, or else the last
    /// address that a chain of proxies names and that is not a proxy itself. None where
    /// proxies do not say, and nobody can be distinguished.
    pub fn client(&self, headers: &HeaderMap, peer: IpAddr) -> Option<IpAddr> {
        if peer.is_unspecified() {
            // The program that the host is part of has not said who it is.
            return None;
        }
        if !self.contains(peer) {
            return Some(peer);
        }
        let lists = headers.get_all("x-forwarded-for").iter().rev();
        let mut named = lists.flat_map(|list| list.to_str().unwrap_or_default().rsplit(','));
        named.find_map(|address| match IpAddr::from_str(address.trim()) {
            Ok(address) if self.contains(address.to_canonical()) => None,
            // What is before a word that is not an address cannot be believed either.
            other => Some(other.ok()),
        })?
    }
}

/// Loopback: a proxy on the same machine.
impl Default for TrustedProxies {
    fn default() -> Self {
        let loopback = [IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), Ipv6Addr::LOCALHOST.into()];
        let bits = [8, 128];
        let networks = loopback.into_iter().zip(bits);
        let network = |(address, bits)| IpNet::new(address, bits).expect("it is one");
        TrustedProxies(networks.map(network).collect())
    }
}

/// The addresses that count as one: an IPv4 address, or the network of a customer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PeerKey(IpAddr);

impl From<IpAddr> for PeerKey {
    fn from(address: IpAddr) -> Self {
        PeerKey(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let host_bits = Ipv6Addr::BITS - IPV6_CUSTOMER_BITS;
                Ipv6Addr::from_bits(address.to_bits() >> host_bits << host_bits).into()
            }
        })
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_customer_of_ipv6_is_one_peer() {
        let key = |text: &str| PeerKey::from(address(text));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::2"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }

    #[test]
    fn what_a_proxy_forwards_counts_for_the_client_that_it_names() {
        let trusted = TrustedProxies::parse(&["10.0.0.0/8", "::1", "192.0.2.7"]).unwrap();
        let client = |peer: &str, forwarded: &[&str]| {
            let mut headers = HeaderMap::new();
            for list in forwarded {
                headers.append("x-forwarded-for", list.parse().unwrap());
            }
            trusted.client(&headers, address(peer)).map(|it| it.to_string())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(client("203.0.113.1", &["198.51.100.1"]), some("203.0.113.1"));
        assert_eq!(client("10.1.1.1", &["198.51.100.1"]), some("198.51.100.1"));
        // What a client claims to be stands before what the proxy has seen.
        assert_eq!(client("10.1.1.1", &["1.1.1.1, 198.51.100.1"]), some("198.51.100.1"));
        assert_eq!(client("::1", &["1.1.1.1", "198.51.100.1,10.2.2.2"]), some("198.51.100.1"));
        for unknown in [&[][..], &["10.2.2.2"], &["198.51.100.1, unknown"], &[""]] {
            assert_eq!(client("192.0.2.7", unknown), None, "{unknown:?}");
        }
        assert_eq!(client("0.0.0.0", &[]), None);
    }

    #[test]
    fn loopback_is_trusted_unless_set_otherwise() {
        let default = TrustedProxies::default();
        assert!(default.contains(address("127.0.0.1")) && default.contains(address("::1")));
        assert!(!default.contains(address("10.0.0.1")) && !default.contains(address("::2")));
        assert!(!TrustedProxies::parse::<&str>(&[]).unwrap().contains(address("127.0.0.1")));
        for wrong in ["", "10.0.0.0/33", "localhost", "10.0.0.0/8 "] {
            assert_eq!(TrustedProxies::parse(&[wrong]), Err(InvalidNetwork(wrong.to_owned())));
        }
    }
}

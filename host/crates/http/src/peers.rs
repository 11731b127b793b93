//! Identifies the peer and the client of a request, for limits by client: no address can use up
//! everything.
//!
//! Proxies hold connections for all clients behind them. Trusted proxies are exempt from the
//! limits. Their requests count for the client that they name.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::LazyLock;

use hyper::HeaderMap;
use ipnet::IpNet;
use thiserror::Error;

use super::forwarded::Forwarded;

/// Bits of an IPv6 address that identify the smallest network of a provider's customer.
const IPV6_CUSTOMER_BITS: u32 = 64;

/// Networks that are not reachable from the internet: loopback, private networks (RFC 1918), shared
/// networks of providers and clusters (RFC 6598), link-local networks, and unique local networks of
/// IPv6 (RFC 4193).
const PRIVATE_NETWORKS: [&str; 9] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

/// The peer of a request's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The address of the peer.
    pub address: IpAddr,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
}

/// Addresses of proxies whose headers about clients are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// The address of the sender of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserAddress {
    /// A trusted proxy has named the address.
    Named(IpAddr),
    /// The address of the connection. No header names another one.
    OfPeer(IpAddr),
    /// The address of the connection, although headers name another one: the peer is not a trusted
    /// proxy.
    Ignored(IpAddr),
    /// The address of the connection, although the peer is a trusted proxy: its headers contain no
    /// valid address.
    Unreadable(IpAddr),
}

/// The text is neither an address nor a network.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("invalid network {0:?}: expected an IP address or a network such as \"10.0.0.0/8\"")]
pub struct InvalidNetwork(String);

impl TrustedProxies {
    /// Parses addresses, or networks such as `10.0.0.0/8`.
    ///
    /// # Errors
    ///
    /// Fails if a text is neither.
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
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether the headers of a request from this peer are trusted. An embedding program that
    /// passes on requests without their address vouches for their headers.
    pub fn believes(&self, peer: IpAddr) -> bool {
        peer.is_unspecified() || self.contains(peer)
    }

    /// The client whose limits apply to a request: the address of the connection, or the last
    /// address in a chain of proxies that is not a proxy itself. `None` if the proxies do not name
    /// it, so that clients cannot be distinguished.
    pub fn client(&self, headers: &HeaderMap, peer: IpAddr) -> Option<IpAddr> {
        if peer.is_unspecified() {
            // The embedding program has not named the client.
            return None;
        }
        if !self.contains(peer) {
            return Some(peer);
        }
        let mut first_proxy = None;
        for named in Forwarded::new(headers).addresses().rev() {
            match named {
                Some(address) if self.contains(address) => first_proxy = Some(address),
                // If a word is not an address, the words before it cannot be trusted either.
                other => return other,
            }
        }
        // All addresses are trusted proxies, so the client is inside their network.
        first_proxy
    }

    /// The address that is stored in an event: the first one in a chain of proxies, because the
    /// first proxy noted its client there. The vendors' servers do the same.
    pub fn user(&self, headers: &HeaderMap, peer: IpAddr) -> UserAddress {
        let forwarded = Forwarded::new(headers);
        match self.believes(peer) {
            _ if !forwarded.names_addresses() => UserAddress::OfPeer(peer),
            false => UserAddress::Ignored(peer),
            true => match forwarded.addresses().flatten().next() {
                Some(first) => UserAddress::Named(first),
                None => UserAddress::Unreadable(peer),
            },
        }
    }
}

impl UserAddress {
    /// The address itself.
    pub fn address(self) -> IpAddr {
        match self {
            UserAddress::Named(address)
            | UserAddress::OfPeer(address)
            | UserAddress::Ignored(address)
            | UserAddress::Unreadable(address) => address,
        }
    }
}

/// Internal peers: a proxy on the same machine, a load balancer, or an ingress of a cluster.
impl Default for TrustedProxies {
    fn default() -> Self {
        TrustedProxies::parse(&PRIVATE_NETWORKS).expect("they are networks")
    }
}

/// Whether an address is not reachable from the internet.
pub fn is_private(address: IpAddr) -> bool {
    static PRIVATE: LazyLock<TrustedProxies> = LazyLock::new(TrustedProxies::default);
    address.to_canonical().is_unspecified() || PRIVATE.contains(address)
}

/// The unit of limits: an IPv4 address, or the IPv6 network of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
        // An address that the client claims precedes the one that the proxy has seen.
        assert_eq!(client("10.1.1.1", &["1.1.1.1, 198.51.100.1"]), some("198.51.100.1"));
        assert_eq!(client("::1", &["1.1.1.1", "198.51.100.1,10.2.2.2"]), some("198.51.100.1"));
        for unknown in [&[][..], &["198.51.100.1, unknown"], &[""], &["unknown, 10.2.2.2"]] {
            assert_eq!(client("192.0.2.7", unknown), None, "{unknown:?}");
        }
        assert_eq!(client("10.1.1.1", &["198.51.100.1:443, [::1]:80"]), some("198.51.100.1"));
        // A client inside the network is treated like others.
        assert_eq!(client("192.0.2.7", &["10.2.2.2, 10.3.3.3"]), some("10.2.2.2"));
        assert_eq!(client("0.0.0.0", &[]), None);
    }

    #[test]
    fn an_event_gets_the_address_that_the_first_believed_proxy_noted() {
        use UserAddress::{Ignored, Named, OfPeer, Unreadable};

        let user = |peer: &str, forwarded: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.extend(forwarded.map(|list| {
                (hyper::header::HeaderName::from_static("x-forwarded-for"), list.parse().unwrap())
            }));
            TrustedProxies::default().user(&headers, address(peer))
        };
        let named = |text: &str| Named(address(text));
        for peer in ["127.0.0.1", "10.1.1.1", "::ffff:192.168.0.1", "fd00::1", "0.0.0.0"] {
            assert_eq!(user(peer, Some("203.0.113.7:51234, 10.0.0.1")), named("203.0.113.7"));
            assert_eq!(user(peer, Some("unknown, [2001:db8::7]:443")), named("2001:db8::7"));
            // The client is inside the network, and is not a proxy.
            assert_eq!(user(peer, Some("10.9.9.9, 203.0.113.7")), named("10.9.9.9"));
            assert_eq!(user(peer, None), OfPeer(address(peer)));
            for unreadable in ["unknown", "", "203.0.113.7:x"] {
                assert_eq!(user(peer, Some(unreadable)), Unreadable(address(peer)), "{unreadable}");
            }
        }
        let outside = "198.51.100.1";
        assert_eq!(user(outside, Some("203.0.113.7")), Ignored(address(outside)));
        assert_eq!(user(outside, None), OfPeer(address(outside)));
    }

    #[test]
    fn peers_inside_are_trusted_unless_set_otherwise() {
        let default = TrustedProxies::default();
        for inside in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "10.255.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.1.1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(default.contains(address(inside)) && is_private(address(inside)), "{inside}");
        }
        for outside in [
            "172.32.0.1",
            "192.0.2.1",
            "100.128.0.1",
            "11.0.0.1",
            "::2",
            "2001:db8::1",
            "::ffff:203.0.113.1",
            "203.0.113.1",
        ] {
            assert!(
                !default.contains(address(outside)) && !is_private(address(outside)),
                "{outside}"
            );
        }
        assert!(!TrustedProxies::parse::<&str>(&[]).unwrap().contains(address("127.0.0.1")));
        for wrong in ["", "10.0.0.0/33", "localhost", "10.0.0.0/8 "] {
            assert_eq!(TrustedProxies::parse(&[wrong]), Err(InvalidNetwork(wrong.to_owned())));
        }
    }
}

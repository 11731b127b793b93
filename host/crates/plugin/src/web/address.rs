//! Which IP addresses a plugin's requests may go to: public ones, and those that the settings allow.
//!
//! The rule is a list of what is public, so that an address of a kind that this code does not know
//! is refused. Forms of IPv6 that contain an IPv4 address are judged by that address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// IPv4 networks that are not public.
///
/// Source: the IANA IPv4 Special-Purpose Address Registry, and RFC 5771 and RFC 1112 for multicast
/// and reserved addresses.
const SPECIAL_IPV4: [Ipv4Net; 15] = [
    // This host, on this network.
    v4(0, 0, 0, 0, 8),
    // Private.
    v4(10, 0, 0, 0, 8),
    // Shared by carriers; also pods of Amazon EKS, and the metadata endpoint of Alibaba Cloud.
    v4(100, 64, 0, 0, 10),
    // Loopback.
    v4(127, 0, 0, 0, 8),
    // Link-local, with the metadata endpoints of most clouds.
    v4(169, 254, 0, 0, 16),
    // Private.
    v4(172, 16, 0, 0, 12),
    // Assignments of the IETF; also the metadata endpoint of Oracle Cloud.
    v4(192, 0, 0, 0, 24),
    // Documentation.
    v4(192, 0, 2, 0, 24),
    // Relays of 6to4, withdrawn.
    v4(192, 88, 99, 0, 24),
    // Private.
    v4(192, 168, 0, 0, 16),
    // Benchmarks.
    v4(198, 18, 0, 0, 15),
    // Documentation.
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    // Multicast.
    v4(224, 0, 0, 0, 4),
    // Reserved, and broadcast.
    v4(240, 0, 0, 0, 4),
];

/// The only IPv6 network with public addresses.
///
/// Source: the IANA IPv6 Address Space registry.
const PUBLIC_IPV6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Parts of [`PUBLIC_IPV6`] that are not public.
///
/// Source: the IANA IPv6 Special-Purpose Address Registry.
const SPECIAL_IPV6: [Ipv6Net; 4] = [
    // Assignments of the IETF, with Teredo, which contains IPv4 addresses of any kind.
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    // Documentation.
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
    // 6to4, which contains IPv4 addresses of any kind.
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
];

/// The prefix of NAT64, which contains an IPv4 address.
///
/// Source: RFC 6052, section 2.1.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

/// Endpoints that give the credentials of a machine or container to every caller. A network that the
/// settings allow does not include them; they must be allowed one by one.
///
/// Source: the documentation of AWS (instances, tasks and pods), Azure, and Alibaba Cloud.
const METADATA: [IpAddr; 7] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(parts: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = parts;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// Whether requests may go to an address. `allowed` are networks that need not be public.
pub fn is_address_allowed(address: IpAddr, allowed: &[IpNet]) -> bool {
    let address = embedded_ipv4(address);
    if METADATA.contains(&address) {
        return allowed.contains(&IpNet::from(address));
    }
    is_public(address) || allowed.iter().any(|network| network.contains(&address))
}

/// The IPv4 address that an IPv6 address contains, if the system or a gateway connects to the IPv4
/// address in its place. Otherwise the address itself.
fn embedded_ipv4(address: IpAddr) -> IpAddr {
    let IpAddr::V6(address) = address else { return address };
    if let Some(mapped) = address.to_ipv4_mapped() {
        return mapped.into();
    }
    if NAT64.contains(&address) {
        let [.., a, b, c, d] = address.octets();
        return Ipv4Addr::new(a, b, c, d).into();
    }
    address.into()
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_IPV4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            PUBLIC_IPV6.contains(&address)
                && !SPECIAL_IPV6.iter().any(|network| network.contains(&address))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_allowed(address: &str, allowed: &[&str]) -> bool {
        let allowed: Vec<IpNet> = allowed.iter().map(|network| network.parse().unwrap()).collect();
        is_address_allowed(address.parse().unwrap(), &allowed)
    }

    #[test]
    fn special_addresses_are_refused_in_each_form() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            let forms = [
                address.to_owned(),
                format!("::ffff:{address}"),
                format!("::{address}"),
                format!("64:ff9b::{address}"),
                format!("64:ff9b:1::{address}"),
            ];
            for form in forms {
                assert!(!is_allowed(&form, &[]), "{form}");
            }
        }
        for address in [
            "::",
            "::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::",
            "3fff::1",
            "100::1",
            "5f00::1",
        ] {
            assert!(!is_allowed(address, &[]), "{address}");
        }
    }

    #[test]
    fn public_addresses_are_allowed_in_each_form() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2606:4700:4700::1111",
            "2a00:1450:4001:82a::200e",
        ] {
            assert!(is_allowed(address, &[]), "{address}");
        }
    }

    #[test]
    fn settings_allow_networks_but_no_metadata() {
        assert!(is_allowed("10.1.2.3", &["10.1.0.0/16"]));
        assert!(is_allowed("::ffff:10.1.2.3", &["10.1.0.0/16"]));
        assert!(!is_allowed("10.2.0.1", &["10.1.0.0/16"]));
        assert!(is_allowed("169.254.1.1", &["169.254.0.0/16"]));
        assert!(!is_allowed("169.254.169.254", &["169.254.0.0/16"]));
        assert!(!is_allowed("64:ff9b::169.254.169.254", &["0.0.0.0/0", "::/0"]));
        assert!(is_allowed("169.254.169.254", &["169.254.169.254/32"]));
        assert!(!is_allowed("fd00:ec2::254", &["fd00::/8"]));
        assert!(is_allowed("fd00::1", &["fd00::/8"]));
    }

    proptest! {
        #[test]
        fn no_address_of_a_special_network_is_allowed(bits: u32, host: u128, network: prop::sample::Index) {
            let special = SPECIAL_IPV4[network.index(SPECIAL_IPV4.len())];
            let address = u32::from(special.network()) | (bits & u32::from(special.hostmask()));
            let address = Ipv4Addr::from(address);
            prop_assert!(!is_address_allowed(address.into(), &[]));
            prop_assert!(!is_address_allowed(address.to_ipv6_mapped().into(), &[]));
            let translated = u128::from(NAT64.network()) | u128::from(u32::from(address));
            prop_assert!(!is_address_allowed(Ipv6Addr::from(translated).into(), &[]));
            let special = SPECIAL_IPV6[network.index(SPECIAL_IPV6.len())];
            let address = u128::from(special.network()) | (host & u128::from(special.hostmask()));
            prop_assert!(!is_address_allowed(Ipv6Addr::from(address).into(), &[]));
        }

        /// The standard library knows some of the special addresses on its own.
        #[test]
        fn what_the_library_calls_special_is_refused(bits: u32, host: u128) {
            let four = Ipv4Addr::from(bits);
            let is_special = four.is_private() || four.is_loopback() || four.is_link_local()
                || four.is_multicast() || four.is_broadcast() || four.is_unspecified()
                || four.is_documentation();
            prop_assert!(!is_special || !is_address_allowed(four.into(), &[]));
            let six = Ipv6Addr::from(host);
            let is_special = six.is_loopback() || six.is_multicast() || six.is_unspecified()
                || six.is_unique_local() || six.is_unicast_link_local();
            prop_assert!(!is_special || !is_address_allowed(six.into(), &[]));
        }
    }
}

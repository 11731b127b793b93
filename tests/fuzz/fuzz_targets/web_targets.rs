//! Any pattern of hosts, and any URL: no URL passes that leads to another scheme or host than the
//! pattern says, and no address passes that is not public.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use standpipe_plugin_host::web::{HostPattern, check_url, is_address_allowed};

fuzz_target!(|input: (&str, &str, IpAddr)| {
    let (pattern, url, address) = input;
    if let IpAddr::V4(address) = address {
        let is_special = address.is_private() || address.is_loopback() || address.is_link_local();
        for form in [IpAddr::V4(address), IpAddr::V6(address.to_ipv6_mapped())] {
            assert!(!is_special || !is_address_allowed(form, &[]));
        }
    }
    let Ok(pattern) = HostPattern::parse(pattern) else { return };
    let written = pattern.to_string();
    assert_eq!(HostPattern::parse(&written).as_ref(), Ok(&pattern));
    if let Ok(url) = check_url(url, std::slice::from_ref(&pattern)) {
        assert!(matches!(url.scheme(), "http" | "https"));
        let host = url.host_str().expect("an allowed URL has a host");
        let allowed = written.strip_prefix("*.").unwrap_or(&written);
        // An address in brackets contains colons, and only a number follows the last one.
        let allowed = match allowed.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => allowed,
        };
        assert!(host.ends_with(allowed), "{host} {allowed}");
    }
});

//! Free ports below those that Linux hands out, so that a server can come back to its port.

use std::net::{Ipv4Addr, TcpListener};

/// FirehoseClients below those that Linux gives to those who ask for any: a port from here is
/// still free when a server comes back to it.
const NEVER_GIVEN: std::ops::Range<u16> = 10_000..32_000;

/// A free port of loopback, for a server that is told its port or is started again
/// on the same one.
pub fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut random = std::iter::repeat_with(|| fastrand::u16(NEVER_GIVEN));
    random.find(is_free).expect("one of them is free")
}

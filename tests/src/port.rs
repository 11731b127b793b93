//! Free ports below the range of ports that Linux assigns, so that a server can reuse its port
//! after a restart.

use std::net::{Ipv4Addr, TcpListener};

/// Ports below those that Linux assigns automatically: such a port is still free when a server
/// binds to it again.
const NEVER_GIVEN: std::ops::Range<u16> = 10_000..32_000;

/// Returns a free port of loopback, for a server that needs a fixed port or restarts on it.
pub fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut random = std::iter::repeat_with(|| fastrand::u16(NEVER_GIVEN));
    random.find(is_free).expect("one of them is free")
}

//! A proxy in front of the program, with its own configuration. It is stopped when dropped.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::wait_until;

mod envoy;
mod nginx;

/// A proxy with its own configuration, in a new directory. It is stopped when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    directory: TempDir,
    url: String,
}

impl Proxy {
    /// Starts the proxy, and waits until it listens on this port of loopback.
    fn start(mut command: Command, directory: TempDir, port: u16) -> Self {
        let child = command.spawn().expect("the proxy can be started");
        let mut proxy = Proxy { child, directory, url: format!("http://127.0.0.1:{port}") };
        wait_until("the proxy listens", || {
            let ended = proxy.child.try_wait().expect("its state");
            assert_eq!(ended, None, "the proxy has ended: its words are above");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        proxy
    }

    /// The address of the proxy: `http://127.0.0.1:` and the port.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The id of the proxy's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The proxy's directory, at which its relative paths start.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The proxy may have exited by itself, which fails the test elsewhere.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

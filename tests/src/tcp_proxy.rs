//! A TCP proxy on loopback, which can be cut: bytes are then held, and connections neither close nor open, as where
//! a network loses all packets.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How often a connection that waits checks for bytes and for the end of the proxy.
const POLL: Duration = Duration::from_millis(50);

const BUFFER_BYTES: usize = 64 * 1024;

/// A running proxy. It closes its connections when this is dropped.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    shared: Arc<ProxyState>,
}

#[derive(Debug, Default)]
struct ProxyState {
    is_cut: Mutex<bool>,
    changed: Condvar,
    is_over: AtomicBool,
    /// Both ends of each connection.
    connections: Mutex<Vec<TcpStream>>,
}

impl TcpProxy {
    /// Listens on a free port, and forwards each connection to `target`.
    pub fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::<ProxyState>::default();
        let (own, target) = (Arc::clone(&shared), target.to_owned());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if own.is_over() {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (own, target) = (Arc::clone(&own), target.clone());
                thread::spawn(move || own.serve(stream, &target));
            }
        });
        TcpProxy { address, shared }
    }

    /// The address of the proxy: `127.0.0.1:` and the port.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Holds all bytes, until [`TcpProxy::restore`].
    pub fn cut(&self) {
        *self.shared.is_cut.lock() = true;
    }

    /// Forwards bytes again, first those that were held.
    pub fn restore(&self) {
        *self.shared.is_cut.lock() = false;
        self.shared.changed.notify_all();
    }

    /// Returns how many connections were made.
    pub fn connection_count(&self) -> usize {
        self.shared.connections.lock().len() / 2
    }

    /// Closes all connections; new ones are accepted.
    pub fn close_connections(&self) {
        for connection in self.shared.connections.lock().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl ProxyState {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn serve(self: Arc<Self>, client: TcpStream, target: &str) {
        self.wait_while_cut();
        // The client sees a closed connection where the target is down.
        let Ok(server) = TcpStream::connect(target) else { return };
        self.connections
            .lock()
            .extend([&client, &server].map(|it| it.try_clone().expect("a descriptor")));
        let (to_server, from_client) = (server.try_clone(), client.try_clone());
        let own = Arc::clone(&self);
        let (to_server, from_client) =
            (to_server.expect("a descriptor"), from_client.expect("a descriptor"));
        thread::spawn(move || own.forward(from_client, to_server));
        self.forward(server, client);
    }

    /// Forwards one direction of a connection until either end closes it.
    fn forward(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Ok(bytes @ 1..) = from.read(&mut buffer) {
            self.wait_while_cut();
            if to.write_all(&buffer[..bytes]).is_err() {
                break;
            }
        }
        self.wait_while_cut();
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    fn wait_while_cut(&self) {
        let mut is_cut = self.is_cut.lock();
        while *is_cut && !self.is_over() {
            self.changed.wait_for(&mut is_cut, POLL);
        }
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.close_connections();
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn a_cut_proxy_holds_bytes_and_loses_none() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = TcpProxy::start(&server.local_addr().unwrap().to_string());
        let mut client = TcpStream::connect(proxy.address()).unwrap();
        let (mut served, _) = server.accept().unwrap();
        let mut read = [0; 3];
        client.write_all(b"one").unwrap();
        served.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"one");
        proxy.cut();
        client.write_all(b"two").unwrap();
        served.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let held = served.read(&mut read).unwrap_err();
        assert!(matches!(held.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        proxy.restore();
        served.set_read_timeout(None).unwrap();
        served.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"two");
        proxy.close_connections();
        assert_eq!(client.read(&mut read).unwrap(), 0);
    }
}

//! A Firehose in this process, on loopback: it accepts every record, and counts records and its own
//! CPU time.
//!
//! Its threads share nothing with the host. The CPU time of each request is counted, so that it can
//! be subtracted from that of the process. The endpoint keeps no bodies, because its memory would
//! count as the host's.

mod connection;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use http::Uri;
use http::uri::Scheme;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::BenchError;
use super::process::thread_cpu_time;
use crate::config::RecordDestination;
use connection::Connection;

/// Maximum time from the last response until the endpoint is idle.
const REST_MAX: Duration = Duration::from_secs(5);

/// The stack size of a connection's thread, in bytes.
const STACK_BYTES: usize = 256 * 1024;

/// A server on a free port of loopback. It stops listening when it is dropped.
#[derive(Debug)]
pub(super) struct Endpoint {
    address: SocketAddr,
    shared: Arc<EndpointShared>,
}

/// The counts of an endpoint.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EndpointCounts {
    pub(super) records: u64,
    /// The CPU time of the endpoint's threads.
    pub(super) cpu: Duration,
    /// When the first records were accepted.
    pub(super) first: Option<Instant>,
}

#[derive(Debug, Default)]
struct EndpointShared {
    state: Mutex<EndpointState>,
    rested: Condvar,
}

#[derive(Debug, Default)]
struct EndpointState {
    counts: EndpointCounts,
    /// Requests in progress.
    busy: usize,
    stopped: bool,
}

impl Endpoint {
    pub(super) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, shared) = (listener.local_addr()?, Arc::<EndpointShared>::default());
        let own = Arc::clone(&shared);
        thread::Builder::new()
            .name("endpoint".to_owned())
            .spawn(move || accept_connections(&listener, &own))?;
        Ok(Endpoint { address, shared })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Resets the counts.
    pub(super) fn reset(&self) {
        self.shared.at_rest().counts = EndpointCounts::default();
    }

    /// Waits until the last response is sent. Returns the counts since the last reset.
    pub(super) fn counts(&self) -> EndpointCounts {
        self.shared.at_rest().counts
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shared.state.lock().stopped = true;
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

impl EndpointShared {
    fn at_rest(&self) -> MutexGuard<'_, EndpointState> {
        let mut state = self.state.lock();
        self.rested.wait_while_for(&mut state, |state| state.busy > 0, REST_MAX);
        state
    }

    /// Counts the start of a request.
    fn begin_request(&self) {
        self.state.lock().busy += 1;
    }

    /// Counts records that have been read completely.
    fn take_records(&self, records: u64) {
        let counts = &mut self.state.lock().counts;
        counts.records += records;
        counts.first.get_or_insert_with(Instant::now);
    }

    /// Counts the end of a request.
    fn end_request(&self, cpu: Duration) {
        let mut state = self.state.lock();
        state.busy -= 1;
        state.counts.cpu += cpu;
        if state.busy == 0 {
            self.rested.notify_all();
        }
    }
}

fn accept_connections(listener: &TcpListener, shared: &Arc<EndpointShared>) {
    let mut counted = Duration::ZERO;
    for stream in listener.incoming() {
        if shared.state.lock().stopped {
            return;
        }
        let Ok(stream) = stream else { continue };
        let connection = Connection::new(stream, Arc::clone(shared));
        let thread = thread::Builder::new().name("endpoint".to_owned()).stack_size(STACK_BYTES);
        // If no thread can be created, the connection is closed, and the client reports that.
        let _ = thread.spawn(move || connection.serve());
        let now = thread_cpu_time();
        shared.state.lock().counts.cpu += now - counted;
        counted = now;
    }
}

/// Checks that a server listens at the settings' endpoint, because a run would wait for it forever.
pub(super) fn check_reachable(destination: &RecordDestination) -> Result<(), BenchError> {
    let RecordDestination::Amazon { endpoint_url: Some(url), .. } = destination else {
        return Ok(());
    };
    let connect = || -> io::Result<()> {
        let mut tried = Err(io::ErrorKind::NotFound.into());
        for address in host_and_port(url).to_socket_addrs()? {
            tried = TcpStream::connect_timeout(&address, standpipe_aws::limits::CONNECT_TIMEOUT)
                .map(drop);
            if tried.is_ok() {
                break;
            }
        }
        tried
    };
    connect().map_err(|error| BenchError::Unreachable { url: url.clone(), error })
}

/// Returns the host and port of a URL that the settings have checked.
fn host_and_port(url: &str) -> String {
    let uri: Uri = url.parse().unwrap_or_default();
    let default = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    format!("{}:{}", uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(default))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_of_urls() {
        for (url, expected) in [
            ("http://localhost:5000", "localhost:5000"),
            ("http://localhost:5000/x", "localhost:5000"),
            (
                "https://firehose.eu-central-1.amazonaws.com",
                "firehose.eu-central-1.amazonaws.com:443",
            ),
            ("http://127.0.0.1/", "127.0.0.1:80"),
            ("http://[::1]", "[::1]:80"),
            ("http://[::1]:81/", "[::1]:81"),
        ] {
            assert_eq!(host_and_port(url), expected);
        }
    }
}

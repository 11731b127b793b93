//! A Firehose for tests: it serves HTTP on loopback, enforces the limits of the real Firehose,
//! checks signatures, and fails as a script says.
//!
//! ```no_run
//! use standpipe_tests::{Stub, StubResponse};
//!
//! let stub = Stub::start(|put| match put.number {
//!     0 => StubResponse::Refuse { records: vec![0], code: "ServiceUnavailableException" },
//!     _ => StubResponse::Accept,
//! });
//! // ... run the program against stub.url() ...
//! assert!(stub.violations().is_empty());
//! ```
//!
//! [`Stub::start`] stores every request, and follows its script one request at a time.
//! [`Stub::start_forgetful`] stores none and serves connections concurrently, for long tests.
//! [`BehaviorSwitches`] then determine how each stream behaves.

mod behavior;
mod connection;
mod describe;
mod put;

pub use behavior::{Behavior, BehaviorSwitches, Garbage};
pub use describe::Described;
pub use put::PutRequest;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use crate::oracle::Streams;
use connection::Connection;

/// The response to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StubResponse {
    /// Every record is accepted.
    Accept,
    /// The records at these positions are rejected with this code, the others are accepted. The
    /// status is 200.
    Refuse {
        /// Positions in the request.
        records: Vec<usize>,
        /// The error code, such as `ServiceUnavailableException`.
        code: &'static str,
    },
    /// The response is an error.
    Fail {
        /// The HTTP status.
        status: u16,
        /// The error code, such as `InternalFailure`. If it is empty, the body is not one of AWS.
        code: &'static str,
        /// Whether the records were accepted nevertheless.
        accepted: bool,
    },
    /// The response is this number of spaces.
    Long {
        /// The HTTP status.
        status: u16,
        /// Bytes of the body.
        bytes: usize,
    },
    /// The connection is reset instead of a response.
    Reset {
        /// Whether the records were accepted first.
        accepted: bool,
    },
    /// The response comes late.
    Slow(Duration),
    /// The response never comes.
    Hang,
    /// Every record is accepted, and the response never comes.
    AcceptSilently,
    /// The response is this text.
    Raw {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: String,
        /// Number of bytes by which `Content-Length` exceeds the body. If it is not 0, the
        /// connection is closed.
        missing_bytes: usize,
        /// Whether the records were accepted.
        accepted: bool,
    },
}

/// A running server. It stops when it is dropped.
#[derive(Debug)]
pub struct Stub {
    address: SocketAddr,
    shared: Arc<StubShared>,
}

/// Decides the response to each request.
pub type PutScript = dyn FnMut(&PutRequest) -> StubResponse + Send;

/// Decides the responses on several connections at once.
pub type PutHandler = dyn Fn(&PutRequest) -> StubResponse + Send + Sync;

/// Describes a stream, by its name and how often it was described before.
pub type DescribeScript = dyn FnMut(&str, usize) -> Described + Send;

/// The state that all connections share.
struct StubShared {
    decider: PutDecider,
    /// `None` if a description is a violation.
    describe_script: Mutex<Option<Box<DescribeScript>>>,
    state: Mutex<StubState>,
}

/// The source of responses.
enum PutDecider {
    Script(Mutex<Box<PutScript>>),
    Handler(Box<PutHandler>),
}

#[derive(Debug, Default)]
struct StubState {
    accepted: Streams,
    puts: Vec<PutRequest>,
    described: Vec<String>,
    violations: Vec<String>,
    connections: usize,
    /// Number of times that connections without a response were released.
    releases: usize,
    /// Open connections, to close at the end.
    open: Vec<TcpStream>,
    stopped: bool,
}

impl Stub {
    /// Listens on a free port, and follows this script. Requests are numbered from 0. Requests that
    /// exceed a limit do not reach the script.
    pub fn start(script: impl FnMut(&PutRequest) -> StubResponse + Send + 'static) -> Self {
        Stub::serve_with(PutDecider::Script(Mutex::new(Box::new(script))))
    }

    /// Listens on a free port, and serves each connection with this handler. Stores neither
    /// requests nor records: the handler accounts for accepted records. Every request has the
    /// number 0.
    pub fn start_forgetful(
        handler: impl Fn(&PutRequest) -> StubResponse + Send + Sync + 'static,
    ) -> Self {
        Stub::serve_with(PutDecider::Handler(Box::new(handler)))
    }

    fn serve_with(decider: PutDecider) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(StubShared {
            decider,
            describe_script: Mutex::default(),
            state: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        thread::spawn(move || accept_connections(&listener, &own));
        Stub { address, shared }
    }

    /// Responds to descriptions of streams. Without this, a description is a violation.
    #[must_use]
    pub fn with_descriptions(
        self,
        script: impl FnMut(&str, usize) -> Described + Send + 'static,
    ) -> Self {
        let mut own = self.shared.describe_script.lock();
        *own = Some(Box::new(script));
        drop(own);
        self
    }

    /// The URL of the stub.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The accepted records by stream, in order.
    pub fn accepted_records(&self) -> Streams {
        self.shared.lock_state().accepted.clone()
    }

    /// All requests that exceeded no limit, in order.
    pub fn requests(&self) -> Vec<PutRequest> {
        self.shared.lock_state().puts.clone()
    }

    /// The streams that were described, in the order of the requests.
    pub fn described_streams(&self) -> Vec<String> {
        self.shared.lock_state().described.clone()
    }

    /// Requests that were rejected because they exceeded a limit or had no valid signature.
    pub fn violations(&self) -> Vec<String> {
        self.shared.lock_state().violations.clone()
    }

    /// Closes the connections whose response never comes.
    pub fn release_connections(&self) {
        self.shared.lock_state().releases += 1;
    }

    /// The number of connections so far.
    pub fn connection_count(&self) -> usize {
        self.shared.lock_state().connections
    }
}

fn accept_connections(listener: &TcpListener, shared: &Arc<StubShared>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        {
            let mut state = shared.lock_state();
            if state.stopped {
                return;
            }
            state.connections += 1;
            state.open.extend(stream.try_clone());
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || Connection::new(stream, shared).serve());
    }
}

impl StubShared {
    fn lock_state(&self) -> MutexGuard<'_, StubState> {
        self.state.lock()
    }

    /// Decides the response to a request by the handler, or by the script, and then stores the
    /// request and its accepted records.
    fn decide_response(&self, mut put: PutRequest) -> StubResponse {
        let script = match &self.decider {
            PutDecider::Handler(handler) => return handler(&put),
            PutDecider::Script(script) => script,
        };
        let mut script = script.lock();
        put.number = self.lock_state().puts.len();
        let fate = script(&put);
        let mut state = self.lock_state();
        let accepted = state.accepted.entry(put.stream.clone()).or_default();
        let records = put.records.iter().enumerate();
        accepted.extend(
            records.filter(|(at, _)| fate.accepts_record(*at)).map(|(_, record)| record.clone()),
        );
        state.puts.push(put);
        fate
    }
}

impl StubShared {
    /// Returns the script's description of a stream; `None` without a script.
    fn describe_stream(&self, stream: String) -> Option<Described> {
        let mut script = self.describe_script.lock();
        let script = script.as_mut()?;
        let before = self.lock_state().described.iter().filter(|other| **other == stream).count();
        let described = script(&stream, before);
        self.lock_state().described.push(stream);
        Some(described)
    }
}

impl StubResponse {
    /// A response with this text that accepts no record.
    pub fn from_text(status: u16, body: String) -> Self {
        StubResponse::Raw { status, body, missing_bytes: 0, accepted: false }
    }

    /// Whether the record at this position is accepted.
    pub fn accepts_record(&self, position: usize) -> bool {
        match self {
            StubResponse::Accept | StubResponse::Slow(_) | StubResponse::AcceptSilently => true,
            StubResponse::Refuse { records, .. } => !records.contains(&position),
            StubResponse::Fail { accepted, .. }
            | StubResponse::Reset { accepted }
            | StubResponse::Raw { accepted, .. } => *accepted,
            StubResponse::Long { .. } | StubResponse::Hang => false,
        }
    }

    /// Whether the response reports a result for every record.
    pub fn accounts_for_all(&self) -> bool {
        matches!(self, StubResponse::Accept | StubResponse::Slow(_) | StubResponse::Refuse { .. })
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let mut state = self.shared.lock_state();
        state.stopped = true;
        for connection in state.open.drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
        drop(state);
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

impl std::fmt::Debug for StubShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}

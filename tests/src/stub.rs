//! A Firehose for tests: it speaks HTTP on loopback, keeps to the limits of the
//! real one, checks signatures, and fails as a script says.
//!
//! ```no_run
//! use standpipe_tests::{Fate, Stub};
//!
//! let stub = Stub::start(|put| match put.number {
//!     0 => Fate::Refuse { records: vec![0], code: "ServiceUnavailableException" },
//!     _ => Fate::Accept,
//! });
//! // ... run the program against stub.url() ...
//! assert!(stub.violations().is_empty());
//! ```
//!
//! [`Stub::start`] keeps every request, and follows its script one request after the
//! other. [`Stub::start_forgetful`] keeps none and answers connections side by side,
//! for tests that run for long; [`Switches`] then say how each stream behaves.

mod behavior;
mod connection;
mod describe;
mod put;

pub use behavior::{Behavior, Garbage, Switches};
pub use describe::Described;
pub use put::Put;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use crate::oracle::Streams;
use connection::Connection;

/// What is done to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Every record is accepted.
    Accept,
    /// These records, by their position, are refused with this code; the others
    /// are accepted, and the answer is a 200.
    Refuse {
        /// Positions in the request.
        records: Vec<usize>,
        /// Such as `ServiceUnavailableException`.
        code: &'static str,
    },
    /// The answer is an error.
    Fail {
        /// The HTTP status.
        status: u16,
        /// Such as `InternalFailure`; empty for a body that is none of AWS's.
        code: &'static str,
        /// Whether the records were accepted all the same.
        accepted: bool,
    },
    /// The answer is blanks, and so many bytes long.
    Long {
        /// The HTTP status.
        status: u16,
        /// Bytes of the body.
        bytes: usize,
    },
    /// The connection is reset instead of an answer.
    Reset {
        /// Whether the records were accepted before.
        accepted: bool,
    },
    /// The answer comes late.
    Slow(Duration),
    /// There is never an answer.
    Hang,
    /// Every record is accepted, and there is never an answer.
    AcceptSilently,
    /// The answer is this text, whatever it means.
    Raw {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: String,
        /// By how many bytes `Content-Length` announces more than the body has. The
        /// connection is closed where it is not 0.
        missing_bytes: usize,
        /// Whether the records were accepted.
        accepted: bool,
    },
}

/// A running server. It stops when this is dropped.
#[derive(Debug)]
pub struct Stub {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// Says what is done to each request.
pub type Script = dyn FnMut(&Put) -> Fate + Send;

/// The same for several connections at once.
pub type Handler = dyn Fn(&Put) -> Fate + Send + Sync;

/// Says what a stream is, by its name and how often it was asked about before.
pub type DescribeScript = dyn FnMut(&str, usize) -> Described + Send;

/// What every connection has to do with.
struct Shared {
    decider: Decider,
    /// None where nobody is expected to ask.
    describe_script: Mutex<Option<Box<DescribeScript>>>,
    state: Mutex<State>,
}

/// Who says what is done to a request.
enum Decider {
    Script(Mutex<Box<Script>>),
    Handler(Box<Handler>),
}

#[derive(Debug, Default)]
struct State {
    accepted: Streams,
    puts: Vec<Put>,
    described: Vec<String>,
    violations: Vec<String>,
    connections: usize,
    /// How often connections without an answer were released.
    releases: usize,
    /// The connections that are open, to be closed at the end.
    open: Vec<TcpStream>,
    stopped: bool,
}

impl Stub {
    /// Listen on a free port, and follow this script; requests are numbered from
    /// 0, and those that break a limit never reach it.
    pub fn start(script: impl FnMut(&Put) -> Fate + Send + 'static) -> Self {
        Stub::serve(Decider::Script(Mutex::new(Box::new(script))))
    }

    /// Listen on a free port, answer each connection by this handler, and keep
    /// nothing of requests and records: the handler accounts for what it accepts, and
    /// every request has the number 0.
    pub fn start_forgetful(handler: impl Fn(&Put) -> Fate + Send + Sync + 'static) -> Self {
        Stub::serve(Decider::Handler(Box::new(handler)))
    }

    fn serve(decider: Decider) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            decider,
            describe_script: Mutex::default(),
            state: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        thread::spawn(move || listen(&listener, &own));
        Stub { address, shared }
    }

    /// Answer what streams are, too. Without this, asking is a violation.
    #[must_use]
    pub fn describing(self, script: impl FnMut(&str, usize) -> Described + Send + 'static) -> Self {
        let mut own = self.shared.describe_script.lock();
        *own = Some(Box::new(script));
        drop(own);
        self
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The records that were accepted, by stream, in their order.
    pub fn accepted(&self) -> Streams {
        self.shared.state().accepted.clone()
    }

    /// Every request that broke no limit, in their order.
    pub fn requests(&self) -> Vec<Put> {
        self.shared.state().puts.clone()
    }

    /// The streams that were asked about, in the order of the requests.
    pub fn described(&self) -> Vec<String> {
        self.shared.state().described.clone()
    }

    /// What broke a limit or carried no good signature; it was refused.
    pub fn violations(&self) -> Vec<String> {
        self.shared.state().violations.clone()
    }

    /// Close the connections that wait in vain for an answer.
    pub fn release(&self) {
        self.shared.state().releases += 1;
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.shared.state().connections
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        {
            let mut state = shared.state();
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

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Ask the handler about a request, or number it, ask the script about it, and
    /// keep what it accepts.
    fn decide(&self, mut put: Put) -> Fate {
        let script = match &self.decider {
            Decider::Handler(handler) => return handler(&put),
            Decider::Script(script) => script,
        };
        let mut script = script.lock();
        put.number = self.state().puts.len();
        let fate = script(&put);
        let mut state = self.state();
        let accepted = state.accepted.entry(put.stream.clone()).or_default();
        let records = put.records.iter().enumerate();
        accepted
            .extend(records.filter(|(at, _)| fate.accepts(*at)).map(|(_, record)| record.clone()));
        state.puts.push(put);
        fate
    }
}

impl Shared {
    /// Ask the script what a stream is; none if there is no script.
    fn describe(&self, stream: String) -> Option<Described> {
        let mut script = self.describe_script.lock();
        let script = script.as_mut()?;
        let before = self.state().described.iter().filter(|other| **other == stream).count();
        let described = script(&stream, before);
        self.state().described.push(stream);
        Some(described)
    }
}

impl Fate {
    /// An answer that accepts no record, whatever it says.
    pub fn answer(status: u16, body: String) -> Self {
        Fate::Raw { status, body, missing_bytes: 0, accepted: false }
    }

    /// Whether the record at this position is accepted.
    pub fn accepts(&self, position: usize) -> bool {
        match self {
            Fate::Accept | Fate::Slow(_) | Fate::AcceptSilently => true,
            Fate::Refuse { records, .. } => !records.contains(&position),
            Fate::Fail { accepted, .. } | Fate::Reset { accepted } | Fate::Raw { accepted, .. } => {
                *accepted
            }
            Fate::Long { .. } | Fate::Hang => false,
        }
    }

    /// Whether there is an answer that reports every record what became of it.
    pub fn accounts_for_all(&self) -> bool {
        matches!(self, Fate::Accept | Fate::Slow(_) | Fate::Refuse { .. })
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.stopped = true;
        for connection in state.open.drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
        drop(state);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}

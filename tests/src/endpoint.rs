//! A server on loopback that records requests and sends the responses of a test: STS, a secret
//! manager, a container's credentials, or a proxy that rejects requests.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::http_request::HttpRequest;

/// A request.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// The number of the request, counted from 0.
    pub number: usize,
    /// The request line, such as `POST / HTTP/1.1`.
    pub line: String,
    /// The headers, whose names are in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

/// A running server. It accepts no more connections after it is dropped.
pub struct Endpoint {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<RecordedRequest>>>,
    stopped: Arc<AtomicBool>,
}

/// Returns the status, the headers and the body of each response.
type ResponseScript = Arc<Mutex<dyn FnMut(&RecordedRequest) -> (u16, String, String) + Send>>;

impl Endpoint {
    /// Listens on a free port.
    pub fn start(script: impl FnMut(&RecordedRequest) -> (u16, String) + Send + 'static) -> Self {
        Endpoint::start_at(0, script)
    }

    fn listen_on(
        port: u16,
        script: impl FnMut(&RecordedRequest) -> (u16, String, String) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (asked, stopped) =
            (Arc::<Mutex<Vec<RecordedRequest>>>::default(), Arc::<AtomicBool>::default());
        let script: ResponseScript = Arc::new(Mutex::new(script));
        let (own, is_over) = (Arc::clone(&asked), Arc::clone(&stopped));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let (script, asked) = (Arc::clone(&script), Arc::clone(&own));
                let Ok(stream) = stream else { continue };
                thread::spawn(move || serve_connection(stream, &script, &asked));
            }
        });
        Endpoint { address, asked, stopped }
    }

    /// Listens on this port.
    pub fn start_at(
        port: u16,
        script: impl FnMut(&RecordedRequest) -> (u16, String) + Send + 'static,
    ) -> Self {
        let mut script = script;
        Endpoint::listen_on(port, move |asked| {
            let (status, body) = script(asked);
            (status, String::new(), body)
        })
    }

    /// Listens on a free port, and sends additional headers, each with its line break.
    pub fn start_with_headers(
        script: impl FnMut(&RecordedRequest) -> (u16, String, String) + Send + 'static,
    ) -> Self {
        Endpoint::listen_on(0, script)
    }

    /// Starts an STS whose sessions live this long. Their keys are `SESSION0`, `SESSION1` and so
    /// on, and their tokens `token 0`, `token 1`.
    pub fn start_sts(life: Duration) -> Self {
        Endpoint::start(move |asked| (200, session_response(asked.number, life)))
    }

    /// The URL of the server.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.asked.lock().clone()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The response of STS to AssumeRole, with a session for an hour.
pub fn session_response_with_secret(number: usize, secret: &str) -> String {
    let answer = session_response(number, Duration::from_secs(3600));
    answer.replace(">secret<", &format!(">{secret}<")).replace(">token ", &format!(">{secret} "))
}

/// The response of STS to AssumeRole, with a session that lives this long.
pub fn session_response(number: usize, life: Duration) -> String {
    let expiry = standpipe_core::clock::rfc3339((SystemTime::now() + life).into());
    format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>SESSION{number}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>\
         <SessionToken>token {number}</SessionToken><Expiration>{expiry}</Expiration></Credentials>\
         <AssumedRoleUser><AssumedRoleId>A:b</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/a/b</Arn>\
         </AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"
    )
}

/// An error response of STS.
pub fn sts_error(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    )
}

fn serve_connection(
    stream: TcpStream,
    script: &ResponseScript,
    asked: &Mutex<Vec<RecordedRequest>>,
) {
    let mut stream = BufReader::new(stream);
    while let Some(HttpRequest { line, headers, body }) = HttpRequest::read(&mut stream) {
        let mut script = script.lock();
        let body = String::from_utf8_lossy(&body).into_owned();
        let request = RecordedRequest { number: asked.lock().len(), line, headers, body };
        let (status, headers, body) = script(&request);
        asked.lock().push(request);
        drop(script);
        let kind = if body.starts_with('<') { "text/xml" } else { "application/x-amz-json-1.1" };
        let head = format!(
            "HTTP/1.1 {status} Status\r\n{headers}content-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream.get_mut().write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

//! A proxy in front of Amazon's SQS as others have it, which fails on purpose: errors, responses that are lost or never
//! come, and messages that are delivered twice. It counts how often the queue has delivered each event.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use standpipe_core::event::EventEntry;
use standpipe_queue::decode_message;

use crate::client::{Client, HttpResponse};
use crate::http_request::HttpRequest;

/// Messages that the proxy remembers, to deliver one of them again.
const REMEMBERED_MESSAGES: usize = 50;

/// How long a request without a response is held at most, longer than any client waits.
const HANG_MAX: Duration = Duration::from_secs(60);

/// How often a request in a thousand has each fault.
#[derive(Debug, Clone, Copy)]
pub struct SqsFaultRates {
    /// The request gets status 500 or 503, and does not reach the queue.
    pub error: u32,
    /// The queue carries the request out, and the connection closes without a response.
    pub lost_response: u32,
    /// The response never comes. Half of the requests reach the queue.
    pub hang: u32,
    /// A response to ReceiveMessage has one more message, which was delivered before.
    pub duplicate: u32,
}

/// A running proxy. It takes no more connections once this is dropped.
#[derive(Debug)]
pub struct SqsProxy {
    address: SocketAddr,
    shared: Arc<ProxyState>,
}

#[derive(Debug)]
struct ProxyState {
    target: String,
    rates: SqsFaultRates,
    is_faulty: AtomicBool,
    is_over: AtomicBool,
    random: Mutex<fastrand::Rng>,
    record: Mutex<SqsRecord>,
    delivered: Mutex<VecDeque<Value>>,
}

/// What has passed a proxy.
#[derive(Debug, Clone, Default)]
pub struct SqsRecord {
    /// Requests by operation.
    pub requests: BTreeMap<String, u64>,
    /// Faults by their kind and the operation.
    pub faults: BTreeMap<String, u64>,
    /// How often each event was sent to the queue and delivered by it, by its `messageId`.
    pub events: HashMap<String, EventPassages>,
}

/// How often an event has passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventPassages {
    /// The queue has stored it.
    pub sent: u32,
    /// The queue has delivered it.
    pub delivered: u32,
    /// Of these, deliveries that the proxy has added.
    pub added: u32,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SqsFault {
    None,
    Error,
    LostResponse,
    Hang { reaches_queue: bool },
}

impl SqsProxy {
    /// Starts a proxy of the server with this URL.
    pub fn start(target: &str, rates: SqsFaultRates, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(ProxyState {
            target: target.to_owned(),
            rates,
            is_faulty: AtomicBool::new(true),
            is_over: AtomicBool::new(false),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            record: Mutex::default(),
            delivered: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if own.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let own = Arc::clone(&own);
                thread::spawn(move || own.serve(stream));
            }
        });
        SqsProxy { address, shared }
    }

    /// The URL of the proxy.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends the faults.
    pub fn end_faults(&self) {
        self.shared.is_faulty.store(false, Ordering::Relaxed);
    }

    /// What has passed so far.
    pub fn record(&self) -> SqsRecord {
        self.shared.record.lock().clone()
    }
}

impl ProxyState {
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(request) = HttpRequest::read(&mut reader) {
            let target = request.headers.get("x-amz-target").cloned().unwrap_or_default();
            let operation = target.strip_prefix("AmazonSQS.").unwrap_or("another").to_owned();
            *self.record.lock().requests.entry(operation.clone()).or_default() += 1;
            let fault = self.draw_fault(&operation);
            let response = match fault {
                SqsFault::Error => Some(error_response(self.random.lock().bool())),
                SqsFault::Hang { reaches_queue: false } => None,
                _ => Some(self.forward(&request, &operation, fault)),
            };
            match (fault, response) {
                (SqsFault::None | SqsFault::Error, Some((status, body))) => {
                    if write_response(reader.get_mut(), status, &body).is_err() {
                        return;
                    }
                }
                (SqsFault::Hang { .. }, _) => return wait_for_end(&mut reader),
                _ => return,
            }
        }
    }

    fn draw_fault(&self, operation: &str) -> SqsFault {
        if !self.is_faulty.load(Ordering::Relaxed) {
            return SqsFault::None;
        }
        let mut random = self.random.lock();
        let SqsFaultRates { error, lost_response, hang, .. } = self.rates;
        let drawn = random.u32(..1000);
        let (fault, name) = if drawn < error {
            (SqsFault::Error, "error")
        } else if drawn < error + lost_response {
            (SqsFault::LostResponse, "lost response")
        } else if drawn < error + lost_response + hang {
            (SqsFault::Hang { reaches_queue: random.bool() }, "no response")
        } else {
            return SqsFault::None;
        };
        self.count_fault(name, operation);
        fault
    }

    fn count_fault(&self, name: &str, operation: &str) {
        *self.record.lock().faults.entry(format!("{name} to {operation}")).or_default() += 1;
    }

    /// Has the queue carry out a request. Returns the status and the body of the response.
    fn forward(&self, request: &HttpRequest, operation: &str, fault: SqsFault) -> (u16, Vec<u8>) {
        let path = request.line.split(' ').nth(1).unwrap_or("/");
        let skipped = ["host", "content-length", "connection"];
        let headers = request.headers.iter().filter(|(name, _)| !skipped.contains(&name.as_str()));
        let headers: Vec<_> = headers.map(|(name, value)| (&**name, &**value)).collect();
        let response = Client::connect(&self.target).post(path, &headers, &request.body);
        let HttpResponse { status, body, .. } = response.expect("the queue responds");
        match operation {
            "SendMessage" if status == 200 => {
                let sent: Value = serde_json::from_slice(&request.body).expect("JSON");
                for id in message_event_ids(sent["MessageBody"].as_str().unwrap_or_default()) {
                    self.record.lock().events.entry(id).or_default().sent += 1;
                }
                (status, body)
            }
            "ReceiveMessage" if status == 200 && fault == SqsFault::None => {
                (status, self.deliver(&body))
            }
            _ => (status, body),
        }
    }

    /// Counts the messages of a response, and adds one that was delivered before.
    fn deliver(&self, body: &[u8]) -> Vec<u8> {
        let mut response: Value = serde_json::from_slice(body).expect("JSON");
        let mut messages = response["Messages"].as_array().cloned().unwrap_or_default();
        let mut delivered = self.delivered.lock();
        let added = self.draw_duplicate(&delivered);
        self.count_delivered(&messages, false);
        delivered.extend(messages.iter().cloned());
        while delivered.len() > REMEMBERED_MESSAGES {
            delivered.pop_front();
        }
        if let Some(added) = added {
            self.count_fault("second delivery", "ReceiveMessage");
            self.count_delivered(std::slice::from_ref(&added), true);
            messages.push(added);
        }
        if !messages.is_empty() {
            response["Messages"] = messages.into();
        }
        response.to_string().into_bytes()
    }

    fn draw_duplicate(&self, delivered: &VecDeque<Value>) -> Option<Value> {
        let mut random = self.random.lock();
        let is_drawn =
            self.is_faulty.load(Ordering::Relaxed) && random.u32(..1000) < self.rates.duplicate;
        (is_drawn && !delivered.is_empty())
            .then(|| delivered[random.usize(..delivered.len())].clone())
    }

    fn count_delivered(&self, messages: &[Value], is_added: bool) {
        let mut record = self.record.lock();
        for message in messages {
            for id in message_event_ids(message["Body"].as_str().unwrap_or_default()) {
                let passages = record.events.entry(id).or_default();
                passages.delivered += 1;
                passages.added += u32::from(is_added);
            }
        }
    }
}

/// The ids of the events of a message.
fn message_event_ids(body: &str) -> Vec<String> {
    let message = base64_simd::STANDARD.decode_to_vec(body).expect("base64");
    let entry = decode_message(&message, Vec::new()).expect("a message of a collector");
    let entry = EventEntry::decode(&entry).expect("a message of a collector");
    let mut start = 0;
    let mut ids = Vec::new();
    for (end, _) in entry.events() {
        let event: Value = serde_json::from_slice(&entry.texts[start..end as usize]).expect("JSON");
        start = end as usize;
        ids.push(event["messageId"].as_str().expect("an id").to_owned());
    }
    ids
}

fn error_response(is_unavailable: bool) -> (u16, Vec<u8>) {
    let (status, code) =
        if is_unavailable { (503, "ServiceUnavailable") } else { (500, "InternalFailure") };
    (status, json!({"__type": code, "message": "as the test wants it"}).to_string().into_bytes())
}

fn write_response(stream: &mut TcpStream, status: u16, body: &[u8]) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat())
}

/// Waits until the client closes the connection.
fn wait_for_end(reader: &mut BufReader<TcpStream>) {
    let _ = reader.get_ref().set_read_timeout(Some(HANG_MAX));
    let _ = reader.read(&mut [0]);
}

impl Drop for SqsProxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

//! Hostile clients of the soak test.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::compressed::zlib;

use super::world::SoakWorld;

/// The source whose key the hostile clients know.
pub(super) const SOURCE: &str = "hostile";
const KEY: &str = "key-of-hostile";
pub(super) const SETTINGS: &str =
    "[[sources]]\nname = \"hostile\"\ndialect = \"segment\"\nwrite_keys = [\"key-of-hostile\"]\n";

/// The pause of a client that only occupies resources.
const PACE: Duration = Duration::from_millis(50);

/// How long a client waits for a response.
const PATIENCE: Duration = Duration::from_secs(5);

/// The behaviors of hostile clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hostile {
    /// Sends half a body, and then a byte from time to time.
    SlowBodies,
    /// Sends many requests, but reads no responses.
    UnreadAnswers,
    /// Sends headers that never end.
    EndlessHeaders,
    /// Opens connections without sending a byte.
    Idle,
    /// Sends batches with keys that no source has.
    WrongKeys,
    /// Sends requests that are not JSON, have an unknown path, are wrongly compressed, or are too
    /// large.
    BadRequests,
    /// Sends batches of `{}`. Each of these events becomes a dead letter.
    EmptyEvents,
    /// Sends small bodies that become large when each event gets their shared members.
    SharedFields,
}

impl Hostile {
    /// All kinds.
    pub(super) const ALL: [Hostile; 8] = [
        Hostile::SlowBodies,
        Hostile::UnreadAnswers,
        Hostile::EndlessHeaders,
        Hostile::Idle,
        Hostile::WrongKeys,
        Hostile::BadRequests,
        Hostile::EmptyEvents,
        Hostile::SharedFields,
    ];

    /// The number of threads. Floods come from several clients at once.
    pub(super) fn threads(self) -> usize {
        match self {
            Hostile::SlowBodies
            | Hostile::UnreadAnswers
            | Hostile::EndlessHeaders
            | Hostile::Idle
            | Hostile::EmptyEvents => 1,
            Hostile::WrongKeys | Hostile::BadRequests | Hostile::SharedFields => 4,
        }
    }

    /// Repeats the behavior until the phase is over.
    pub(super) fn run(self, world: &SoakWorld, is_over: &AtomicBool) {
        match self {
            Hostile::SlowBodies => {
                let head = request_head("POST /v1/batch", "Content-Length: 1000000\r\n\r\n{");
                let start = [head.as_bytes(), &[b' '; 65_536]].concat();
                hold_connections(world, 40, &start, b" ", is_over);
            }
            Hostile::UnreadAnswers => {
                let ask = request_head(&format!("GET /v1/projects/{KEY}/settings"), "\r\n");
                hold_connections(world, 40, &[], ask.repeat(20).as_bytes(), is_over);
            }
            Hostile::EndlessHeaders => {
                let start = "POST /v1/batch HTTP/1.1\r\nHost: soak\r\nX-Endless: ";
                hold_connections(world, 100, start.as_bytes(), b"x", is_over);
            }
            Hostile::Idle => hold_connections(world, 300, &[], &[], is_over),
            Hostile::WrongKeys => send_flood(world, is_over, &|number| {
                let body = vec![b'x'; 20_000];
                make_request("/v1/batch", &format!("wrong-key-{number}"), "", body)
            }),
            Hostile::BadRequests => send_flood(world, is_over, &bad_request),
            Hostile::EmptyEvents => send_flood(world, is_over, &|_| {
                thread::sleep(PACE);
                let body = format!("{{\"batch\":[{}]}}", vec!["{}"; 100].join(","));
                make_request("/v1/batch", KEY, "", body.into_bytes())
            }),
            Hostile::SharedFields => {
                let bytes = zlib(shared_fields().as_bytes());
                let deflated = "Content-Encoding: deflate\r\n";
                send_flood(world, is_over, &|_| {
                    make_request("/v1/batch", KEY, deflated, bytes.clone())
                });
            }
        }
    }
}

/// A batch of events that match no mapping, with a shared context.
fn shared_fields() -> String {
    let context = "x".repeat(20_000);
    let events = vec![r#"{"type":"track","event":"filter","userId":"u"}"#; 150].join(",");
    format!("{{\"context\":{{\"page\":\"{context}\"}},\"batch\":[{events}]}}")
}

fn bad_request(number: usize) -> Vec<u8> {
    let json = br#"{"batch":[{"type":"track","event":"filter","userId":"u"}]}"#.to_vec();
    match number % 7 {
        0 => make_request("/v1/batch", KEY, "", b"no JSON at all".to_vec()),
        1 => make_request("/v1/nothing", KEY, "", json),
        2 => make_request("/v1/batch", KEY, "Content-Encoding: gzip\r\n", json),
        3 => make_request("/v1/batch", KEY, "Content-Encoding: rot13\r\n", json),
        4 => make_request("/v1/batch", KEY, "", vec![b' '; 4_200_000]),
        5 => b"GET / HTTP/9.9\r\n\r\n\0\0".to_vec(),
        _ => make_request("/v1/track", KEY, "", b"[1,2,3]".to_vec()),
    }
}

fn request_head(line: &str, rest: &str) -> String {
    let (name, value) = basic_auth(KEY);
    format!("{line} HTTP/1.1\r\nHost: soak\r\n{name}: {value}\r\n{rest}")
}

fn make_request(path: &str, key: &str, headers: &str, body: Vec<u8>) -> Vec<u8> {
    let (name, value) = basic_auth(key);
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: soak\r\n{name}: {value}\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    [head.into_bytes(), body].concat()
}

/// Holds connections open, and sends this text on each of them from time to time.
fn hold_connections(
    world: &SoakWorld,
    connections: usize,
    start: &[u8],
    drip: &[u8],
    is_over: &AtomicBool,
) {
    let mut clients: Vec<_> = (0..connections).map(|_| None).collect();
    while !is_over.load(Ordering::Relaxed) {
        for (number, slot) in clients.iter_mut().enumerate() {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            let Some(client) = slot else {
                *slot = connect_client(world, number);
                let begun = slot.as_mut().is_some_and(|client| client.send(start).is_ok());
                *slot = slot.take().filter(|_| begun);
                continue;
            };
            // A client that does not read is blocked at some point.
            client.set_write_timeout(PACE);
            if !drip.is_empty() && client.send(drip).is_err() {
                world.traffic.hostile.fetch_add(1, Ordering::Relaxed);
                *slot = None;
            }
        }
        thread::sleep(PACE);
    }
}

/// Sends one request after the other, and reads the responses.
fn send_flood(world: &SoakWorld, is_over: &AtomicBool, make: &dyn Fn(usize) -> Vec<u8>) {
    let (mut number, mut client) = (0, None);
    while !is_over.load(Ordering::Relaxed) {
        client = client.or_else(|| connect_client(world, number));
        let Some(connected) = &mut client else {
            thread::sleep(PACE);
            continue;
        };
        connected.set_read_timeout(PATIENCE);
        let sent = connected.send(&make(number));
        // A response may have arrived before everything was sent.
        if connected.read_response().is_err() || sent.is_err() {
            client = None;
        }
        number += 1;
        world.traffic.hostile.fetch_add(1, Ordering::Relaxed);
    }
}

fn connect_client(world: &SoakWorld, number: usize) -> Option<Client> {
    let own = Ipv4Addr::new(127, 0, 66, 1 + (number % 20) as u8);
    let client = Client::try_connect_from(own, &world.place.url()).ok()?;
    client.set_write_timeout(PATIENCE);
    Some(client)
}

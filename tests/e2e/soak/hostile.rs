//! Hostile clients.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::compressed::zlib;

use super::world::SoakWorld;

/// The source whose key hostile clients know.
pub(super) const SOURCE: &str = "hostile";
const KEY: &str = "key-of-hostile";
pub(super) const SETTINGS: &str =
    "[[sources]]\nname = \"hostile\"\ndialect = \"segment\"\nwrite_keys = [\"key-of-hostile\"]\n";

/// How long a pause of a client is that only holds on to something.
const PACE: Duration = Duration::from_millis(50);

/// For how long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The behaviors of hostile clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hostile {
    /// Half a body, and then a byte now and then.
    SlowBodies,
    /// Many questions, whose answers are not read.
    UnreadAnswers,
    /// Headers without an end.
    EndlessHeaders,
    /// Connections without a byte.
    Idle,
    /// Batches with keys that no source has.
    WrongKeys,
    /// Requests that are not JSON, have an unknown path, are wrongly compressed, or are too large.
    BadRequests,
    /// Batches of `{}`: each is a dead letter.
    EmptyEvents,
    /// Small bodies that become large once what their events share is in each.
    SharedFields,
}

impl Hostile {
    /// Every kind.
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

    /// How many threads do it: floods come from several clients at once.
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

    /// Do it until it is over.
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

/// A batch of events that no row matches, which share a context.
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

/// Hold connections open, and send this on each of them now and then.
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
            // A client that does not read is blocked at some time.
            client.set_write_timeout(PACE);
            if !drip.is_empty() && client.send(drip).is_err() {
                world.traffic.hostile.fetch_add(1, Ordering::Relaxed);
                *slot = None;
            }
        }
        thread::sleep(PACE);
    }
}

/// Send one request after the other, and read the answers.
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
        // An answer may have come before all was sent.
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

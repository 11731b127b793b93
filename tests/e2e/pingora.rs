//! Tests the host inside a Pingora reverse proxy, an example of the documentation, with real
//! connections to the proxy, to a site behind it, and to Firehose.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::thread::{self, JoinHandle};

use rustix::process::Signal;
use serde_json::{Value, json};
use standpipe_tests::client::Client;
use standpipe_tests::{
    Endpoint, Program, Running, Stub, StubResponse, free_port, pingora_gateway, wait_until,
};

use crate::gateway::stub_settings;

const CLIENTS: usize = 4;
const SOURCES: &str = "listen = 'off'\n\
    sources = [{ name = 'web', dialect = 'segment', write_keys = ['key'] }]\n";

/// The gateway in front of a site.
struct PingoraGateway {
    running: Running,
    url: String,
    firehose: Stub,
}

impl PingoraGateway {
    fn start(site: &str, firehose: Stub) -> Self {
        let address = free_address();
        let settings = gateway_settings(&firehose, "requests");
        let program =
            Program::from_path(&pingora_gateway()).file("settings.toml", settings.as_bytes());
        let running = program.args([&address, site, "settings.toml"]).start();
        wait_until("the gateway listens", || TcpStream::connect(&address).is_ok());
        PingoraGateway { running, url: format!("http://{address}"), firehose }
    }

    /// Starts clients that load pages and send events until the gateway stops. They return the
    /// numbers of successful requests.
    fn start_clients(&self) -> Vec<JoinHandle<Vec<usize>>> {
        let clients = (0..CLIENTS).map(|client| {
            let mut connection = Client::connect(&self.url);
            thread::spawn(move || {
                let numbers = (client..).step_by(CLIENTS);
                numbers.take_while(|number| visit_page(&mut connection, *number)).collect()
            })
        });
        clients.collect()
    }

    /// The events of delivered pages, by path.
    fn stop_and_read_pages(self) -> Vec<Value> {
        self.running.send_signal(Signal::TERM);
        self.running.wait(standpipe_tests::DEADLINE).expect_exit(0);
        let mut streams = self.firehose.accepted_records();
        let requests = streams.remove("requests").expect("events of pages");
        assert!(streams.is_empty(), "{:?}", streams.keys());
        let events = requests.iter().map(|record| serde_json::from_slice(record).unwrap());
        let mut events: Vec<Value> = events.collect();
        events.sort_by_key(|event| event["properties"]["path"].to_string());
        events
    }
}

/// The numbers of the delivered events by stream, sorted.
fn delivered_numbers(firehose: &Stub) -> BTreeMap<String, Vec<usize>> {
    let mut streams = BTreeMap::new();
    for (name, records) in firehose.accepted_records() {
        let events = records.iter().map(|record| serde_json::from_slice(record).unwrap());
        let mut numbers: Vec<_> = events.map(|event| number_of(&event)).collect();
        numbers.sort_unstable();
        streams.insert(name, numbers);
    }
    streams
}

/// A site that echoes requests, and its address.
fn start_site() -> (Endpoint, String) {
    let site = Endpoint::start(|asked| match asked.line.contains("/missing") {
        true => (404, "nothing".to_owned()),
        false => (201, asked.body.clone()),
    });
    let address = site.url().strip_prefix("http://").unwrap().to_owned();
    (site, address)
}

fn free_address() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// The number of an event of either kind.
fn number_of(event: &Value) -> usize {
    let page = event["properties"]["path"].as_str().and_then(|path| path.strip_prefix("/shop/"));
    let page = page.map(|number| number.parse().unwrap());
    page.or(event["n"].as_u64()).unwrap_or_else(|| panic!("no number: {event}")) as usize
}

fn gateway_settings(firehose: &Stub, stream: &str) -> String {
    format!(
        "{SOURCES}{}[delivery]\nmax_delay = '20ms'\n[plugin.settings]\nmappings = [\
         {{ event = 'HTTP Request', stream = '{stream}' }}, {{ event = 'Signed Up', stream = 'accounts' }}]\n",
        stub_settings(firehose)
    )
}

/// Requests a page and sends a tracking call with the same number. Returns whether both got
/// successful responses.
fn visit_page(connection: &mut Client, number: usize) -> bool {
    let text = format!("page {number}");
    let page = connection.post(&format!("/shop/{number}?hush=1"), &[], text.as_bytes());
    let Ok(page) = page else { return false };
    assert_eq!((page.status, page.text()), (201, text));
    let event = json!({"writeKey": "key", "userId": "u", "event": "Signed Up", "n": number});
    match connection.post("/v1/track", &[], event.to_string().as_bytes()) {
        Ok(tracked) => tracked.status == 200,
        Err(_) => false,
    }
}

#[test]
fn pages_and_calls_arrive_once_during_swap_and_drain() {
    // Every third request must be retried.
    let mut requests = 0;
    let stub = Stub::start(move |_| {
        requests += 1;
        match requests % 3 {
            0 => StubResponse::Fail {
                status: 503,
                code: "ServiceUnavailableException",
                accepted: false,
            },
            _ => StubResponse::Accept,
        }
    });
    let (_site, address) = start_site();
    let gateway = PingoraGateway::start(&address, stub);
    let clients = gateway.start_clients();
    let is_used = |stream: &str| {
        gateway.firehose.accepted_records().get(stream).is_some_and(|it| it.len() > 50)
    };
    wait_until("requests arrive", || is_used("requests") && is_used("accounts"));
    let other = gateway_settings(&gateway.firehose, "other-requests");
    fs::write(gateway.running.path("next.toml"), other).unwrap();
    fs::rename(gateway.running.path("next.toml"), gateway.running.path("settings.toml")).unwrap();
    wait_until("the settings take over", || is_used("other-requests"));
    // Clients continue meanwhile, until they get no more responses.
    gateway.running.send_signal(Signal::TERM);
    let mut answered: Vec<_> =
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    answered.sort_unstable();
    let PingoraGateway { running, firehose, .. } = gateway;
    let ran = running.wait(standpipe_tests::DEADLINE).expect_exit(0);
    let delivered = delivered_numbers(&firehose);
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(said.contains("unsettled: 0"), "{said}");
    assert_eq!(firehose.violations(), [""; 0]);
    let mut pages = delivered["requests"].clone();
    pages.extend(&delivered["other-requests"]);
    pages.sort_unstable();
    // A client may have been cut off after its page, or before it received a response.
    for (kind, seen) in [("pages", &pages), ("calls", &delivered["accounts"])] {
        let once = seen.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(once, "one of the {kind} arrived twice");
        let is_missing = |number: &&usize| seen.binary_search(number).is_err();
        let missing: Vec<_> = answered.iter().filter(is_missing).collect();
        assert!(missing.is_empty(), "{kind} are missing: {missing:?}");
        assert!(seen.len() <= answered.len() + CLIENTS, "{kind} that nobody sent");
    }
}

#[test]
fn requests_are_recorded_and_refused_calls_are_not_forwarded() {
    let (site, address) = start_site();
    let gateway = PingoraGateway::start(&address, Stub::start(|_| StubResponse::Accept));
    let mut client = Client::connect(&gateway.url);
    let agent = [("User-Agent", "a \"quoted\" agent")];
    assert_eq!(client.request("GET", "/shop/1", &agent, b"").unwrap().status, 201);
    assert_eq!(client.request("GET", "/missing?hush=1", &agent, b"").unwrap().status, 404);
    let unknown = json!({"writeKey": "none", "userId": "u", "event": "a"}).to_string();
    assert_eq!(client.post("/v1/track", &[], unknown.as_bytes()).unwrap().status, 401);
    let [missing, shop] = &gateway.stop_and_read_pages()[..] else {
        panic!("one event for each page")
    };
    assert_eq!(site.requests().len(), 2);
    let (shop, missing) = (&shop["properties"], &missing["properties"]);
    assert_eq!(
        (&shop["path"], &shop["status"], &shop["method"]),
        (&json!("/shop/1"), &json!(201), &json!("GET"))
    );
    assert_eq!(shop["request_headers"], json!({"user-agent": "a \"quoted\" agent"}));
    assert!(shop["latency_ms"].as_f64().unwrap() > 0.0);
    assert_eq!((&missing["path"], &missing["status"]), (&json!("/missing"), &json!(404)));
    assert!(!missing.to_string().contains("hush"));
}

#[test]
fn an_unreachable_site_is_reported() {
    let gateway = PingoraGateway::start(&free_address(), Stub::start(|_| StubResponse::Accept));
    let mut client = Client::connect(&gateway.url);
    assert_eq!(client.request("GET", "/gone", &[], b"").unwrap().status, 502);
    let events = gateway.stop_and_read_pages();
    assert_eq!((events.len(), &events[0]["properties"]["status"]), (1, &json!(502)));
}

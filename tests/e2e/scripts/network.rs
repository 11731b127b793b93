//! Tests requests of scripts to servers, and look-ups of IP addresses.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use standpipe_tests::{DEADLINE, Running, wait_until};

use super::*;

/// A server on this machine, with the number of requests that it has received.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Arc<AtomicUsize>,
}

/// Starts a server that passes the path of each request to a function, which writes the response.
pub(crate) fn serve(respond: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (respond, requests) = (Arc::new(respond), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&requests);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (respond, counted) = (Arc::clone(&respond), Arc::clone(&counted));
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                let mut path = String::new();
                while reader.read_line(&mut line).unwrap_or(0) > 0 {
                    match line.split(' ').nth(1) {
                        Some(target) if path.is_empty() => path = target.to_owned(),
                        _ if line == "\r\n" => {
                            counted.fetch_add(1, Ordering::SeqCst);
                            respond(&std::mem::take(&mut path), &mut stream);
                        }
                        _ => {}
                    }
                    line.clear();
                }
            });
        }
    });
    Server { address, requests }
}

pub(crate) fn write_response(stream: &mut TcpStream, headers: &str, body: &str) {
    let length = body.len();
    let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
    let _ = stream.write_all(response.as_bytes());
}

/// A script that requests what the event names, and keeps the outcome.
const FETCH: &str = "\
export async function transformEvent(event) {
  event.short = await fetch(event.url);
  try {
    const response = await fetchV2(event.url);
    event.status = response.status;
    event.body = response.body;
  } catch (error) {
    event.error = error.message;
    event.code = error.code;
  }
  return event;
}
";

fn settings_for(server: &Server, more: &str) -> String {
    let address = server.address;
    format!(
        "workers = 1\n[plugin]\nscript = 'fetch.js'\n[plugin.network]\nallow = ['{address}']\n\
         allow_private = ['127.0.0.1']\n{more}\n{ALL_EVENTS}"
    )
}

fn event(url: &str) -> String {
    format!("{{\"event\":\"x\",\"url\":\"{url}\"}}\n")
}

/// The events that a script returns, in the order of the input.
fn run_script(settings: &str, input: &str) -> Vec<Value> {
    let program = Program::host_run_locally().file("fetch.js", FETCH.as_bytes());
    let ran = program.settings(settings).stdin(input).run().expect_exit(0);
    lines_of(&ran.streams()).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn nothing_is_open_by_default() {
    let server = serve(|_, stream| write_response(stream, "", "{}"));
    let settings = format!("[plugin]\nscript = 'fetch.js'\n{ALL_EVENTS}");
    let url = format!("http://{}/path?key=secret", server.address);
    let events = run_script(&settings, &event(&url));
    assert_eq!(events[0]["short"], "ERROR");
    let address = server.address;
    let expected = format!(
        "request to http://{address}/path failed, reason: the network is off for plugins: write allow = \
         [\"{address}\"] under [plugin.network] to allow requests to this host"
    );
    assert_eq!(events[0]["error"], expected);
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
}

#[test]
#[expect(clippy::print_stdout, reason = "the figure is for people")]
fn requests_of_a_batch_are_sent_at_the_same_time() {
    const EVENTS: usize = 500;
    let server = serve(|path, stream| {
        thread::sleep(Duration::from_millis(20));
        write_response(stream, "", &format!("{{\"path\":\"{path}\"}}"));
    });
    let code = format!(
        "export async function transformBatch(events) {{
           const started = Date.now();
           await Promise.all(events.map(async event => {{
             event.path = (await fetch('http://{}/' + event.number)).path;
           }}));
           events.forEach(event => {{ event.ms = Date.now() - started; event.events = events.length; }});
           return events;
         }}",
        server.address
    );
    let input: String =
        (0..EVENTS).map(|number| format!("{{\"event\":\"x\",\"number\":{number}}}\n")).collect();
    let program = Program::host_run_locally().file("fetch.js", code.as_bytes());
    let program = program.file("events.ndjson", input.as_bytes()).args(["events.ndjson"]);
    let ran = program.settings(&settings_for(&server, "")).run().expect_exit(0);
    let events = lines_of(&ran.streams());
    let events: Vec<Value> =
        events.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), EVENTS);
    for event in &events {
        assert_eq!(event["path"], format!("/{}", event["number"]));
    }
    assert_eq!(server.requests.load(Ordering::SeqCst), EVENTS);
    let slowest = events.iter().max_by_key(|event| event["ms"].as_u64()).unwrap();
    println!("a batch of {} events with a request each: {} ms", slowest["events"], slowest["ms"]);
    // One after the other, they take ten seconds.
    assert!(slowest["ms"].as_u64().unwrap() < 3000, "{slowest}");
}

#[test]
fn waiting_costs_no_cpu_time_and_stops_no_other_worker() {
    let server = serve(|path, stream| {
        if path == "/slow" {
            thread::sleep(Duration::from_secs(3));
        }
        write_response(stream, "", "{}");
    });
    let limits = "[plugin.limits]\ncall_cpu = '200ms'\nevent_cpu = '1ms'\nbyte_cpu = '1us'";
    let settings = settings_for(&server, limits).replace("workers = 1", "workers = 2");
    let settings = format!("{settings}[delivery]\nmax_delay = '10ms'\n");
    let program = Program::host_run_locally().file("fetch.js", FETCH.as_bytes());
    let mut running = program.settings(&settings).start();
    let started = Instant::now();
    let address = server.address;
    running.write_stdin(event(&format!("http://{address}/slow")).as_bytes());
    wait_until("the slow request arrives", || server.requests.load(Ordering::SeqCst) > 0);
    running.write_stdin(event(&format!("http://{address}/quick")).as_bytes());
    wait_until("the other event is delivered", || {
        let records = fs::read_to_string(running.path("out/events.ndjson"));
        records.is_ok_and(|records| records.contains("/quick"))
    });
    assert!(started.elapsed() < Duration::from_secs(3), "the other worker waited, too");
    let ran = running.finish(DEADLINE).expect_exit(0);
    let lines = lines_of(&ran.streams());
    assert!(lines.iter().any(|line| line.contains("/slow\"") && line.contains("\"status\":200")));
    assert!(started.elapsed() >= Duration::from_secs(3));
}

#[test]
fn servers_that_misbehave_cost_their_own_events() {
    let server = serve(|path, stream| match path {
        "/slow" => thread::sleep(Duration::from_secs(30)),
        "/huge" => write_response(stream, "", &"x".repeat(20_000)),
        "/close" => {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        "/private" | "/metadata" | "/outside" | "/file" => {
            let target = match path {
                "/private" => "http://10.0.0.1/",
                "/metadata" => "http://169.254.169.254/latest/meta-data/",
                "/outside" => "http://outside.example/",
                _ => "file:///etc/passwd",
            };
            let response =
                format!("HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
            let _ = stream.write_all(response.as_bytes());
        }
        _ => write_response(stream, "", "[1.50]"),
    });
    let address = server.address;
    let more = "timeout = '300ms'\nmax_response_bytes = 10000";
    let allowed = format!("['{address}', '10.0.0.1', '169.254.169.254']");
    let settings = settings_for(&server, more).replace(&format!("['{address}']"), &allowed);
    let expected = [
        ("/good", ""),
        ("/slow", "no complete response of"),
        ("/huge", "is larger than 10000 bytes"),
        ("/close", "ECONNRESET"),
        ("/private", "blocked request to non-public address: 10.0.0.1"),
        ("/metadata", "blocked request to non-public address: 169.254.169.254"),
        ("/outside", "requests to outside.example are not allowed: add \"outside.example\""),
        ("/file", "invalid protocol, only http and https are supported"),
    ];
    let input: String =
        expected.iter().map(|(path, _)| event(&format!("http://{address}{path}"))).collect();
    let events = run_script(&settings, &input);
    assert_eq!(events.len(), expected.len());
    for (path, words) in expected {
        let url = format!("http://{address}{path}");
        let event = events.iter().find(|event| event["url"] == *url).unwrap();
        match event["error"].as_str() {
            Some(error) => {
                assert!(!words.is_empty() && error.contains(words), "{path}: {error}");
                assert_eq!(event["short"], "ERROR", "{path}");
            }
            None => assert_eq!((event["body"].to_string(), words), ("[1.5]".to_owned(), "")),
        }
    }
    let closed = events.iter().find(|event| event["url"].as_str().unwrap().ends_with("/close"));
    assert_eq!(closed.unwrap()["code"], "ECONNRESET");
}

#[test]
fn mistakes_of_the_settings_say_what_to_write() {
    for (settings, expected) in [
        (
            "allow = ['https://a.example/']",
            "[plugin.network] allow contains \"https://a.example/\": write the host alone, such as \"api.example.com\"",
        ),
        (
            "allow = ['*']",
            "write `*` only at the start, before a domain, such as \"*.example.com\"",
        ),
        (
            "allow_private = ['10.0.0.0/40']",
            "write a network or an address, such as \"10.1.0.0/16\"",
        ),
        (
            "max_requests_per_batch = 0",
            "max_requests_per_batch is 0: write a number from 1 to 100000",
        ),
        ("timeout = '2h'", "timeout is \"2h\": write at most 1m"),
        (
            "proxy = 'proxy:3128'",
            "[plugin.network] proxy is not the URL of a proxy: write http://HOST:PORT",
        ),
        ("ca_bundle = 'fetch.js'", "check `ca_bundle` under [plugin.network]"),
    ] {
        let settings =
            format!("[plugin]\nscript = 'fetch.js'\n[plugin.network]\n{settings}\n{ALL_EVENTS}");
        let program = Program::host_run_locally().file("fetch.js", FETCH.as_bytes());
        let ran = program.settings(&settings).stdin("").run();
        assert!(ran.stderr.contains(expected), "{settings}: {}", ran.stderr);
    }
    let settings = format!("[plugin]\nscript = 'fetch.js'\ngeolocation = 'fetch.js'\n{ALL_EVENTS}");
    let program = Program::host_run_locally().file("fetch.js", FETCH.as_bytes());
    let ran = program.settings(&settings).stdin("").run();
    assert!(ran.stderr.contains("[plugin] geolocation: failed to read"), "{}", ran.stderr);
}

#[test]
fn network_and_database_follow_the_settings() {
    let server = serve(|_, stream| write_response(stream, "", "{}"));
    let code = "export async function transformEvent(event) {\n  \
                try { event.outcome = (await fetchV2(event.url)).status } catch (error) { event.outcome = error.message }\n  \
                try { event.place = await geolocation('81.2.69.142') } catch (error) { event.place = error.message }\n  \
                return event;\n}\n";
    let settings = |network: &str| {
        format!(
            "workers = 1\n[delivery]\nmax_delay = '10ms'\n[plugin]\nwatch = false\nscript = 'a.js'\n{network}\n{ALL_EVENTS}"
        )
    };
    let open =
        format!("[plugin.network]\nallow = ['{}']\nallow_private = ['127.0.0.1']", server.address);
    let program = Program::host_run_locally().file("a.js", code.as_bytes());
    let mut running = program.settings(&settings("")).start();
    let url = format!("http://{}/", server.address);
    let send = |running: &mut Running, expected: &str| {
        let read = |running: &Running| {
            fs::read_to_string(running.path("out/events.ndjson")).unwrap_or_default()
        };
        let before = read(running).lines().count();
        running.write_stdin(event(&url).as_bytes());
        wait_until("the event is delivered", || read(running).lines().count() > before);
        let records = read(running);
        let last = records.lines().last().unwrap();
        assert!(last.contains(expected), "{expected}: {last}");
    };
    send(&mut running, "the network is off");
    let change = |running: &Running, network: &str, words: &str| {
        let before = running.stderr().matches(words).count();
        fs::write(running.path("settings.toml"), settings(network)).unwrap();
        running.send_signal(Signal::HUP);
        wait_until("the settings are reloaded", || {
            running.stderr().matches(words).count() > before
        });
    };
    change(&running, &open, "reloaded [plugin] network, geolocation");
    send(&mut running, "\"outcome\":200");
    let broken = format!("geolocation = 'a.js'\n{open}");
    change(
        &running,
        &broken,
        "failed to reload [plugin] network, geolocation; the last settings stay in use",
    );
    send(&mut running, "\"outcome\":200");
    let missing = format!("{open}\nca_bundle = 'none.pem'");
    change(&running, &missing, "check `ca_bundle` under [plugin.network]");
    send(&mut running, "\"outcome\":200");
    change(&running, "", "reloaded [plugin] network, geolocation");
    send(&mut running, "the network is off");
    let ran = running.finish(DEADLINE).expect_exit(0);
    assert!(!ran.stderr.contains("restart to apply"), "{}", ran.stderr);
}

/// A value of the format MaxMind DB.
enum Encoded<'a> {
    Text(&'a str),
    Double(f64),
    /// The number of its type and its bytes.
    Number(u8, &'a [u8]),
    Map(Vec<(&'a str, Encoded<'a>)>),
    Array(Vec<Encoded<'a>>),
}

impl Encoded<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Encoded::Text(text) => {
                bytes.push(2 << 5 | u8::try_from(text.len()).unwrap());
                bytes.extend(text.as_bytes());
            }
            Encoded::Double(number) => {
                bytes.push(3 << 5 | 8);
                bytes.extend(number.to_be_bytes());
            }
            // Types above 7 have a byte of their own.
            Encoded::Number(kind @ 0..=7, digits) => {
                bytes.push(kind << 5 | u8::try_from(digits.len()).unwrap());
                bytes.extend(*digits);
            }
            Encoded::Number(kind, digits) => {
                bytes.extend([u8::try_from(digits.len()).unwrap(), kind - 7]);
                bytes.extend(*digits);
            }
            Encoded::Map(members) => {
                bytes.push(7 << 5 | u8::try_from(members.len()).unwrap());
                for (name, value) in members {
                    Encoded::Text(name).write(bytes);
                    value.write(bytes);
                }
            }
            Encoded::Array(values) => {
                bytes.extend([u8::try_from(values.len()).unwrap(), 11 - 7]);
                values.iter().for_each(|value| value.write(bytes));
            }
        }
    }
}

/// A database in which all addresses up to 127.255.255.255 are in one city, and no others.
pub(crate) fn city_database() -> Vec<u8> {
    use Encoded::{Array, Double, Map, Number, Text};
    let names = |name| Map(vec![("names", Map(vec![("en", Text(name))]))]);
    let city = Map(vec![
        ("city", names("Cologne")),
        ("country", Map(vec![("iso_code", Text("DE"))])),
        ("subdivisions", Array(vec![names("North Rhine-Westphalia")])),
        ("postal", Map(vec![("code", Text("50667"))])),
        (
            "location",
            Map(vec![
                ("latitude", Double(50.9381)),
                ("longitude", Double(6.95)),
                ("time_zone", Text("Europe/Berlin")),
            ]),
        ),
    ]);
    // One node: its first record points behind the separator, its second one to nothing.
    let mut bytes = vec![0, 0, 1 + 16, 0, 0, 1];
    bytes.extend([0; 16]);
    city.write(&mut bytes);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = Map(vec![
        ("node_count", Number(6, &[1])),
        ("record_size", Number(5, &[24])),
        ("ip_version", Number(5, &[4])),
        ("database_type", Text("Test-City")),
        ("languages", Array(vec![Text("en")])),
        ("binary_format_major_version", Number(5, &[2])),
        ("binary_format_minor_version", Number(5, &[0])),
        ("build_epoch", Number(9, &[1])),
        ("description", Map(vec![("en", Text("Test"))])),
    ]);
    metadata.write(&mut bytes);
    bytes
}

#[test]
fn addresses_are_looked_up_in_a_database() {
    let code = "export async function transformEvent(event) {
        try { event.geo = await geolocation(event.ip); } catch (error) { event.error = error.message; }
        return event;
    }";
    let events = |setting: &str| -> BTreeMap<String, Value> {
        let settings = format!("[plugin]\nscript = 'geo.js'\n{setting}\n{ALL_EVENTS}");
        let program = Program::host_run_locally().file("geo.js", code.as_bytes());
        let program = program.file("city.mmdb", &city_database()).settings(&settings);
        let input = ["1.2.3.4", "200.1.1.1", "x"].map(|ip| format!("{{\"ip\":\"{ip}\"}}"));
        let ran = program.stdin(input.join("\n")).run().expect_exit(0);
        let events = lines_of(&ran.streams());
        let events = events.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.map(|event| (event["ip"].as_str().unwrap().to_owned(), event)).collect()
    };
    let found = events("geolocation = 'city.mmdb'");
    let expected = serde_json::json!({
        "ip": "1.2.3.4", "city": "Cologne", "country": "DE", "region": "North Rhine-Westphalia",
        "postal": "50667", "location": "50.938100,6.950000", "timezone": "Europe/Berlin",
    });
    assert_eq!(found["1.2.3.4"]["geo"], expected);
    assert_eq!(found["200.1.1.1"]["geo"]["city"], "");
    assert_eq!(found["x"]["error"], "invalid ip address");
    let missing = events("");
    let expected = "geolocation is not available right now: write geolocation = \"GeoLite2-City.mmdb\" under [plugin]";
    assert_eq!(missing["1.2.3.4"]["error"], expected);
}

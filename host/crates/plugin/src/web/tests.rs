//! Requests to servers of this machine: permission, limits and redirects.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::bindings::standpipe::mapping::web::{FailureKind, Redirects, Request, Response};
use super::*;
use standpipe_core::secret::Secret;

/// A server that answers each request with what the function writes. It closes the connection if
/// that is nothing.
fn serve(respond: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let respond = Arc::new(respond);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(stream), respond) = (stream, Arc::clone(&respond)) else { return };
            thread::spawn(move || serve_connection(stream, &*respond));
        }
    });
    address
}

/// Passes the head and the body of each request to the function.
fn serve_connection(stream: TcpStream, respond: &dyn Fn(&str, &mut TcpStream)) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let start = head.len();
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
            let line = head[start..].to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let text = format!("{head}{}", String::from_utf8_lossy(&body));
        respond(&text, &mut writer);
    }
}

fn write_response(stream: &mut TcpStream, status: &str, headers: &str, body: &str) {
    let length = body.len();
    let response = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
    let _ = stream.write_all(response.as_bytes());
}

/// A server that repeats the request in its response.
fn serve_echo() -> SocketAddr {
    serve(|request, stream| write_response(stream, "200 OK", "x-a: 1\r\nx-a: 2\r\n", request))
}

fn settings(allow: &[&str]) -> NetworkSettings {
    NetworkSettings {
        allow: allow.iter().map(|text| HostPattern::parse(text).unwrap()).collect(),
        allow_private: vec!["127.0.0.1/32".parse().unwrap()],
        ..NetworkSettings::default()
    }
}

/// Access to a server of this machine.
fn open_to(server: SocketAddr, change: impl FnOnce(&mut NetworkSettings)) -> NetworkAccess {
    let (by_address, by_name) = (server.to_string(), format!("localhost:{}", server.port()));
    let mut settings = settings(&[&by_address, &by_name]);
    change(&mut settings);
    open(settings)
}

fn open(settings: NetworkSettings) -> NetworkAccess {
    let access = NetworkAccess::default();
    assert!(access.reopen(NetworkSource { settings, ..NetworkSource::default() }).unwrap());
    access
}

fn get(url: impl Into<String>) -> Request {
    Request {
        method: "GET".to_owned(),
        url: url.into(),
        headers: Vec::new(),
        body: Vec::new(),
        redirects: Redirects::Follow,
        timeout_ms: None,
    }
}

fn fetch(access: &NetworkAccess, request: Request) -> Result<Response, WebFailure> {
    access.fetch_all(vec![request], &mut CallUsage::new(RequestsOfPlugin::Sent)).remove(0)
}

/// The kind and the text of the failure of a request.
fn failure(access: &NetworkAccess, request: Request) -> (FailureKind, String) {
    let failure = fetch(access, request).unwrap_err();
    (failure.kind(), failure.to_string())
}

type Result<T, E> = std::result::Result<T, E>;

#[test]
fn nothing_is_open_by_default() {
    let server = serve(|_, _| panic!("nobody may call"));
    let access = NetworkAccess::default();
    let (kind, text) = failure(&access, get(format!("http://{server}/secret?key=1")));
    assert_eq!(kind, FailureKind::NotAllowed);
    let expected = format!(
        "the network is off for plugins: write allow = [\"{server}\"] under [plugin.network] to allow requests \
         to this host"
    );
    assert_eq!(text, expected);
}

#[test]
fn events_that_are_not_real_send_no_requests() {
    let server = serve(|_, _| panic!("nobody may call"));
    let access = open_to(server, |_| {});
    let requests = vec![get(format!("http://{server}/"))];
    let refused = access.fetch_all(requests, &mut CallUsage::default()).remove(0).unwrap_err();
    assert_eq!(refused.kind(), FailureKind::NotAllowed);
    assert!(refused.to_string().contains("tested, measured or compared"), "{refused}");
}

#[test]
fn a_request_arrives_as_the_plugin_wrote_it() {
    let server = serve_echo();
    let access = open_to(server, |_| {});
    let request = Request {
        method: "POST".to_owned(),
        headers: vec![
            ("X-B".to_owned(), "3".to_owned()),
            ("Content-Length".to_owned(), "99".to_owned()),
            ("Connection".to_owned(), "close".to_owned()),
        ],
        body: b"text".to_vec(),
        ..get(format!("http://{server}/path?query#fragment"))
    };
    let response = fetch(&access, request).unwrap();
    let echo = String::from_utf8(response.body).unwrap();
    assert!(echo.starts_with("POST /path?query HTTP/1.1\r\n"), "{echo}");
    assert!(echo.contains("x-b: 3\r\n") && echo.contains("content-length: 4\r\n"), "{echo}");
    assert!(!echo.contains("close") && echo.ends_with("\r\n\r\ntext"), "{echo}");
    assert_eq!(response.status, 200);
    let named: Vec<_> = response.headers.iter().filter(|(name, _)| name == "x-a").collect();
    assert_eq!(named.len(), 2);
    let by_name = fetch(&access, get(format!("http://localhost:{}/", server.port())));
    assert_eq!(by_name.unwrap().status, 200);
}

#[test]
fn what_is_not_allowed_is_not_sent() {
    let server = serve(|_, _| panic!("nobody may call"));
    let port = server.port();
    let access = open_to(server, |settings| settings.allow_private.clear());
    for (url, expected) in [
        (format!("http://{server}/"), "blocked request to non-public address: 127.0.0.1"),
        (format!("http://2130706433:{port}/"), "blocked request to non-public address: 127.0.0.1"),
        (format!("http://0x7f.1:{port}/"), "blocked request to non-public address: 127.0.0.1"),
        (format!("http://localhost:{port}/"), "as IP address for localhost: add its network"),
        ("http://other.example/".to_owned(), "requests to other.example are not allowed"),
        (format!("http://{server}@other.example/"), "requests to other.example are not allowed"),
    ] {
        let (kind, text) = failure(&access, get(&url));
        assert_eq!(kind, FailureKind::NotAllowed, "{url}: {text}");
        assert!(text.contains(expected), "{url}: {text}");
    }
    for url in ["file:///etc/passwd", "gopher://x/", "/path", "http://", ""] {
        assert_eq!(failure(&access, get(url)).0, FailureKind::Invalid, "{url}");
    }
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let server = serve_echo();
    let access = open_to(server, |_| {});
    let url = format!("http://{server}/");
    let header = |name: &str, value: &str| Request {
        headers: vec![(name.to_owned(), value.to_owned())],
        ..get(&url)
    };
    let method = |method: &str| Request { method: method.to_owned(), ..get(&url) };
    for request in [
        method("CONNECT"),
        method("trace"),
        method("GET /"),
        method(""),
        header("Host", "metadata.internal"),
        header("a b", "1"),
        header("a", "1\r\nb: 2"),
    ] {
        let name = format!("{request:?}");
        assert_eq!(failure(&access, request).0, FailureKind::Invalid, "{name}");
    }
}

#[test]
fn redirects_are_checked_at_each_step() {
    let other = serve_echo();
    let server = serve(move |request, stream| {
        let path = request.split(' ').nth(1).unwrap();
        let location = match path {
            "/private" => format!("http://127.0.0.2:{}/", other.port()),
            "/metadata" => "http://169.254.169.254/latest/meta-data/".to_owned(),
            "/outside" => "http://outside.example/".to_owned(),
            "/file" => "file:///etc/passwd".to_owned(),
            "/loop" => "/loop".to_owned(),
            "/other" => format!("http://{other}/end?x"),
            "/nowhere" => "http://[".to_owned(),
            _ => return write_response(stream, "200 OK", "", request),
        };
        let status = if request.starts_with("PUT") { "307 T" } else { "302 F" };
        write_response(stream, status, &format!("location: {location}\r\n"), "moved");
    });
    let access = open_to(server, |settings| {
        let private = format!("127.0.0.2:{}", other.port());
        for allowed in [private, other.to_string(), "169.254.169.254".to_owned()] {
            settings.allow.push(HostPattern::parse(&allowed).unwrap());
        }
    });
    let url = |path: &str| format!("http://{server}{path}");
    for (path, kind, expected) in [
        ("/private", FailureKind::NotAllowed, "non-public address: 127.0.0.2"),
        ("/metadata", FailureKind::NotAllowed, "non-public address: 169.254.169.254"),
        ("/outside", FailureKind::NotAllowed, "requests to outside.example"),
        ("/file", FailureKind::Invalid, "invalid protocol, only http and https are supported"),
        ("/loop", FailureKind::Redirected, "more than 5 redirects"),
        ("/nowhere", FailureKind::Redirected, "without a valid URL"),
    ] {
        let (found, text) = failure(&access, get(url(path)));
        assert_eq!(found, kind, "{path}: {text}");
        assert!(text.contains(expected), "{path}: {text}");
    }
    let with_secrets = |method: &str| Request {
        method: method.to_owned(),
        headers: vec![
            ("authorization".to_owned(), "secret".to_owned()),
            ("content-type".to_owned(), "text/plain".to_owned()),
            ("x-a".to_owned(), "kept".to_owned()),
        ],
        body: b"text".to_vec(),
        ..get(url("/other"))
    };
    let response = fetch(&access, with_secrets("POST")).unwrap();
    assert_eq!(response.url, format!("http://{other}/end?x"));
    let echo = String::from_utf8(response.body).unwrap();
    assert!(echo.starts_with("GET /end?x ") && echo.contains("x-a: kept"), "{echo}");
    for absent in ["secret", "text", "content-"] {
        assert!(!echo.contains(absent), "{absent}: {echo}");
    }
    let echo = String::from_utf8(fetch(&access, with_secrets("PUT")).unwrap().body).unwrap();
    assert!(echo.starts_with("PUT ") && echo.ends_with("text"), "{echo}");
    assert!(!echo.contains("secret"), "{echo}");
    let manual = Request { redirects: Redirects::Manual, ..get(url("/outside")) };
    assert_eq!(fetch(&access, manual).unwrap().status, 302);
    let error = Request { redirects: Redirects::Error, ..get(url("/loop")) };
    assert_eq!(failure(&access, error).0, FailureKind::Redirected);
}

#[test]
fn servers_that_misbehave_cost_a_limited_time() {
    let server = serve(|request, stream| match request.split([' ', '?']).nth(1).unwrap() {
        "/slow" => thread::sleep(Duration::from_secs(60)),
        "/drip" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        }
        "/huge" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        }
        "/close" => {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        "/cut" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort");
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        _ => {
            let _ = stream.write_all(b"no HTTP\r\n\r\n");
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    });
    let access = open_to(server, |settings| {
        settings.timeout = Duration::from_millis(300);
        settings.response_bytes = 10_000;
    });
    let started = Instant::now();
    for (path, kind, expected) in [
        ("/slow", FailureKind::Timeout, "within 300 ms"),
        ("/drip", FailureKind::Timeout, "within 300 ms"),
        ("/huge", FailureKind::TooLarge, "larger than 10000 bytes"),
        ("/close", FailureKind::Disconnected, "ECONNRESET"),
        ("/cut", FailureKind::Disconnected, "ECONNRESET"),
        ("/other", FailureKind::Disconnected, "ECONNRESET"),
    ] {
        let (found, text) = failure(&access, get(format!("http://{server}{path}?key=secret")));
        assert_eq!(found, kind, "{path}: {text}");
        assert!(text.contains(expected) && !text.contains("secret"), "{path}: {text}");
    }
    let own = Request { timeout_ms: Some(10), ..get(format!("http://{server}/slow")) };
    assert!(failure(&access, own).1.contains("within 10 ms"));
    assert!(started.elapsed() < Duration::from_secs(5));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let access = open_to(closed, |_| {});
    let (kind, text) = failure(&access, get(format!("http://{closed}/")));
    assert_eq!((kind, text), (FailureKind::Refused, format!("connect ECONNREFUSED {closed}")));
}

#[test]
fn a_call_has_limits_of_its_own() {
    let server = serve(|request, stream| {
        thread::sleep(Duration::from_millis(100));
        write_response(stream, "200 OK", "", request);
    });
    let access = open_to(server, |settings| {
        settings.requests_per_batch = 5;
        settings.batch_timeout = Duration::from_millis(250);
        settings.concurrent = 2;
    });
    let requests = |count| vec![get(format!("http://{server}/")); count];
    let kinds = |results: Vec<Result<Response, WebFailure>>| -> Vec<_> {
        results.into_iter().map(|result| result.err().map(|failure| failure.kind())).collect()
    };
    let mut usage = CallUsage::new(RequestsOfPlugin::Sent);
    let first = kinds(access.fetch_all(requests(4), &mut usage));
    assert_eq!(first, [None; 4]);
    // 200 ms have passed, and the next two need 100 ms.
    let second = kinds(access.fetch_all(requests(2), &mut usage));
    assert_eq!(second, [Some(FailureKind::Timeout), Some(FailureKind::TooMany)]);
    let next_call =
        kinds(access.fetch_all(requests(1), &mut CallUsage::new(RequestsOfPlugin::Sent)));
    assert_eq!(next_call, [None]);
    let counted: Vec<_> = access.counters().outcomes().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [("response", 5), ("timeout", 1), ("too_many", 1)]);
}

#[test]
fn requests_of_a_call_run_at_the_same_time() {
    let server = serve(|_, stream| {
        thread::sleep(Duration::from_millis(20));
        write_response(stream, "200 OK", "", "{}");
    });
    let access = open_to(server, |_| {});
    let requests = (0..500).map(|number| get(format!("http://{server}/{number}")));
    let started = Instant::now();
    let results = access.fetch_all(requests.collect(), &mut CallUsage::new(RequestsOfPlugin::Sent));
    let took = started.elapsed();
    assert!(results.iter().all(|result| result.as_ref().is_ok_and(|found| found.status == 200)));
    // One after the other, they would take ten seconds.
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_request_ends_under_the_settings_under_which_it_began() {
    let (arrived, arrival) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (arrived, released) = (parking_lot::Mutex::new(arrived), parking_lot::Mutex::new(released));
    let server = serve(move |_, stream| {
        let _ = arrived.lock().send(());
        let _ = released.lock().recv();
        write_response(stream, "200 OK", "", "late");
    });
    let access = Arc::new(open_to(server, |_| {}));
    let url = format!("http://{server}/");
    let pending = thread::spawn({
        let (access, url) = (Arc::clone(&access), url.clone());
        move || fetch(&access, get(url))
    });
    arrival.recv().unwrap();
    assert!(access.reopen(NetworkSource::default()).unwrap());
    let (kind, text) = failure(&access, get(url));
    assert!(kind == FailureKind::NotAllowed && text.contains("the network is off"), "{text}");
    release.send(()).unwrap();
    assert_eq!(pending.join().unwrap().unwrap().body, b"late");
}

#[test]
fn what_has_not_changed_stays_open() {
    let server = serve_echo();
    let access = open_to(server, |_| {});
    let source = access.opened.load().source.clone();
    assert!(!access.reopen(source.clone()).unwrap());
    let client = |access: &NetworkAccess| access.opened.load().client.clone().unwrap();
    let before = client(&access);
    let file = tempfile::NamedTempFile::new().unwrap();
    let database =
        NetworkSource { geolocation: Some(GeolocationFile::new(file.path())), ..source.clone() };
    let error = access.reopen(database).unwrap_err().to_string();
    assert!(error.contains("failed to read the geolocation database"), "{error}");
    assert!(Arc::ptr_eq(&before, &client(&access)));
    let proxy = Some(Secret::new("ftp://user:hush@proxy".to_owned()));
    let error = access.reopen(NetworkSource { proxy, ..source.clone() }).unwrap_err().to_string();
    assert!(error.contains("`proxy` under [plugin.network]") && !error.contains("hush"), "{error}");
    assert_eq!(fetch(&access, get(format!("http://{server}/"))).unwrap().status, 200);
    let mut slower = source;
    slower.settings.timeout = Duration::from_secs(20);
    assert!(access.reopen(slower).unwrap());
    assert!(!Arc::ptr_eq(&before, &client(&access)));
}

#[test]
fn requests_pass_the_proxy_of_the_settings() {
    let proxy = serve(|request, stream| {
        if request.starts_with("CONNECT ") {
            return write_response(stream, "403 Forbidden", "", "");
        }
        write_response(stream, "200 OK", "", request);
    });
    let access = NetworkAccess::default();
    let settings = NetworkSettings {
        allow: ["api.example", "10.1.2.3"].map(|text| HostPattern::parse(text).unwrap()).into(),
        ..NetworkSettings::default()
    };
    let url = Secret::new(format!("http://user:pass@{proxy}"));
    access
        .reopen(NetworkSource { settings, proxy: Some(url), ..NetworkSource::default() })
        .unwrap();
    let mut request = get("http://api.example/path?a=1");
    request.headers = vec![("Proxy-Authorization".to_owned(), "own".to_owned())];
    let seen = String::from_utf8(fetch(&access, request).unwrap().body).unwrap().to_lowercase();
    assert!(seen.starts_with("get http://api.example/path?a=1 http/1.1\r\n"), "{seen}");
    assert!(seen.contains("\r\nproxy-authorization: basic dxnlcjpwyxnz\r\n"), "{seen}");
    assert!(!seen.contains("own"), "{seen}");
    let (_, text) = failure(&access, get("https://api.example/"));
    assert!(!text.contains("pass"), "{text}");
    for (url, kind) in [
        ("http://10.1.2.3/", FailureKind::NotAllowed),
        ("http://other.example/", FailureKind::NotAllowed),
    ] {
        assert_eq!(failure(&access, get(url)).0, kind, "{url}");
    }
}

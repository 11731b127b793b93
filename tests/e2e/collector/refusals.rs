//! Tests refused requests, and the responses that SDKs and pages get.

use serde_json::json;
use standpipe_tests::client::{Client, HttpResponse, basic_auth};

use super::*;

fn strict_settings() -> CollectorSettings {
    let shop = "allowed_origins = ['https://*.shop.example', 'https://shop.example']";
    CollectorSettings::new([
        SourceEntry::segment("web").write_keys(&["key-of-web", "second-key-of-web"]),
        SourceEntry::rudderstack("backend"),
        SourceEntry::segment("strict").with_line("strict = true"),
        SourceEntry::rudderstack("off").with_line("enabled = false"),
        SourceEntry::segment("shop").with_line(shop),
        SourceEntry::segment("slow").with_line("rate_limit = 10"),
        SourceEntry::segment("narrow").with_line("rate_limit_bytes = 100000"),
    ])
}

#[test]
fn requests_without_a_valid_key_are_refused_and_counted() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &strict_settings());
    let mut refused = 0;
    for path in ["/v1/track", "/v1/batch", "/v1/b", "/beacon/v1/batch", "/v1/webhook"] {
        let body = batch_of(&[track_event("stranger")]);
        assert_eq!(send_post(&collector, path, "nobodys", &body).status, 401, "{path}");
        let mut client = Client::connect(collector.url());
        let reply = client.post(path, &[], body.to_string().as_bytes()).unwrap();
        assert_eq!(reply.status, 401, "{path}");
        assert!(reply.text().contains("Basic authentication"), "{}", reply.text());
        refused += 2;
    }
    let mut in_body = batch_of(&[track_event("stranger")]);
    in_body["writeKey"] = json!("key-of-we");
    let mut client = Client::connect(collector.url());
    let reply = client.post("/v1/batch", &[], in_body.to_string().as_bytes()).unwrap();
    assert_eq!((reply.status, &*reply.text()), (401, "invalid write key\n"));
    assert_eq!(send_get(&collector, "/v1/webhook?writeKey=nobodys&a=1").status, 401);
    refused += 2;
    for key in ["key-of-web", "second-key-of-web"] {
        assert_eq!(send_post(&collector, "/v1/track", key, &track_event(key)).status, 200);
    }
    let seen = read_metrics(&collector);
    assert_eq!(seen.value("standpipe_collector_unknown_write_keys_total", &[]), f64::from(refused));
    assert_eq!(
        seen.value("standpipe_collector_responses_total", &[("status", "401")]),
        f64::from(refused)
    );
    let ran = collector
        .stop()
        .expect_exit(0)
        .expect_stderr(&["12 requests were refused for their write key"]);
    assert_eq!(ran.summary()["collected"]["unknown_keys"], refused);
    assert_delivered(&stub, &["key-of-web", "second-key-of-web"].map(str::to_owned).into());
}

#[test]
fn a_disabled_source_accepts_nothing() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &strict_settings());
    for path in ["/v1/track", "/v1/batch", "/v1/webhook"] {
        let reply = send_post(&collector, path, "key-of-off", &batch_of(&[track_event("off")]));
        assert_eq!((reply.status, &*reply.text()), (404, "source is disabled\n"), "{path}");
    }
    assert_eq!(
        send_get(&collector, "/pixel/v1/track?writeKey=key-of-off&userId=u&event=e").status,
        200
    );
    collector.stop().expect_exit(0);
    assert_eq!(delivered_events(&stub).len(), 0);
}

#[test]
fn a_strict_source_takes_all_of_a_batch_or_nothing() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &strict_settings());
    for (bad, words) in [
        (json!({"type": "track", "event": "e"}), "request neither has anonymousId nor userId"),
        (json!({"userId": "u"}), "event has no type"),
        (json!({"type": "track", "userId": "u"}), "track event has no event name"),
        (json!(7), "event is not a valid rudder event"),
    ] {
        let body = batch_of(&[track_event("beside"), bad.clone(), track_event("beside")]);
        let reply = send_post(&collector, "/v1/batch", "key-of-strict", &body);
        let expected = format!("{words}: event 2 of 3\n");
        assert_eq!((reply.status, reply.text()), (400, expected), "{bad}");
    }
    let good = batch_of(&[track_event("good"), track_event("fine")]);
    assert_eq!(send_post(&collector, "/v1/batch", "key-of-strict", &good).status, 200);
    let ran = collector.stop().expect_exit(0);
    assert_eq!(ran.dead_letters(), []);
    assert_delivered(&stub, &["good", "fine"].map(str::to_owned).into());
}

#[test]
fn beyond_the_rate_limit_a_client_gets_retry_after() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &strict_settings());
    let ten = |round: usize| {
        let events: Vec<_> =
            (0..10).map(|number| track_event(&format!("{round} {number}"))).collect();
        send_post(&collector, "/v1/batch", "key-of-slow", &batch_of(&events))
    };
    let started = Instant::now();
    let (mut accepted, mut limited) = (0, 0);
    while limited == 0 || accepted < 3 {
        assert!(
            started.elapsed() < standpipe_tests::DEADLINE,
            "accepted {accepted}, limited {limited}"
        );
        match ten(accepted) {
            reply if reply.status == 200 => accepted += 1,
            reply => {
                assert_eq!((reply.status, reply.header("retry-after")), (429, Some("1")));
                limited += 1;
                thread::sleep(PACE);
            }
        }
    }
    // The events of the first second are accepted at once, the others at ten per second.
    assert!(
        accepted > 3 || started.elapsed() > Duration::from_millis(1900),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(send_post(&collector, "/v1/track", "key-of-web", &track_event("other")).status, 200);
    collector.stop().expect_exit(0);
    assert_eq!(delivered_events(&stub).len(), 10 * accepted + 1);
}

/// Bytes are counted as they are stored: with added members, and after decompression.
#[test]
fn beyond_the_byte_rate_limit_a_client_gets_retry_after() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &strict_settings());
    let authorization = basic_auth("key-of-narrow").1;
    let headers = [("Authorization", &*authorization), ("Content-Encoding", "gzip")];
    let mut event = track_event("wide");
    event["filler"] = "x".repeat(59_000).into();
    let body = standpipe_tests::compressed::gzip(event.to_string().as_bytes());
    assert!(body.len() < 1000);
    let send = || Client::connect(collector.url()).post("/v1/track", &headers, &body).unwrap();
    let started = Instant::now();
    let (mut accepted, mut limited) = (0, 0);
    while limited == 0 || accepted < 5 {
        assert!(
            started.elapsed() < standpipe_tests::DEADLINE,
            "accepted {accepted}, limited {limited}"
        );
        let reply = send();
        if reply.status == 200 {
            accepted += 1;
            continue;
        }
        assert_eq!((reply.status, reply.header("retry-after")), (429, Some("1")));
        limited += 1;
        thread::sleep(PACE);
    }
    // 300,000 bytes: those of one second are accepted at once, the others at 100,000 per second.
    assert!(started.elapsed() > Duration::from_millis(1900), "{:?}", started.elapsed());
    // A client that has used up its rate is refused before its request is read.
    let large = vec![b' '; 1_000_000];
    let two = batch_of(&[event.clone(), event.clone(), event.clone()]);
    let mut is_told = false;
    while !is_told {
        send_post(&collector, "/v1/batch", "key-of-narrow", &two);
        let headers = [("Authorization", &*authorization)];
        let reply = Client::connect(collector.url()).post("/v1/batch", &headers, &large).unwrap();
        is_told = reply.status == 429;
        assert!(is_told || reply.status == 400, "{}", reply.status);
        assert!(started.elapsed() < standpipe_tests::DEADLINE);
    }
    assert_eq!(send_post(&collector, "/v1/track", "key-of-web", &track_event("other")).status, 200);
    collector.stop().expect_exit(0);
}

#[test]
fn pages_of_other_origins_get_a_readable_refusal() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &strict_settings());
    let send = |origin: Option<&str>, key: &str| {
        let authorization = basic_auth(key).1;
        let mut headers = vec![("Authorization", &*authorization)];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        let body = track_event("of a page").to_string();
        Client::connect(collector.url()).post("/v1/track", &headers, body.as_bytes()).unwrap()
    };
    for evil in ["https://evil.example", "http://shop.example", "https://evilshop.example", "null"]
    {
        let reply = send(Some(evil), "key-of-shop");
        assert_eq!(reply.status, 403, "{evil}");
        assert!(reply.text().contains("allowed_origins"), "{}", reply.text());
        assert_readable_by_all(&reply);
    }
    let page = "https://a.shop.example";
    for (key, status) in [("key-of-shop", 200), ("nobodys", 401), ("key-of-off", 404)] {
        let reply = send(Some(page), key);
        assert_eq!(reply.status, status, "{key}");
        assert_readable_with_credentials(&reply, page);
    }
    let reply = send(None, "key-of-shop");
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, None));
    assert!(reply.header("vary").unwrap().contains("Origin"), "{reply:?}");
    let reply = send(Some("https://any.example"), "key-of-web");
    assert_eq!(reply.status, 200);
    assert_readable_by_all(&reply);
    collector.stop().expect_exit(0);
    let events = delivered_events(&stub);
    assert_eq!(events.len(), 3);
    // A request with an origin is from a page, so its address is stored.
    let of_pages = events.iter().filter(|event| event["context"]["ip"] == "127.0.0.1").count();
    assert_eq!(of_pages, 2);
}

#[test]
fn a_preflight_permits_what_the_page_asks_for() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &strict_settings());
    let mut client = Client::connect(collector.url());
    for path in ["/v1/batch", "/v1/t", "/anything"] {
        for origin in ["https://a.example", "https://a.shop.example"] {
            let asked = [
                ("Origin", origin),
                ("Access-Control-Request-Method", "POST"),
                ("Access-Control-Request-Headers", "authorization, anonymousid, x-any"),
            ];
            let reply = client.request("OPTIONS", path, &asked, b"").unwrap();
            assert_eq!(reply.status, 204, "{path}");
            match origin {
                "https://a.shop.example" => assert_readable_with_credentials(&reply, origin),
                _ => assert_readable_by_all(&reply),
            }
            assert_eq!(reply.header("vary"), Some("Origin, Access-Control-Request-Headers"));
            let headers = reply.header("access-control-allow-headers");
            assert_eq!(headers, Some("authorization, anonymousid, x-any"));
            assert!(reply.header("access-control-allow-methods").unwrap().contains("POST"));
        }
    }
    collector.stop().expect_exit(0);
}

/// Responses that depend on request headers have a `Vary` header, and are not cached.
#[test]
fn settings_are_sent_to_allowed_origins_and_not_cached() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &strict_settings());
    let paths = |key: &str| {
        [format!("/v1/projects/{key}/settings"), format!("/sourceConfig/?writeKey={key}")]
    };
    let ask = |path: &str, headers: &[(&str, &str)]| {
        Client::connect(collector.url()).request("GET", path, headers, b"").unwrap()
    };
    let page = ("Origin", "https://a.shop.example");
    let evil = ("Origin", "https://evil.example");
    for (key, origin, status) in [
        ("key-of-web", evil, 200),
        ("key-of-shop", page, 200),
        ("key-of-shop", evil, 403),
        ("key-of-off", page, 404),
        ("nobodys", page, 401),
    ] {
        for path in paths(key) {
            let reply = ask(&path, &[origin, ("X-Forwarded-Proto", "https")]);
            assert_eq!(reply.status, status, "{path}: {}", reply.text());
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
            let vary = reply.header("vary").unwrap_or_default();
            for name in ["Authorization", "Host", "Origin", "X-Forwarded-Proto"] {
                assert!(vary.split(", ").any(|it| it == name), "{path}: {vary}");
            }
            match origin == page {
                true => assert_readable_with_credentials(&reply, page.1),
                false => assert_readable_by_all(&reply),
            }
            assert_eq!(
                reply.text().contains("Segment.io") || reply.text().contains("destinations"),
                status == 200
            );
        }
    }
    // A request without an origin is not from a page.
    assert_eq!(ask(&paths("key-of-shop")[0], &[]).status, 200);
    for (method, path) in [
        ("GET", "/pixel/v1/track?writeKey=key-of-off&userId=u&event=e"),
        ("GET", "/v1/webhook?writeKey=key-of-off"),
        ("POST", "/v1/track"),
        ("GET", "/v1/track"),
        ("GET", "/nowhere"),
        ("GET", "/health"),
    ] {
        let reply = Client::connect(collector.url()).request(method, path, &[], b"").unwrap();
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        assert!(reply.header("vary").is_some_and(|vary| vary.contains("Origin")), "{path}");
    }
    collector.stop().expect_exit(0);
}

#[test]
fn unknown_paths_and_methods_are_distinguished() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &strict_settings());
    let mut client = Client::connect(collector.url());
    for path in ["/v2/track", "/v1/nothing", "/v1", "/pixel/v1/alias", "/.env", "/v1/../v1/track/x"]
    {
        for method in ["GET", "POST"] {
            let reply = client.request(method, path, &[], b"").unwrap();
            assert_eq!(reply.status, 404, "{method} {path}");
            assert!(reply.text().contains("/v1/batch"), "{}", reply.text());
        }
    }
    for (method, path, allowed) in [
        ("GET", "/v1/track", "POST"),
        ("PUT", "/v1/batch", "POST"),
        ("DELETE", "/v1/webhook", "GET, POST"),
        ("POST", "/pixel/v1/track", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
    ] {
        let reply = client.request(method, path, &[], b"").unwrap();
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allowed)), "{method} {path}");
    }
    collector.stop().expect_exit(0);
}

/// A client that is refused before its body is read gets the response, although it is still
/// sending: a client whose connection is reset would try again.
#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &strict_settings());
    let large = vec![b' '; 4_000_000];
    let too_large = vec![b' '; 12_000_000];
    let cases: [(&str, &str, &[u8], u16); 5] = [
        ("nobodys", "/v1/batch", &large, 401),
        ("key-of-off", "/v1/batch", &large, 404),
        ("key-of-web", "/nowhere", &large, 404),
        ("key-of-web", "/v1/batch", &too_large, 413),
        ("nobodys", "/v1/batch", &too_large, 401),
    ];
    for (key, path, body, status) in cases {
        let authorization = basic_auth(key).1;
        for _ in 0..5 {
            let mut client = Client::connect(collector.url());
            let reply = client.post(path, &[("Authorization", &*authorization)], body);
            let reply = reply.unwrap_or_else(|error| panic!("{key} {path}, not {status}: {error}"));
            assert_eq!(reply.status, status, "{key} {path}");
        }
    }
    collector.stop().expect_exit(0);
}

/// Asserts that a page of any origin can read the response, but not with credentials.
fn assert_readable_by_all(reply: &HttpResponse) {
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{reply:?}");
    assert_eq!(reply.header("access-control-allow-credentials"), None);
    assert!(reply.header("vary").is_some_and(|vary| vary.contains("Origin")), "{reply:?}");
}

/// Asserts that a page of this origin can read the response, with or without credentials.
fn assert_readable_with_credentials(reply: &HttpResponse, origin: &str) {
    assert_eq!(reply.header("access-control-allow-origin"), Some(origin), "{reply:?}");
    assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
    assert!(reply.header("vary").is_some_and(|vary| vary.contains("Origin")), "{reply:?}");
}

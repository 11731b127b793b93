//! Tests a collector behind proxies: the address that an event gets, and the API host that SDKs
//! get.

use std::fs;

use serde_json::Value;
use standpipe_tests::client::{Client, HttpResponse, basic_auth};
use standpipe_tests::{Proxy, workspace_directory};

use super::*;

type Headers<'a> = &'a [(&'a str, &'a str)];

/// Sends a page event with these headers, in both dialects.
fn send_page_event(url: &str, name: &str, headers: Headers<'_>) {
    for (path, key) in [("/v1/t", "key-of-web"), ("/v1/track", "key-of-backend")] {
        let authorization = basic_auth(key).1;
        let headers: Vec<_> = [("Authorization", &*authorization)]
            .into_iter()
            .chain(headers.iter().copied())
            .collect();
        let body = track_event(name).to_string();
        let reply = Client::connect(url).post(path, &headers, body.as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
    }
}

/// The address in the events of a name.
fn address_of(events: &[Value], name: &str) -> String {
    let of_name = events.iter().filter(|event| event["event"] == name);
    let mut addresses: Vec<_> = of_name
        .map(|event| event["context"]["ip"].as_str().or(event["request_ip"].as_str()).unwrap())
        .collect();
    addresses.dedup();
    assert_eq!(addresses.len(), 1, "{name}: {addresses:?}");
    addresses[0].to_owned()
}

/// The API host that Segment's SDKs get for a request with these headers.
fn get_api_host(url: &str, headers: Headers<'_>) -> String {
    let path = "/v1/projects/key-of-web/settings";
    api_host_of(&Client::connect(url).request("GET", path, headers, b"").unwrap())
}

/// The API host that Segment's SDKs get if they request `collect.example`.
fn get_api_host_by_name(url: &str) -> String {
    let mut client = Client::connect(url);
    let head = "GET /v1/projects/key-of-web/settings HTTP/1.1\r\nHost: collect.example\r\n\r\n";
    client.send(head.as_bytes()).unwrap();
    api_host_of(&client.read_response().unwrap())
}

fn api_host_of(reply: &HttpResponse) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let settings: Value = serde_json::from_slice(&reply.body).unwrap();
    let segment = &settings["integrations"]["Segment.io"];
    let [protocol, host] = ["protocol", "apiHost"].map(|key| segment[key].as_str().unwrap());
    format!("{protocol}://{host}")
}

#[test]
fn an_event_gets_the_client_address_from_every_proxy_header() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let cases: &[(&str, Headers<'_>)] = &[
        ("127.0.0.1", &[]),
        ("203.0.113.1", &[("X-Forwarded-For", "203.0.113.1")]),
        ("203.0.113.2", &[("X-Forwarded-For", "203.0.113.2:51234")]),
        ("203.0.113.3", &[("X-Forwarded-For", "203.0.113.3:51234,10.0.0.1:80")]),
        ("203.0.113.4", &[("X-Forwarded-For", "  203.0.113.4\t ,10.0.0.1")]),
        ("2001:db8::5", &[("X-Forwarded-For", "2001:db8::5")]),
        ("2001:db8::6", &[("X-Forwarded-For", "[2001:db8::6]")]),
        ("2001:db8::7", &[("X-Forwarded-For", "[2001:db8::7]:443, 10.0.0.1")]),
        ("2001:db8::8", &[("X-Forwarded-For", "2001:db8::8:51234")]),
        ("203.0.113.9", &[("X-Forwarded-For", "unknown, 203.0.113.9")]),
        ("192.168.0.9", &[("X-Forwarded-For", "192.168.0.9, 203.0.113.10")]),
        ("203.0.113.11", &[("X-Forwarded-For", ""), ("X-Forwarded-For", "203.0.113.11")]),
        ("203.0.113.12", &[("Forwarded", "for=203.0.113.12;proto=https, for=10.0.0.1")]),
        ("2001:db8::13", &[("Forwarded", "by=10.0.0.1; For=\"[2001:db8::13]:4711\"")]),
        ("203.0.113.14", &[("X-Forwarded-For", "::ffff:203.0.113.14")]),
    ];
    for (expected, headers) in cases {
        send_page_event(collector.url(), expected, headers);
    }
    let before = collector.running().stderr();
    assert!(!before.contains("X-Forwarded-For"), "{before}");
    send_page_event(collector.url(), "unreadable", &[("X-Forwarded-For", "_hidden")]);
    collector.stop().expect_exit(0).expect_stderr(&["found no IP address in the X-Forwarded-For"]);
    let events = delivered_events(&stub);
    for (expected, _) in cases {
        assert_eq!(address_of(&events, expected), *expected);
    }
    assert_eq!(address_of(&events, "unreadable"), "127.0.0.1");
}

#[test]
fn headers_of_untrusted_clients_are_ignored() {
    let stub = start_accepting_stub();
    let settings = both_vendors().with_line("http", "trusted_proxies = ['192.0.2.1']");
    let collector = start_collector(&stub, &settings);
    let own = format!("{}/v1", collector.url());
    let lies: Headers<'_> = &[
        ("X-Forwarded-For", "203.0.113.1"),
        ("Forwarded", "for=203.0.113.2;host=evil.example;proto=https"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "https"),
    ];
    send_page_event(collector.url(), "lies", lies);
    assert_eq!(get_api_host(collector.url(), lies), own);
    collector
        .stop()
        .expect_exit(0)
        .expect_stderr(&["requests from 127.0.0.1", "trusted_proxies under [http]"]);
    assert_eq!(address_of(&delivered_events(&stub), "lies"), "127.0.0.1");
}

#[test]
fn settings_name_the_address_that_clients_use() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let url = collector.url();
    let page = ("Origin", "http://localhost:3000");
    assert_eq!(get_api_host(url, &[page]), format!("{url}/v1"));
    let by_proxy = [("X-Forwarded-Host", "collect.example"), ("X-Forwarded-Proto", "https")];
    assert_eq!(get_api_host(url, &by_proxy), "https://collect.example/v1");
    let with_port = [("Forwarded", "host=\"collect.example:8443\";proto=https")];
    assert_eq!(get_api_host(url, &with_port), "https://collect.example:8443/v1");
    // An invalid host is ignored.
    let wrong = [page, ("X-Forwarded-Host", "evil.example/path?"), ("X-Forwarded-Proto", "https")];
    assert_eq!(get_api_host(url, &wrong), format!("https{}/v1", url.strip_prefix("http").unwrap()));
    let logged = collector.running().stderr();
    assert!(!logged.contains("public_url"), "{logged}");
    let page = ("Origin", "https://shop.example");
    get_api_host(url, &[page]);
    collector
        .stop()
        .expect_exit(0)
        .expect_stderr(&["a host that clients cannot reach: set public_url under [http]"]);

    for (public_url, expected) in [
        ("https://collect.example", "https://collect.example/v1"),
        ("https://shop.example/collect/", "https://shop.example/collect/v1"),
    ] {
        let settings = both_vendors().with_line("http", &format!("public_url = '{public_url}'"));
        let collector = start_collector(&stub, &settings);
        assert_eq!(get_api_host(collector.url(), &[page]), expected);
        assert_eq!(
            get_api_host(collector.url(), &[("X-Forwarded-Host", "other.example")]),
            expected
        );
        let ran = collector.stop().expect_exit(0);
        assert!(!ran.stderr.contains("an SDK was given the URL"), "{}", ran.stderr);
    }
}

#[test]
fn an_https_page_sent_to_http_is_logged() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let headers = [("Origin", "https://shop.example"), ("X-Forwarded-Host", "collect.example")];
    assert_eq!(get_api_host(collector.url(), &headers), "http://collect.example/v1");
    collector.stop().expect_exit(0).expect_stderr(&["http://collect.example", "loaded over https"]);
}

#[test]
fn an_invalid_public_url_is_refused_at_startup() {
    let stub = start_accepting_stub();
    for wrong in ["collect.example", "ftp://collect.example", "https://collect.example?a=b"] {
        let settings = both_vendors().with_line("http", &format!("public_url = '{wrong}'"));
        let program = new_program(&stub, &settings).args(["--listen", "127.0.0.1:0"]);
        program.run().expect_exit(2).expect_stderr(&[
            "[http] public_url",
            wrong,
            "https://collect.example",
        ]);
    }
}

/// Tests nginx with the configuration in the documentation, and without it.
#[test]
fn nginx_passes_on_what_the_documentation_says() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let port = collector.url().rsplit_once(':').unwrap().1;
    let page = workspace_directory().join("host/docs/collector-operation.md");
    let document = fs::read_to_string(page).unwrap();
    let recipe = document.split_once("```nginx\n").unwrap().1.split_once("```").unwrap().0;
    let recipe = recipe.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"));
    let nginx = Proxy::start_nginx(&recipe.replace("listen 80;", "listen LISTEN;"));
    assert_eq!(get_api_host_by_name(nginx.url()), "http://collect.example/v1");
    // The proxy replaces headers of the client.
    send_page_event(nginx.url(), "by nginx", &[("X-Forwarded-For", "203.0.113.7")]);
    let logged = collector.running().stderr();
    assert!(!logged.contains("public_url") && !logged.contains("X-Forwarded"), "{logged}");
    let plain =
        format!("server {{ listen LISTEN; location / {{ proxy_pass http://127.0.0.1:{port}; }} }}");
    let plain = Proxy::start_nginx(&plain);
    assert_eq!(get_api_host_by_name(plain.url()), format!("{}/v1", collector.url()));
    collector.stop().expect_exit(0).expect_stderr(&["an SDK was given the URL", "public_url"]);
    assert_eq!(address_of(&delivered_events(&stub), "by nginx"), "127.0.0.1");
}

//! Tests source functions of Segment: webhooks go to the collector, and their events to streams.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use standpipe_tests::client::{Client, HttpResponse, basic_auth};
use standpipe_tests::compressed::gzip;
use standpipe_tests::metrics::Metrics;
use standpipe_tests::mounted::rotate_secret;
use standpipe_tests::settings::{CollectorSettings, SourceEntry};
use standpipe_tests::{Collector, make_data_directory, misbehaving_plugin, wait_until};

use super::*;

/// Makes `count` events, or does what the request says.
const FUNCTION: &str = "
async function onRequest(request, settings) {
  const body = request.json();
  switch (body.then) {
    case 'throw': throw new Error('no such order, key ' + settings.key);
    case 'validation': throw new ValidationError('no user');
    case 'retry': throw new RetryError('later');
    case 'loop': for (;;);
    case 'fill': { const all = []; for (;;) all.push('x'.repeat(1 << 20) + all.length); }
    case 'verify': {
      const expected = crypto.createHmac('sha256', settings.key).update(request.text()).digest('hex');
      if (request.headers.get('x-signature') !== expected) throw new ValidationError('bad signature');
      if (request.headers.has('authorization') || request.url.searchParams.has('writeKey')) {
        throw new Error('the function has the key');
      }
      break;
    }
    case 'set': Segment.set({ collection: 'products', id: 'p1', properties: { name: 'é' } });
  }
  const first = body.first || 0;
  for (let number = first; number < first + (body.count || 0); number++) {
    Segment.track({ event: 'Made', userId: 'u', properties: { number, q: request.url.searchParams.get('q'), key: settings.key } });
  }
}
";

/// The source `shop` with the function, and the source `plain` without one.
fn settings_with(function: &str) -> CollectorSettings {
    let shop = SourceEntry::segment("shop").with_line(function);
    CollectorSettings::new([shop, SourceEntry::rudderstack("plain")])
}

fn start(function: &str, code: &str) -> Collector {
    let program = Program::host_run_locally().file("shop.js", code.as_bytes());
    Collector::start(program.settings(&settings_with(function)).mapping(&[("*", "events")]))
}

const SHOP: &str = "function = { script = 'shop.js', settings = { key = 'k3y' } }";

fn post(collector: &Collector, path: &str, key: Option<&str>, body: &Value) -> HttpResponse {
    post_to(collector.url(), path, key, body)
}

fn post_to(url: &str, path: &str, key: Option<&str>, body: &Value) -> HttpResponse {
    let authorization = key.map(|key| basic_auth(key).1);
    let headers: Vec<_> =
        authorization.iter().map(|value| ("Authorization", value.as_str())).collect();
    let body = body.to_string();
    Client::connect(url).post(path, &headers, body.as_bytes()).expect("a response")
}

fn post_to_shop(collector: &Collector, body: &Value) -> HttpResponse {
    post_to_shop_at(collector.url(), body)
}

fn post_to_shop_at(url: &str, body: &Value) -> HttpResponse {
    post_to(url, "/v1/functions/shop", Some("key-of-shop"), body)
}

fn read_metrics(collector: &Collector) -> Metrics {
    let reply = Client::connect(collector.admin_url()).get("/metrics").unwrap();
    Metrics::parse(&reply.text()).unwrap()
}

fn refused(metrics: &Metrics, source: &str, reason: &str) -> f64 {
    let labels = [("source", source), ("reason", reason)];
    metrics.value("standpipe_collector_refused_requests_total", &labels)
}

fn records(streams: &BTreeMap<String, Vec<u8>>) -> Vec<Value> {
    lines_of(streams).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_webhook_becomes_events_of_its_source() {
    let collector = start(SHOP, FUNCTION);
    let reply = post_to_shop(&collector, &json!({"count": 2}));
    assert_eq!((reply.status, &*reply.text()), (200, r#"{"success":true}"#));
    let by_url = "/v1/functions/sho%70/?q=a+b&writeKey=key-of-shop";
    assert_eq!(post(&collector, by_url, None, &json!({"count": 1, "first": 2})).status, 200);
    assert_eq!(post_to_shop(&collector, &json!({})).status, 200);
    assert_eq!(post_to_shop(&collector, &json!({"then": "set"})).status, 200);
    // A signature covers the body as sent, and is in a header of the sender.
    let body = br#"{ "then":"verify", "count":1.0, "first":3 }"#;
    let signature = hmac_sha256(b"k3y", body);
    let send = |signature: &str, encoding: &[(&str, &str)], body: &[u8]| {
        let headers = [&[("X-Signature", signature)], encoding].concat();
        let path = "/v1/functions/shop?writeKey=key-of-shop";
        Client::connect(collector.url()).post(path, &headers, body).unwrap()
    };
    let verified = send(&signature, &[], body);
    assert_eq!(verified.status, 200, "{}", verified.text());
    assert_eq!(send(&signature, &[("Content-Encoding", "gzip")], &gzip(body)).status, 200);
    assert_eq!(send("00", &[], body).status, 400);
    let metrics = read_metrics(&collector);
    let shop = [("source", "shop")];
    assert_eq!(metrics.value("standpipe_collector_function_requests_total", &shop), 7.0);
    assert_eq!(metrics.value("standpipe_collector_events_total", &shop), 6.0);
    let ran = collector.stop().expect_exit(0);
    let records = records(&ran.streams());
    let mut numbers: Vec<_> =
        records.iter().filter_map(|event| event["properties"]["number"].as_u64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 3]);
    for event in &records {
        assert_eq!(event["messageId"].as_str().map(str::len), Some(36), "{event}");
        assert_eq!(event["receivedAt"].as_str().map(str::len), Some(24), "{event}");
        assert!(event["context"]["ip"].is_null(), "{event}");
    }
    let third = records.iter().find(|event| event["properties"]["number"] == 2).unwrap();
    assert_eq!(third["properties"]["q"], "a b");
    let object = records.iter().find(|event| event["type"] == "set").unwrap();
    assert_eq!(object["collection"], "products");
    assert_eq!((&object["id"], &object["properties"]), (&json!("p1"), &json!({"name": "é"})));
    assert_eq!(records.len(), 6);
}

/// The HMAC as an independent implementation computes it: that of Python.
fn hmac_sha256(key: &[u8], text: &[u8]) -> String {
    let code = "import hmac,sys; print(hmac.new(bytes.fromhex(sys.argv[1]),bytes.fromhex(sys.argv[2]),'sha256').hexdigest())";
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let output = std::process::Command::new("python3")
        .args(["-c", code, &hex(key), &hex(text)])
        .output()
        .expect("python3 is there");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn each_refusal_has_its_status_and_its_reason() {
    let function = format!("{SHOP}\nkeep_refused = true");
    let collector = start(&function, FUNCTION);
    let shop = |then: &str| post_to_shop(&collector, &json!({"then": then, "count": 1}));
    for (reply, status, retry_after, text) in [
        (shop("throw"), 400, None, "the function of the source rejected the request\n"),
        (shop("validation"), 400, None, "the function of the source rejected the request\n"),
        (
            shop("retry"),
            503,
            Some("60"),
            "the function of the source cannot handle the request now\n",
        ),
        (shop("loop"), 500, None, "the function of the source failed\n"),
    ] {
        assert_eq!((reply.status, &*reply.text()), (status, text));
        assert_eq!(reply.header("retry-after"), retry_after);
    }
    assert!([400, 500].contains(&shop("fill").status));
    let send =
        |path: &str, key: Option<&str>| post(&collector, path, key, &json!({"count": 1})).status;
    assert_eq!(send("/v1/functions/shop", None), 401);
    assert_eq!(send("/v1/functions/shop", Some("nobodys")), 401);
    assert_eq!(send("/v1/functions/shop?writeKey=nobodys", None), 401);
    assert_eq!(send("/v1/functions/shop", Some("key-of-plain")), 404);
    assert_eq!(send("/v1/functions/plain", Some("key-of-plain")), 404);
    assert_eq!(send("/v1/functions/unknown", Some("key-of-shop")), 404);
    assert_eq!(send("/v1/functions/", Some("key-of-shop")), 404);
    let mut client = Client::connect(collector.url());
    let get = client.get("/v1/functions/shop?writeKey=key-of-shop").unwrap();
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    // The default limit of a body is 4,096,000 bytes.
    let large = json!({"count": 1, "fill": "x".repeat(4_100_000)});
    assert_eq!(post_to_shop(&collector, &large).status, 413);
    let many = post_to_shop(&collector, &json!({"count": 500}));
    assert_eq!(many.status, 200, "{}", many.text());
    // A function that fails harms no later request.
    assert_eq!(shop("").status, 200);
    let metrics = read_metrics(&collector);
    assert_eq!(refused(&metrics, "shop", "function_retry"), 1.0);
    assert_eq!(refused(&metrics, "shop", "unknown_function"), 1.0);
    assert_eq!(refused(&metrics, "plain", "unknown_function"), 2.0);
    assert_eq!(refused(&metrics, "shop", "too_large"), 1.0);
    let rejected = refused(&metrics, "shop", "function_rejected");
    let failed = refused(&metrics, "shop", "function_failed");
    assert_eq!(rejected + failed, 4.0, "{rejected} {failed}");
    // The log has what the function threw, and neither the key of the source nor the body.
    let log = collector.running().stderr();
    assert!(log.contains("(function_rejected): the function of the source rejected the request: Error: no such order"), "{log}");
    assert!(log.contains("shop.js:5:"), "{log}");
    assert!(!log.contains("key-of-shop"), "{log}");
    let ran = collector.stop().expect_exit(3);
    assert_eq!(records(&ran.streams()).len(), 501);
    let dead_letters = ran.dead_letters();
    assert_eq!(dead_letters.len() as f64, rejected);
    assert!(dead_letters.iter().all(|letter| letter.reason == "request_refused"));
}

#[test]
fn many_events_of_many_requests_all_arrive() {
    let collector = start(SHOP, FUNCTION);
    thread::scope(|scope| {
        for client in 0..8 {
            let url = collector.url();
            scope.spawn(move || {
                for request in 0..20 {
                    let first = (client * 20 + request) * 100;
                    let reply = post_to_shop_at(url, &json!({"first": first, "count": 100}));
                    assert_eq!(reply.status, 200, "{}", reply.text());
                }
            });
        }
    });
    let ran = collector.stop().expect_exit(0);
    let records = records(&ran.streams());
    let numbers: BTreeSet<_> =
        records.iter().map(|event| event["properties"]["number"].as_u64().unwrap()).collect();
    assert_eq!(records.len(), 16_000);
    assert!(numbers.into_iter().eq(0..16_000));
}

#[test]
fn a_slow_function_refuses_what_it_has_no_time_for() {
    // Each request uses the whole CPU time of a call.
    let code =
        "async function onRequest() { for (const start = Date.now(); Date.now() - start < 800;); }";
    let shop = SourceEntry::segment("shop").with_line("function = { script = 'shop.js' }");
    let settings = CollectorSettings::new([shop]).with_line("plugin.limits", "call_cpu = '5s'");
    let program = Program::host_run_locally().file("shop.js", code.as_bytes());
    let collector = Collector::start(program.settings(&settings).mapping(&[("*", "events")]));
    let url = collector.url();
    let statuses: Vec<_> = thread::scope(|scope| {
        let requests: Vec<_> =
            (0..100).map(|_| scope.spawn(|| post_to_shop_at(url, &json!({})))).collect();
        requests.into_iter().map(|request| request.join().unwrap()).collect()
    });
    let busy: Vec<_> = statuses.iter().filter(|reply| reply.status != 200).collect();
    assert!(!busy.is_empty() && busy.len() < 100, "{} of 100", busy.len());
    for reply in busy {
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    }
    // SDKs are served meanwhile, and the function afterwards.
    assert_eq!(post_to_shop(&collector, &json!({})).status, 200);
    collector.stop().expect_exit(0);
}

#[test]
fn a_kill_loses_no_event_of_an_answered_webhook() {
    let stub = Stub::start(|_| StubResponse::Slow(Duration::from_millis(3)));
    let data = tempfile::TempDir::new().unwrap();
    let data_dir = data.path().join("data");
    make_data_directory(&data_dir);
    let new_program = || {
        let program = Program::host_run_against(&stub.url()).file("shop.js", FUNCTION.as_bytes());
        let data_dir = data_dir.to_str().unwrap();
        program
            .settings(&settings_with(SHOP))
            .mapping(&[("*", "events")])
            .args(["--data-dir", data_dir])
    };
    let mut answered = BTreeSet::new();
    let mut next = 0;
    for round in 0..6 {
        let collector = Collector::start(new_program());
        let mut client = Client::connect(collector.url());
        let key = basic_auth("key-of-shop").1;
        let end = Instant::now() + Duration::from_millis(40 + 30 * round);
        while Instant::now() < end {
            let body = json!({"first": next, "count": 10}).to_string();
            let headers = [("Authorization", key.as_str())];
            let reply = client.post("/v1/functions/shop", &headers, body.as_bytes()).unwrap();
            assert_eq!(reply.status, 200);
            answered.extend(next..next + 10);
            next += 10;
        }
        collector.kill();
    }
    let collector = Collector::start(new_program());
    wait_until("all is delivered", || {
        read_metrics(&collector).value("standpipe_spool_events", &[]) == 0.0
    });
    collector.stop().expect_exit(0);
    let delivered: BTreeSet<_> = stub
        .accepted_records()
        .into_values()
        .flatten()
        .map(|record| serde_json::from_slice::<Value>(&record).unwrap())
        .map(|event| event["properties"]["number"].as_u64().unwrap())
        .collect();
    assert!(answered.len() > 50, "{}", answered.len());
    assert_eq!(answered.difference(&delivered).count(), 0, "of {}", answered.len());
}

/// A function that writes its version into each event.
fn version(number: usize) -> String {
    format!(
        "async function onRequest(request) {{ const {{ first }} = request.json();
         Segment.track({{ event: 'Made', userId: 'u', properties: {{ number: first, version: {number} }} }}); }}"
    )
}

#[test]
fn changed_functions_are_used_at_once_and_lose_nothing() {
    let collector = start("function = { script = 'shop.js' }", &version(1));
    let url = collector.url();
    let running = collector.running();
    let is_over = AtomicBool::new(false);
    let write = |code: &str| {
        let new = running.path("shop.new");
        fs::write(&new, code).unwrap();
        fs::rename(new, running.path("shop.js")).unwrap();
    };
    let loaded = || running.stderr().matches("loaded the function of the source \"shop\"").count();
    let sent = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed) {
                let reply = post_to_shop_at(url, &json!({"first": sent + 1}));
                assert_eq!(reply.status, 200, "{}", reply.text());
                sent += 1;
            }
            sent
        });
        // A changed file is noticed.
        for number in 2..=6 {
            write(&version(number));
            wait_until("the function is loaded", || loaded() == number);
        }
        // Broken code changes nothing.
        write("async function onRequest( {");
        wait_until("the error is logged", || {
            running.stderr().contains("failed to load the function of the source \"shop\"")
        });
        let metrics = read_metrics(&collector);
        assert!(metrics.value("standpipe_collector_function_load_failures_total", &[]) >= 1.0);
        write(&version(7));
        running.send_signal(Signal::HUP);
        wait_until("the function is loaded", || loaded() == 7);
        is_over.store(true, Ordering::Relaxed);
        sender.join().unwrap()
    });
    // Without the function, the source has no address.
    let settings = fs::read_to_string(running.path("settings.toml"));
    let settings = settings.expect("the settings file has this name");
    fs::write(
        running.path("settings.toml"),
        settings.replace("function = { script = 'shop.js' }", ""),
    )
    .unwrap();
    wait_until("the function is gone", || {
        post_to_shop(&collector, &json!({"first": sent + 1})).status == 404
    });
    let ran = collector.stop().expect_exit(0);
    let records = records(&ran.streams());
    let of = |key: &str| -> BTreeSet<_> {
        records.iter().map(|event| event["properties"][key].as_u64().unwrap()).collect()
    };
    assert!(of("number").range(1..=sent).count() as u64 == sent, "{} of {sent}", records.len());
    assert!(of("version").len() >= 3, "{:?}", of("version"));
}

#[test]
fn a_component_can_be_a_function() {
    let path = misbehaving_plugin();
    let function = format!(
        "function = {{ path = '{}', settings = {{ secrets = {{ key = 'secret:function-key' }} }} }}",
        path.display()
    );
    let settings = settings_with(&function)
        .with_line("secrets", "manager = 'files'\ndirectory = 'mounted'\nrefresh = '1s'");
    let program = Program::host_run_locally().settings(&settings).env("RUST_LOG", "trace");
    let mounted = program.path("mounted");
    fs::create_dir(&mounted).unwrap();
    fs::write(mounted.join("function-key"), "PLANTED-1").unwrap();
    let collector = Collector::start(program.mapping(&[("*", "events")]));
    let send = |body: &[u8]| {
        let headers = [("X-Latin", "caf\u{e9}"), ("Authorization", "Bearer own")];
        let path = "/v1/functions/shop?a=%20&writeKey=key-of-shop";
        Client::connect(collector.url()).post(path, &headers, body).unwrap().status
    };
    for (body, status) in [
        ("trap", 500),
        ("loop", 500),
        ("recurse", 500),
        ("memory", 500),
        ("no object", 500),
        ("too much", 500),
        ("refuse", 400),
        ("retry", 503),
        ("\u{0}", 200),
    ] {
        assert_eq!(send(body.as_bytes()), status, "{body}");
    }
    rotate_secret(&mounted, "function-key", "PLANTED-2");
    let loaded = || collector.running().stderr().matches("loaded the function of").count();
    wait_until("the function has the new secret", || loaded() == 2);
    assert_eq!(send(b"again"), 200);
    let ran = collector.stop().expect_exit(0);
    let log = &ran.stderr;
    assert!(
        log.contains("(function_failed): the function of the source failed: the plugin trapped"),
        "{log}"
    );
    for hidden in ["PLANTED", "key-of-shop", "Bearer own"] {
        assert!(!log.contains(hidden), "{hidden} is in the log");
    }
    let mut records = records(&ran.streams());
    records.sort_by_key(|event| event["properties"]["key"].as_str().map(str::to_owned));
    let properties = &records[0]["properties"];
    assert_eq!((&properties["body"], &properties["key"]), (&json!([0]), &json!("PLANTED-1")));
    assert_eq!(records[1]["properties"]["key"], "PLANTED-2");
    let url = properties["url"].as_str().unwrap();
    assert!(url.ends_with("/v1/functions/shop?a=%20"), "{url}");
    let headers = properties["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["authorization", "Bearer own"])), "{headers:?}");
    // Two bytes are two characters.
    assert!(headers.contains(&json!(["x-latin", "caf\u{c3}\u{a9}"])), "{headers:?}");
    assert_eq!(records.len(), 2);
}

#[test]
fn wrong_functions_are_found_before_a_run() {
    let check = |code: &str, function: &str, words: &[&str]| {
        let settings = format!("listen = '127.0.0.1:0'\n{}{ALL_EVENTS}", settings_with(function));
        let program = Program::new().file("shop.js", code.as_bytes());
        let program = program.file("settings.toml", settings.as_bytes());
        let checked = program.args(["config", "check", "settings.toml"]).run();
        let checked = checked.expect_exit(1);
        for word in words {
            let all = format!("{}{}", String::from_utf8_lossy(&checked.stdout), checked.stderr);
            assert!(all.contains(word), "{word} in {all}");
        }
    };
    check("async function onRequest( {", SHOP, &["[[sources.function]] \"shop\"", "SyntaxError"]);
    check("async function onTrack() {}", SHOP, &["found no onRequest: define it"]);
    check(FUNCTION, "function = { script = 'other.js' }", &["failed to read", "other.js"]);
    check(FUNCTION, "function = { path = 'shop.js' }", &["neither"]);
    check(FUNCTION, "function = { settings = {} }", &["script is missing"]);
    check(FUNCTION, "function = { script = 'shop.js', globals = 'x' }", &["\"fresh\" or \"keep\""]);
}

#[test]
fn as_the_plugin_a_source_function_names_its_place() {
    let program = Program::host_run_locally().file("shop.js", FUNCTION.as_bytes());
    let program = program.args(["--plugin", "shop.js", "--map", "*=events"]);
    let ran = program.stdin("{\"event\":\"x\"}\n").run().expect_exit(3);
    let detail = &ran.dead_letters()[0].detail;
    assert!(detail.contains("script under [sources.function]"), "{detail}");
}

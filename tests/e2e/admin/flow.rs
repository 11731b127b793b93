//! Tests plugins that change while events flow.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use standpipe_tests::{misbehaving_plugin, wait_until};

use super::*;

#[test]
fn swaps_lose_no_event_and_no_counter_decreases() {
    const SWAPS: u8 = 30;
    let collector = start_collector(&settings_with_token());
    let (url, is_over) = (collector.url(), AtomicBool::new(false));
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed) {
                send_events(url, &["a"; 50]);
                sent += 50;
            }
            sent
        });
        let mut before = 0.0;
        for number in 0..SWAPS {
            let reply =
                send_request(&collector, "PUT", "/plugin", &default_plugin_variant(number % 3));
            assert_eq!(parse_body(&reply)["changed"], true, "{}", reply.text());
            let now = read_metrics(&collector)
                .value("standpipe_plugin_events_total", &[("role", "active")]);
            assert!(now >= before, "{now} events after {before}");
            before = now;
            wait_until("each of them decides about something", || {
                let active = [("role", "active")];
                let calls = read_metrics(&collector)
                    .value("standpipe_plugin_call_duration_seconds_count", &active);
                calls > f64::from(number) + 1.0
            });
        }
        is_over.store(true, Ordering::Relaxed);
        sender.join().unwrap()
    });
    wait_until("all is settled", || {
        read_metrics(&collector).sum("standpipe_events_settled_total") == f64::from(sent)
    });
    let seen = read_metrics(&collector);
    let active = [("role", "active")];
    assert_eq!(seen.value("standpipe_plugin_events_total", &active), f64::from(sent));
    assert_eq!(seen.value("standpipe_plugin_swaps_total", &[]), f64::from(SWAPS));
    assert!(seen.value("standpipe_plugin_call_duration_seconds_count", &active) > f64::from(SWAPS));
    assert!(seen.value("standpipe_plugin_memory_bytes", &active) > 0.0);
    let ran = collector.stop().expect_exit(0);
    assert_eq!(ran.count("delivered"), u64::try_from(sent).unwrap());
}

/// With a collector, the built-in plugin respects the integrations that SDKs set in events. Other
/// plugins do not get this setting, in any role.
#[test]
fn settings_of_the_built_in_plugin_reach_no_other() {
    let component = fs::read(misbehaving_plugin()).unwrap();
    let settings = settings_with_token()
        .with_line("plugin.canary", "path = 'other.wasm'\npercent = 0")
        .with_line("plugin.shadow", "path = 'other.wasm'");
    let program = Program::host_run_locally().settings(&settings);
    let program = program.file("other.wasm", &component).mapping(&[("*", "all")]);
    let collector = Collector::start(program);
    // One event enables all destinations, one enables none.
    let send = || {
        let event = |all: bool| json!({"type": "track", "event": "x", "userId": "u", "integrations": {"All": all}});
        let body = json!({"batch": [event(true), event(false)]}).to_string();
        let (name, key) = basic_auth("key-of-web");
        let headers = [(name, &*key), ("Content-Type", "application/json")];
        let mut client = Client::connect(collector.url());
        assert_eq!(client.post("/v1/batch", &headers, body.as_bytes()).unwrap().status, 200);
    };
    let settled = |fate: &str, count: f64| {
        wait_until("the events are settled", || {
            read_metrics(&collector).value("standpipe_events_settled_total", &[("outcome", fate)])
                >= count
        });
    };
    send();
    settled("delivered", 1.0);
    settled("filtered", 1.0);

    assert_eq!(send_request(&collector, "POST", "/plugin/canary/promote", b"").status, 200);
    let reply = send_request(&collector, "PUT", "/plugin", &plugin_variant(&component, 1));
    assert_eq!(parse_body(&reply)["changed"], true, "{}", reply.text());
    send();
    settled("delivered", 3.0);

    let reply = send_request(&collector, "PUT", "/plugin", DEFAULT_PLUGIN);
    assert_eq!(parse_body(&reply)["changed"], true, "{}", reply.text());
    send();
    settled("delivered", 4.0);
    settled("filtered", 2.0);
    let ran = collector.stop().expect_exit(0);
    assert_eq!((ran.count("delivered"), ran.count("filtered")), (4, 2));
}

#[test]
fn plugin_health_is_reported() {
    let plugin = misbehaving_plugin();
    let component = fs::read(&plugin).unwrap();
    let settings = settings_with_token().with_line("plugin.breaker", "window = '1s'\nretry = '1s'");
    let program = Program::host_run_locally().settings(&settings);
    let collector = Collector::start(program.args(["--plugin"]).args([&plugin]));
    let ready = || send_request_with(&collector, "GET", "/health/ready", &[], b"").text();
    assert_eq!(ready(), "ready\n");

    // A canary for all users that rejects half of the events is stopped after some of them.
    let query = "/plugin/canary?percent=100&max_error_rate=0.1&min_events=10";
    let taken = send_request(&collector, "PUT", query, &plugin_variant(&component, 1));
    assert_eq!(parse_body(&taken), json!({"generation": 2, "changed": true}));
    let canary = ("role", "canary");
    send_events(collector.url(), &["good", "reject"]);
    wait_until("it has decided", || {
        read_metrics(&collector).value("standpipe_plugin_events_total", &[canary]) == 2.0
    });
    let active = ("role", "active");
    assert_eq!(read_metrics(&collector).value("standpipe_plugin_events_total", &[active]), 0.0);
    wait_until("it is out", || {
        send_events(collector.url(), &["good", "reject"]);
        read_metrics(&collector).value("standpipe_plugin_canary_out", &[]) == 1.0
    });
    let seen = read_metrics(&collector);
    assert!(seen.value("standpipe_plugin_rejected_events_total", &[canary]) >= 5.0);
    assert_eq!(
        parse_body(&send_request(&collector, "GET", "/plugin", b""))["canary"]["is_out"],
        true
    );
    assert_eq!(send_request(&collector, "DELETE", "/plugin/canary", b"").status, 204);
    let after = read_metrics(&collector);
    assert_eq!(after.value("standpipe_plugin_canary_out", &[]), 0.0);
    // Its decisions are still counted.
    let rejected = |seen: &Metrics| seen.value("standpipe_plugin_rejected_events_total", &[canary]);
    assert_eq!(rejected(&after), rejected(&seen));

    // The active plugin fails on half of all events, then on all, until it is off.
    wait_until("it is degraded", || {
        send_events(collector.url(), &["trap", "good"].repeat(75));
        ready().contains("degraded")
    });
    let state = |state| [("role", "active"), ("state", state)];
    wait_until("it is off", || {
        send_events(collector.url(), &["trap"; 150]);
        ready().contains("off")
    });
    let seen = read_metrics(&collector);
    let health = ["healthy", "degraded", "off"]
        .map(|word| seen.value("standpipe_plugin_health", &state(word)));
    assert_eq!(health.iter().sum::<f64>(), 1.0);
    assert!(seen.value("standpipe_plugin_health_changes_total", &[("role", "active")]) >= 2.0);
    let trapped = [("role", "active"), ("kind", "trap")];
    assert!(seen.value("standpipe_plugin_failures_total", &trapped) >= 150.0);
    wait_until("all is settled", || {
        read_metrics(&collector).value("standpipe_spool_events", &[]) == 0.0
    });

    // Another plugin starts as healthy, and the counts continue.
    let before = read_metrics(&collector);
    assert_eq!(
        send_request(&collector, "PUT", "/plugin", &plugin_variant(&component, 2)).status,
        200
    );
    assert_eq!(ready(), "ready\n");
    let after = read_metrics(&collector);
    for name in [
        "standpipe_plugin_failures_total",
        "standpipe_plugin_events_total",
        "standpipe_plugin_health_changes_total",
    ] {
        assert!(after.sum(name) >= before.sum(name), "{name}");
    }
    collector.stop().expect_exit(3);
}

//! Tests the token: missing, wrong, and from a secret store.

use std::fs;

use standpipe_tests::mounted::rotate_secret;
use standpipe_tests::wait_until;

use super::*;

const KEPT: &str = "[admin]\ntoken = 'secret:token'\n[secrets]\nmanager = 'files'\ndirectory = 'mounted'\n\
                    refresh = '1s'\n[[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['key-of-web']";

#[test]
fn without_a_token_plugin_routes_are_not_served() {
    let collector = start_collector(&CollectorSettings::new([SourceEntry::segment("web")]));
    for (method, path) in [
        ("GET", "/plugin"),
        ("PUT", "/plugin"),
        ("POST", "/plugin/check"),
        ("POST", "/plugin/rollback"),
        ("PUT", "/plugin/canary"),
        ("DELETE", "/plugin/canary"),
        ("POST", "/plugin/canary/promote"),
    ] {
        let reply = send_request(&collector, method, path, DEFAULT_PLUGIN);
        assert_eq!(reply.status, 403, "{method} {path}");
        let error = parse_body(&reply)["error"].as_str().expect("an error").to_owned();
        assert!(error.contains("`token` under [admin]"), "{error}");
    }
    assert_eq!(send_request_with(&collector, "GET", "/health/ready", &[], b"").text(), "ready\n");
    assert_eq!(send_request_with(&collector, "GET", "/openapi.json", &[], b"").status, 200);
    read_metrics(&collector);
    collector.stop().expect_exit(0);
}

#[test]
fn a_token_in_a_secret_manager_is_rotated() {
    const OTHER: &str = "fedcba9876543210-PLANTED";
    let program = Program::host_run_locally().mapping(&[("*", "all")]);
    let mounted = program.path("mounted");
    fs::create_dir(&mounted).unwrap();
    fs::write(mounted.join("token"), TOKEN).unwrap();
    let collector =
        Collector::start(program.settings(KEPT).env("RUST_LOG", "info,standpipe=trace"));
    let status = |token: &str| {
        let authorization = format!("Bearer {token}");
        send_request_with(&collector, "GET", "/plugin", &[("Authorization", &authorization)], b"")
            .status
    };
    assert_eq!([TOKEN, OTHER, "secret:token"].map(status), [200, 401, 401]);
    rotate_secret(&mounted, "token", OTHER);
    wait_until("the new token is taken", || status(OTHER) == 200);
    assert_eq!(status(TOKEN), 401);
    rotate_secret(&mounted, "token", "short");
    collector.running().wait_for("failed to refresh the token of [admin]");
    assert_eq!([OTHER, "short"].map(status), [200, 401]);
    let ran = collector.stop().expect_exit(0);
    assert!(!ran.stderr.contains("PLANTED"), "{}", ran.stderr);
}

#[test]
fn an_invalid_token_stops_the_start() {
    for wrong in ["", "PLANTED", "with a blank, PLANTED", "umlaut-äöü-PLANTED"] {
        let settings = CollectorSettings::new([SourceEntry::segment("web")]);
        let settings = settings.with_line("admin", &format!("token = '{wrong}'"));
        let program = Program::host_run_locally().settings(&settings).mapping(&[("*", "all")]);
        let ran = program.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).run();
        let ran = ran.expect_exit(2).expect_stderr(&["[admin] token", "openssl rand"]);
        assert!(!ran.stderr.contains("PLANTED"), "{}", ran.stderr);
    }
    let program = Program::host_run_locally().mapping(&[("*", "all")]);
    fs::create_dir(program.path("mounted")).unwrap();
    let program = program.file("mounted/token", b"PLANTED").settings(KEPT);
    let ran =
        program.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).run().expect_exit(2);
    assert!(!ran.stderr.contains("PLANTED"), "{}", ran.stderr);
}

#[test]
fn a_token_sent_in_clear_text_causes_a_warning() {
    let program =
        Program::host_run_locally().settings(&settings_with_token()).mapping(&[("*", "all")]);
    let running = program.args(["--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"]).start();
    running.wait_for("health and metrics on ");
    running.wait_for("unencrypted");
    let ran = running.kill();
    assert!(!ran.stderr.contains("PLANTED"), "{}", ran.stderr);
}

//! Tests credentials of scripts: they come from secret managers, change while events flow, and
//! never appear in the log.

use standpipe_tests::mounted::rotate_secret;
use standpipe_tests::{DEADLINE, wait_until};

use super::*;

const CODE: &str = "\
export function transformEvent(event) {
  event.key = getCredential('api_key').length;
  event.plain = getCredential('plain');
  return event;
}
";

#[test]
fn credentials_are_resolved_and_rotated_and_stay_out_of_the_log() {
    let settings = format!(
        "workers = 1\n[delivery]\nmax_delay = '10ms'\n[secrets]\nmanager = 'files'\ndirectory = 'mounted'\nrefresh = '1s'\n\
         [plugin]\nscript = 'transform.js'\n[plugin.credentials]\napi_key = 'secret:vendor-key'\nplain = 'text'\n{ALL_EVENTS}"
    );
    let program = Program::host_run_locally().file("transform.js", CODE.as_bytes());
    let mounted = program.path("mounted");
    fs::create_dir(&mounted).unwrap();
    fs::write(mounted.join("vendor-key"), "PLANTED-1").unwrap();
    let program = program.settings(&settings).env("RUST_LOG", "trace");
    let mut running = program.start();
    let mut records = 0;
    let mut last_record = |running: &mut standpipe_tests::Running| {
        running.write_stdin(b"{\"event\":\"x\"}\n");
        records += 1;
        let read = || fs::read_to_string(running.path("out/events.ndjson")).unwrap_or_default();
        wait_until("the event is delivered", || read().lines().count() == records);
        read().lines().last().unwrap().to_owned()
    };
    assert_eq!(last_record(&mut running), r#"{"event":"x","key":9,"plain":"text"}"#);
    rotate_secret(&mounted, "vendor-key", "PLANTED-LONGER");
    wait_until("the script has the new secret", || {
        last_record(&mut running) == r#"{"event":"x","key":14,"plain":"text"}"#
    });
    let ran = running.finish(DEADLINE).expect_exit(0);
    assert!(!ran.stderr.contains("PLANTED"), "{}", ran.stderr);
    assert!(ran.stderr.contains("swap_step") || ran.stderr.contains("trace"), "{}", ran.stderr);
}

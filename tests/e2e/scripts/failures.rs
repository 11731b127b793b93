//! Tests that an event on which a script hangs or uses up its memory costs nothing else.

use standpipe_tests::FinishedRun;

use super::*;

const HOSTILE: &str = r"
function recurse() { return recurse() + 1; }
export function transformEvent(event) {
  switch (event.event) {
    case 'loop': for (;;);
    case 'recursion': recurse(); break;
    case 'memory': { const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(1)); }
    case 'text': { let text = 'x'; for (;;) text += text; }
    case 'expression': /^(a+)+$/.test('a'.repeat(60) + '!'); break;
    case 'promise': return new Promise(() => {});
    case 'rejected': return Promise.reject(new TypeError('not today'));
    case 'getter': return { get x() { throw new Error('no x'); } };
  }
  return event;
}
";

/// The events on which the script fails, with words of the reason.
const FAILING: [(&str, &str); 8] = [
    ("loop", "did not answer within"),
    ("recursion", "RangeError: Maximum call stack size exceeded"),
    ("memory", "memory"),
    ("text", ""),
    ("expression", "did not answer within"),
    ("promise", "nothing settles the promise"),
    ("rejected", "TypeError: not today"),
    ("getter", "no x"),
];

#[test]
fn hostile_code_costs_only_its_own_events() {
    let mut input = String::new();
    let good = |number: usize| format!("{{\"event\":\"good\",\"number\":{number}}}\n");
    for (number, (name, _)) in FAILING.iter().enumerate() {
        input += &good(2 * number);
        input += &format!("{{\"event\":\"{name}\"}}\n");
        input += &good(2 * number + 1);
    }
    let settings = format!(
        "workers = 1\n[plugin]\nscript = 'hostile.js'\n[plugin.limits]\ncall_cpu = '300ms'\n{ALL_EVENTS}"
    );
    let program = Program::host_run_locally().file("hostile.js", HOSTILE.as_bytes());
    let ran = program.settings(&settings).stdin(input).run().expect_exit(3);
    let expected: Vec<_> =
        (0..2 * FAILING.len()).map(|number| good(number).trim_end().to_owned()).collect();
    let mut delivered = lines_of(&ran.streams());
    delivered.sort_by_key(|line| expected.iter().position(|good| good == line));
    assert_eq!(delivered, expected);
    let dead_letters = ran.dead_letters();
    assert_eq!(dead_letters.len(), FAILING.len());
    for (name, words) in FAILING {
        let event = format!("{{\"event\":\"{name}\"}}");
        let dead_letter = dead_letters.iter().find(|it| it.event == event.as_bytes());
        let dead_letter = dead_letter.unwrap_or_else(|| panic!("no dead letter of {name}"));
        assert!(dead_letter.detail.contains(words), "{name}: {}", dead_letter.detail);
    }
}

#[test]
fn events_to_retry_have_their_own_reason() {
    let function = "async function onTrack(event, settings) {\n  \
                    if (settings.isDown) throw new RetryError('status 503');\n  \
                    if (event.event === 'bad') throw new ValidationError('no total');\n}\n";
    let settings = |is_down: bool| {
        format!(
            "[plugin]\nscript = 'function.js'\n[plugin.function_settings]\nisDown = {is_down}\n{ALL_EVENTS}"
        )
    };
    let program = Program::host_run_locally().file("function.js", function.as_bytes());
    let program = program.file("working.toml", settings(false).as_bytes());
    let event = |name: &str| format!("{{\"type\":\"track\",\"event\":\"{name}\"}}\n");
    let input = event("good") + &event("bad");
    let down = program.settings(&settings(true)).stdin(input).run().expect_exit(3);
    let reasons =
        |ran: &FinishedRun| ran.dead_letters().into_iter().map(|it| it.reason).collect::<Vec<_>>();
    assert_eq!(reasons(&down), ["plugin_retry", "plugin_retry"]);
    assert!(down.dead_letters()[0].detail.starts_with("RetryError: status 503"));
    let data = down.path("standpipe-data");
    let (config, out) = (down.path("working.toml"), down.path("replayed"));
    let replay = Program::new().args(["dead", "replay", "--reason", "plugin_retry"]);
    let replay = replay.args(["--config".as_ref(), config.as_os_str()]);
    let replay = replay.args(["--data-dir".as_ref(), data.as_os_str()]);
    let _ = replay.args(["--local".as_ref(), out.as_os_str()]).run().expect_exit(3);
    let delivered = fs::read_to_string(out.join("events.ndjson")).unwrap();
    assert_eq!(delivered, event("good"));
    assert_eq!(reasons(&down), ["plugin_rejected"]);
    assert_eq!(down.dead_letters()[0].history, ["plugin_retry"]);
}

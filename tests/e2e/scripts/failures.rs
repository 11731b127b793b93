//! Tests that an event on which a script hangs or uses up its memory costs nothing else.

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

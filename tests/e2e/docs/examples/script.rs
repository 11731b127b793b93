//! Converts an example to a bash script that writes the name of its current step to
//! `.example/step`.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;
use standpipe_tests::workspace_directory;

use super::SHOWN_LANGUAGES;
use super::page::{Block, Example};

/// The text that completes a part of a settings file.
const MAPPING: &str = "\n[[plugin.settings.mappings]]\nevent = \"*\"\nstream = \"events\"\n";

/// The script before the first step. Background commands have their own process group, so that a
/// stop reaches all processes of a group. The shell that started them waits for them and exits with
/// their code.
const PRELUDE: &str = r#"
set -euo pipefail
EXAMPLE=$PWD/.example
mkdir "$EXAMPLE"
jobs=()
stop_jobs() {
    local job code
    for job in "${jobs[@]}"; do
        kill -TERM -- "-$job" 2> "$EXAMPLE/kill" || true
        wait "$job" && code=0 || code=$?
        case $code in
            0 | 4 | 143) ;;
            *) echo "a background command ended with exit code $code" >&2; exit 1 ;;
        esac
    done
    jobs=()
}
trap stop_jobs EXIT
"#;

/// Creates a directory with links to the repository's files, where nothing is built.
const CHECKOUT: &str = r#"
mkdir "$EXAMPLE/checkout" "$EXAMPLE/bin"
cd "$EXAMPLE/checkout"
cp -rs "$WORKSPACE"/{Cargo.toml,Cargo.lock,LICENSE,README.md,rust-toolchain.toml,guest,host,tests,wit} .
printf '%s' "$CARGO_SCRIPT" > "$EXAMPLE/bin/cargo"
chmod +x "$EXAMPLE/bin/cargo"
ln -s cargo "$EXAMPLE/bin/rustup"
PATH=$EXAMPLE/bin:$PATH
"#;

/// Takes a lock, because servers of examples listen on the same ports as for readers. So only one
/// example on this machine uses them at a time. The lock is free once the last process that
/// inherited it has ended.
const LOCK: &str = r#"
exec 9> "${TMPDIR:-/tmp}/standpipe-examples.lock"
flock 9
"#;

/// The script of an example.
pub(super) fn script(example: &Example) -> Result<String, String> {
    let mut script = PRELUDE.to_owned();
    if example.in_checkout {
        script += CHECKOUT;
    }
    if example.blocks.iter().any(|block| block.instruction.starts_with("background=")) {
        script += LOCK;
    }
    for block in &example.blocks {
        let line = block.line;
        let step = step(block).map_err(|error| format!("line {line}: {error}"))?;
        let _ = writeln!(script, "echo -n 'line {line}' > \"$EXAMPLE/step\"\n{step}");
    }
    script += "stop_jobs\n";
    Ok(script)
}

fn step(block: &Block) -> Result<String, String> {
    let Block { language, instruction, text, .. } = block;
    if let Some(path) = instruction.strip_prefix("from=") {
        return part_of(path, text);
    }
    Ok(match (language.as_str(), instruction.as_str()) {
        ("sh", "") => format!("{{\n{text}\n}} {PRINTED}"),
        ("sh", "shown") => format!("{}bash -n \"$EXAMPLE/shown\"", saved("shown", text)),
        ("sh", instruction) => instructed(instruction, text)?,
        ("console", "") => compared("printed", text),
        ("console", "stderr") => compared("errors", text),
        (_, "printed") => compared("printed", text),
        ("json", "" | "shown") => is_json(text)?,
        ("toml", "part") => {
            let mapping = if text.contains("mappings") { "" } else { MAPPING };
            let file = written("part.toml", &format!("{text}{mapping}"));
            format!("{file}host config check part.toml {PRINTED}\nrm part.toml")
        }
        ("toml", "shown") => {
            let parse = "import sys, tomllib; tomllib.load(sys.stdin.buffer)";
            format!("{}python3 -c '{parse}' < \"$EXAMPLE/shown\"", saved("shown", text))
        }
        ("toml", name) if !name.is_empty() && name != "Cargo.toml" => {
            format!("{}host config check '{name}' {PRINTED}", written(name, text))
        }
        (_, "shown") => String::new(),
        (language, "") if SHOWN_LANGUAGES.iter().any(|(shown, _)| *shown == language) => {
            String::new()
        }
        (_, name) if !name.is_empty() => written(name, text),
        _ => return Err(format!("what is to be done with ```{language}?")),
    })
}

/// Redirects the output of a command to files.
const PRINTED: &str = r#"> "$EXAMPLE/printed" 2> "$EXAMPLE/errors""#;

/// Commands of a block with an instruction.
fn instructed(instruction: &str, text: &str) -> Result<String, String> {
    if let Some(code) = instruction.strip_prefix("exit=") {
        let wrong = format!("echo \"exit code $code, expected {code}\" >&2; exit 1");
        return Ok(format!(
            "(\n{text}\n) {PRINTED} && code=0 || code=$?\n[ $code = {code} ] || {{ {wrong}; }}"
        ));
    }
    if let Some(url) = instruction.strip_prefix("background=") {
        let started =
            format!("(\ntrap : TERM\n{text}\n) >> \"$EXAMPLE/background\" 2>&1 & jobs+=($!)");
        let request = format!("curl -sf -o \"$EXAMPLE/answer\" '{url}'");
        let wait = format!("for try in $(seq 300); do {request} && break; sleep 0.1; done");
        return Ok(format!("set -m\n{started}\nset +m\n{wait}\n{request}"));
    }
    Err(format!("unknown instruction after ```sh: {instruction}"))
}

/// Compares the output of the previous block with this text. Three dots stand for any text within a
/// line, and alone on a line for any number of lines.
fn compared(file: &str, expected: &str) -> String {
    let saved = saved("expected", expected);
    let difference = format!("diff -u \"$EXAMPLE/expected\" \"$EXAMPLE/{file}\"");
    if !expected.contains("...") {
        return saved + &difference;
    }
    let lines = expected.lines().map(|line| match line {
        "..." => "*".to_owned(),
        line => {
            let parts = line.split("...").map(|part| format!("'{}'", part.replace('\'', r"'\''")));
            parts.collect::<Vec<_>>().join(r"*([!$'\n'])")
        }
    });
    let pattern = lines.collect::<Vec<_>>().join(r"$'\n'");
    let printed = format!("\"$(cat \"$EXAMPLE/{file}\")\"");
    format!("{saved}[[ {printed} == {pattern} ]] || {{ {difference}; exit 1; }}")
}

/// Checks that a text is JSON, or JSON on each line.
fn is_json(text: &str) -> Result<String, String> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).map(|_| ());
    parse(text).or_else(|error| {
        let lines = text.lines().try_for_each(parse);
        lines.map_err(|_| format!("not JSON: {error}"))
    })?;
    Ok(String::new())
}

/// Whether a file of the repository contains these lines, with any indentation.
fn part_of(path: &str, text: &str) -> Result<String, String> {
    let lines =
        |text: &str| text.lines().map(|line| line.trim().to_owned() + "\n").collect::<String>();
    let file = fs::read_to_string(workspace_directory().join(path))
        .map_err(|error| format!("{path}: {error}"))?;
    if lines(&file).contains(&lines(text)) {
        return Ok(String::new());
    }
    Err(format!("{path} does not have this text"))
}

/// Writes a file of the example.
fn written(name: &str, text: &str) -> String {
    format!("mkdir -p \"$(dirname '{name}')\"\n{}", heredoc(&format!("'{name}'"), text))
}

/// Writes a file that is invisible to the example.
fn saved(name: &str, text: &str) -> String {
    heredoc(&format!("\"$EXAMPLE/{name}\""), text)
}

/// Writes a here-document. No example contains the delimiter as a line.
fn heredoc(file: &str, text: &str) -> String {
    format!("cat > {file} <<'END-OF-EXAMPLE'\n{text}\nEND-OF-EXAMPLE\n")
}

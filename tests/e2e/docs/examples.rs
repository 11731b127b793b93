//! Runs the examples of the README and of every page of the docs as a reader would: it writes the
//! files of a page and runs its commands from top to bottom, in one directory that is empty at
//! first.
//!
//! The first word after the fence is the language. The rest says what to do:
//!
//! | fence | done with the block |
//! |---|---|
//! | `toml NAME.toml` | written to that file, which must pass `host config check` (`Cargo.toml` is only written) |
//! | `toml part` | a part of a settings file, which must pass it too; a mapping is added where the part has none |
//! | `sh` | run by bash; a command that fails ends the page |
//! | `sh exit=3` | the last command must end with this exit code |
//! | `sh background=URL` | run beside the rest of the page, which goes on once the URL answers 2xx; stopped at the end |
//! | `console` | must be what the block before it printed. `...` stands for any text of a line, and alone on a line for any lines |
//! | `console stderr` | likewise, on standard error |
//! | `LANGUAGE printed` | as `console`, shown in another language |
//! | `LANGUAGE from=PATH` | must be a part of this file of the repository, which other tests compile or run |
//! | `json` | must be JSON, or JSON on each line |
//! | `LANGUAGE shown` | not run, for the reason in [`SHOWN`]; `sh` is checked by `bash -n`, `json` and `toml` are parsed |
//! | a language of [`SHOWN_LANGUAGES`] | not run, for the reason there |
//! | anything else with a name | written to that file |
//!
//! Comments of a page, each on a separate line:
//!
//! - `<!-- streams: a b -->` creates delivery streams in the AWS account that the commands use.
//! - `<!-- new directory -->` ends an example: its background commands are stopped, and the next
//!   example runs in another directory.
//! - `<!-- in a checkout -->` gives the example a directory with the repository's files. In it,
//!   `examples/cargo.sh` replaces `cargo` and `rustup`: it builds nothing, starts programs that are
//!   already built, and fails if a named test, bench, package or path does not exist.
//! - `<!-- python runner: FILE.wasm -->` copies the runner of scripts in Python to this file.
//!
//! `EXAMPLES=delivery,README cargo test --release --test e2e -- docs::examples` runs only the pages
//! whose paths contain one of these words.

mod page;
mod script;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs, thread};

use parking_lot::Mutex;
use standpipe_tests::{
    DEADLINE, FinishedRun, Program, Template, moto, nats, program_path, workspace_directory,
};

use self::page::{Example, Page};
use self::script::script;
use super::{documents, shown};

/// Deadline of one example. It starts the program several times, may wait for the ports of another
/// example, and may compile a plugin with its dependencies.
const EXAMPLE_DEADLINE: Duration = DEADLINE.saturating_mul(10);

/// Pages that run at the same time.
const PAGES_AT_ONCE: usize = 3;

/// Languages of blocks that are never run, each with the reason.
const SHOWN_LANGUAGES: &[(&str, &str)] = &[
    ("nginx", "another program's configuration; tests/e2e/nginx.rs runs the recipes of embedding"),
    ("text", "a drawing, or a format in words"),
    ("yaml", "resources of a Kubernetes cluster; tests/e2e/docs/kubernetes.rs checks them"),
];

/// A block that is not run, although other blocks of its language are.
struct Shown {
    page: &'static str,
    /// The start of its text.
    start: &'static str,
    #[expect(dead_code, reason = "for people")]
    reason: &'static str,
}

/// Blocks with the instruction `shown`.
const SHOWN: &[Shown] = &[
    // Introduction, settings, AWS, and the project itself.
    Shown {
        page: "README.md",
        start: "tests/setup.sh",
        reason: "it installs packages and runs every test, this one among them",
    },
    Shown {
        page: "host/docs/development.md",
        start: ".ci/run",
        reason: "it installs packages and runs every test, this one among them",
    },
    Shown {
        page: "host/docs/iam.md",
        start: "aws iam create-role",
        reason: "it needs the AWS CLI, and an account in which it creates a role",
    },
    // Events, delivery and operation.
    Shown {
        page: "host/docs/benchmarks.md",
        start: "host bench --scale",
        reason: "it takes minutes; tests/e2e/bench.rs runs both commands with fewer events",
    },
    Shown {
        page: "host/docs/dead-letters.md",
        start: "aws s3 cp",
        reason: "it needs a bucket with dead letters; the block after it replays the same files",
    },
    Shown {
        page: "host/docs/fleet-deployment.md",
        start: "kubectl apply -f fleet.yaml",
        reason: "it needs a Kubernetes cluster; tests/e2e/docs/kubernetes.rs checks the resources",
    },
    // Plugins and embedding.
    Shown {
        page: "host/docs/scripts.md",
        start: "python3 -m venv venv",
        reason: "it needs packages of PyPI; the tests build the runner in the same way",
    },
    Shown {
        page: "host/docs/embedding.md",
        start: "cargo run --release --example gateway",
        reason: "it serves until it is stopped; the bench `gateway` and clippy build it",
    },
    Shown {
        page: "host/docs/embedding.md",
        start: "cargo run --release -p pingora-gateway",
        reason: "it serves until it is stopped; tests/e2e/pingora.rs builds and runs it",
    },
    Shown {
        page: "host/docs/embedding.md",
        start: "cd /var/log/nginx",
        reason: "it needs nginx as a service; tests/e2e/nginx.rs runs it with paths of its own",
    },
    Shown {
        page: "host/docs/embedding.md",
        start: "cd /var/log/envoy",
        reason: "it needs Envoy as a service; tests/e2e/envoy.rs runs it with paths of its own",
    },
    Shown {
        page: "host/docs/embedding.md",
        start: "use_remote_address: true",
        reason: "two parts of Envoy's configuration; tests/e2e/envoy.rs runs Envoy with them",
    },
    Shown {
        page: "host/docs/embedding.md",
        start: "clusters:",
        reason: "a part of Envoy's configuration; tests/e2e/envoy.rs runs Envoy with it",
    },
];

#[test]
fn the_examples_of_every_page_run() {
    let mut examples = Vec::new();
    let mut failures = Vec::new();
    let mut streams = BTreeSet::new();
    for (name, text) in pages() {
        match Page::parse(&text) {
            Ok(mut page) => {
                streams.append(&mut page.streams);
                examples.push((name, page));
            }
            Err(error) => failures.push(format!("{name}: {error}")),
        }
    }
    if !streams.is_empty() {
        moto::shared_server()
            .create_streams("docs", &streams.iter().map(String::as_str).collect::<Vec<_>>());
    }
    failures.extend(run_pages(&examples));
    let count: usize = examples.iter().map(|(_, page)| page.blocks().count()).sum();
    assert!(count > 0, "no examples were found: this test looks at the wrong places");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Every block with the instruction `shown` has a reason, and every reason has a block.
#[test]
fn every_block_that_is_only_shown_has_a_reason() {
    let is_listed = |name: &str, text: &str| {
        SHOWN.iter().any(|shown| shown.page == name && text.starts_with(shown.start))
    };
    let mut blocks = Vec::new();
    for (name, text) in pages() {
        let page = Page::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let shown = page.blocks().filter(|block| block.instruction == "shown");
        blocks.extend(shown.map(|block| (name.clone(), block.line, block.text.clone())));
    }
    for (name, line, text) in &blocks {
        assert!(is_listed(name, text), "{name}:{line}: SHOWN has no reason for this block");
    }
    for Shown { page, start, .. } in SHOWN {
        let is_used = blocks.iter().any(|(name, _, text)| name == page && text.starts_with(start));
        let is_read = pages().iter().any(|(name, _)| name == page);
        assert!(is_used || !is_read, "{page} does not show {start:?}: delete its reason");
    }
}

#[test]
fn an_example_that_fails_is_reported_with_its_line() {
    for (page, words) in [
        ("```sh\ntrue\n```\n\n```sh\necho wrong\nfalse\n```\n", ["line 5", "exit code 1"]),
        ("```sh\necho one\n```\n```console\ntwo\n```\n", ["line 4", "one"]),
        ("```sh\necho one >&2\n```\n```console stderr\ntwo\n```\n", ["line 4", "one"]),
        ("```sh\necho one two\n```\n```console\nzero ... two\n```\n", ["line 4", "one"]),
        ("```toml wrong.toml\nunknown = 1\n```\n", ["line 1", "unknown"]),
        ("```toml part\nunknown = 1\n```\n", ["line 1", "unknown"]),
        ("```sh exit=3\nexit 4\n```\n", ["line 1", "exit code 4, expected 3"]),
        ("```sh shown\nif\n```\n", ["line 1", "syntax error"]),
        ("```json\n{]\n```\n", ["line 1", "not JSON"]),
        ("```toml shown\n[\n```\n", ["line 1", "TOML"]),
        ("```rust\nfn f() {}\n```\n", ["line 1", "rust"]),
        ("```rust from=host/src/main.rs\nfn not_there() {}\n```\n", ["line 1", "main.rs"]),
        (
            "<!-- in a checkout -->\n```sh\ncargo bench --bench none\n```\n",
            ["line 2", "no such bench"],
        ),
        ("text\n\n    indented\n", ["line 3", "indented"]),
        ("- item\n  ```sh\n  true\n  ```\n", ["line 2", "start of the line"]),
        ("```sh\ntrue\n", ["line 1", "no end"]),
    ] {
        let error = Page::parse(page).and_then(|page| run_page(&page)).expect_err(page);
        assert!(words.iter().all(|word| error.contains(word)), "{page}\n{error}");
    }
}

#[test]
fn an_example_that_holds_is_no_failure() {
    for page in [
        "```sh exit=3\nexit 3\n```\n```json data.json\n{}\n```\n```sh\ncat data.json\n```\n```json printed\n{}\n```\n",
        "```sh\nprintf '%s\\n' \"it's 12 ms\" a b 'c (*)'\n```\n```console\nit's ... ms\n...\nc (*)\n```\n",
        "```sh\ntouch here\n```\n<!-- new directory -->\n```sh\n[ ! -e here ]\n```\n",
        "```toml part\n[delivery]\nmax_delay = \"2s\"\n```\n```json\n{\"a\":1}\n{\"a\":2}\n```\n",
        "```rust from=host/src/main.rs\n// SAFETY: mallopt takes two numbers, and no other thread has been started.\n```\n",
        "<!-- in a checkout -->\n```sh\nrustup target add wasm32-wasip2\ncargo run --bin host -- --version\n\
         cargo test --test e2e -- docs\nls wit\n```\n```console\n...\nmapping.wit\n```\n",
    ] {
        assert_eq!(Page::parse(page).and_then(|page| run_page(&page)), Ok(()), "{page}");
    }
}

/// All pages by name, with their text, or the pages that `EXAMPLES` selects.
fn pages() -> Vec<(String, String)> {
    let words = env::var("EXAMPLES").unwrap_or_default();
    let is_chosen = |name: &str| words.split(',').any(|word| name.contains(word));
    let documents = documents().into_iter().map(|path| (shown(&path), path));
    let chosen = documents.filter(|(name, _)| is_chosen(name));
    chosen.map(|(name, path)| (name, fs::read_to_string(path).unwrap())).collect()
}

/// Runs the examples of several pages at once, because they wait more than they work. Returns the
/// failures.
fn run_pages(pages: &[(String, Page)]) -> Vec<String> {
    let queue = Mutex::new(pages.iter());
    let failures = Mutex::new(Vec::new());
    let run = || {
        loop {
            let next = queue.lock().next();
            let Some((name, page)) = next else { return };
            if let Err(error) = run_page(page) {
                failures.lock().push(format!("{name}: {error}"));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..PAGES_AT_ONCE {
            scope.spawn(run);
        }
    });
    failures.into_inner()
}

/// Runs the examples of a page.
fn run_page(page: &Page) -> Result<(), String> {
    page.examples.iter().try_for_each(run_example)
}

/// A directory of the toolchain. The example's own home directory does not have one.
fn home(variable: &str, name: &str) -> PathBuf {
    env::var_os(variable)
        .map_or_else(|| env::home_dir().expect("a home directory").join(name), PathBuf::from)
}

fn run_example(example: &Example) -> Result<(), String> {
    let script = script(example)?;
    let binaries = program_path().parent().expect("a directory");
    let nats = nats::server_program();
    let nats = nats.parent().expect("a directory");
    let path = env::var("PATH").expect("a PATH");
    let path = format!("{}:{}:{path}", binaries.display(), nats.display());
    let program = Program::from_path(Path::new("/bin/bash"))
        .args([".example.sh"])
        .file(".example.sh", script.as_bytes())
        .env("PATH", path)
        .env("AWS_REGION", moto::REGION)
        .env("AWS_ENDPOINT_URL", moto::shared_server().url())
        .env("BINARIES", binaries)
        .env("TESTS", env::current_exe().expect("a test knows its path"))
        .env("WORKSPACE", workspace_directory())
        .env("CARGO_SCRIPT", include_str!("examples/cargo.sh"))
        // Projects that `host plugin new` creates use the template's dependencies in the workspace,
        // compiled once.
        .env("CARGO_HOME", home("CARGO_HOME", ".cargo"))
        .env("RUSTUP_HOME", home("RUSTUP_HOME", ".rustup"))
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_BUILD_BUILD_DIR", binaries.with_file_name("examples-build"))
        .with_keys();
    let program = match script.contains("$PYTHON_RUNNER") {
        true => program.env("PYTHON_RUNNER", Template::PythonRudderStack.component()),
        false => program,
    };
    let ran = program.start().finish(EXAMPLE_DEADLINE);
    if ran.exit == 0 {
        return Ok(());
    }
    let read = |name: &str| fs::read_to_string(ran.path(".example").join(name)).unwrap_or_default();
    let step = read("step");
    let output = ["printed", "errors", "background"].map(read).concat();
    let difference = String::from_utf8_lossy(&ran.stdout);
    let FinishedRun { exit, stderr, .. } = &ran;
    Err(format!("the example in {step} failed, exit code {exit}:\n{output}{difference}{stderr}"))
}

//! Tests that only the program's own user can read stored events.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::{Collector, Program, Stub, StubResponse, program_path, wait_until};

const SETTINGS: &str = r#"
[[sources]]
name = "web"
dialect = "segment"
write_keys = ["key"]
"#;

/// A program with a umask of 0.
fn new_program(endpoint: &str, data_dir: &Path) -> Program {
    let shell = "umask 000; exec \"$0\" \"$@\"";
    let program =
        Program::from_path(Path::new("/bin/sh")).args(["-c", shell]).args([program_path()]);
    let program = program.args(["run", "--endpoint-url", endpoint, "--region", "eu-central-1"]);
    program
        .with_keys()
        .mapping(&[("*", "all")])
        .settings(SETTINGS)
        .args(["--data-dir"])
        .args([data_dir])
}

#[test]
fn spool_and_dead_letters_are_private_from_the_start_and_made_so() {
    let directory = tempfile::TempDir::new().unwrap();
    let data_dir = directory.path().join("data");
    let stub = Stub::start(|_| StubResponse::Hang);
    let run = || {
        let collector = Collector::start(new_program(&stub.url(), &data_dir));
        let mut client = Client::connect(collector.url());
        let body = json!({ "batch": [{ "type": "page", "userId": "u" }, "no event"] });
        let reply = client.post(
            "/v1/batch",
            &[("Authorization", &basic_auth("key").1)],
            body.to_string().as_bytes(),
        );
        assert_eq!(reply.unwrap().status, 200);
        wait_until("a dead letter is written", || !list_files(&data_dir.join("dead")).is_empty());
        collector
    };
    let collector = run();
    assert_private(&data_dir);
    collector.kill();
    for folder in ["spool", "dead"] {
        let folder = data_dir.join(folder);
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        for file in list_files(&folder) {
            fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
        }
    }
    let collector = run();
    assert_private(&data_dir);
    let ran = collector.kill();
    assert_eq!(
        ran.stderr.matches("other users could open this directory").count(),
        2,
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stderr.matches("other users could open files").count(), 2, "{}", ran.stderr);
}

fn list_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn assert_private(data_dir: &Path) {
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    let mut seen = 0;
    for folder in ["spool", "dead"] {
        let folder = data_dir.join(folder);
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for file in list_files(&folder) {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
            seen += 1;
        }
    }
    assert!(seen >= 4, "lock, segment, acknowledgements and a dead letter: {seen}");
}

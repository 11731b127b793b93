//! Tests `host import` with code: which files it writes, and that a run takes them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use standpipe_tests::{FinishedRun, Program};

const CODE: &str = "import { isTest } from \"userRules\";\nexport function transformEvent(event) {\n  \
                    return isTest(event) ? undefined : { ...event, é: 1 };\n}\n";

/// A destination with a transformation, a library, and a transformation of another destination.
fn export() -> String {
    let code = |name: &str, code: &str| serde_json::json!({"id": name, "name": name, "code": code, "codeVersion": "1", "language": "javascript"});
    serde_json::json!([
        {
            "id": "d1", "transformations": [{"id": "Add É"}],
            "config": {"region": "eu-west-1", "mapEvents": [{"from": "*", "to": "events"}]},
        },
        {"transformations": [code("Add É", CODE), code("../../other", "export const a = 1;")]},
        {"libraries": [{
            "name": "User Rules", "importName": "userRules", "language": "javascript",
            "code": "export const isTest = event => event.userId === 'test';\n",
        }]},
    ])
    .to_string()
}

fn import(arguments: &[&str]) -> Program {
    let program = Program::new().args(["import", "--from", "rudderstack"]).args(arguments);
    program.file("export.json", export().as_bytes())
}

fn stdout(ran: &FinishedRun) -> String {
    String::from_utf8(ran.stdout.clone()).unwrap()
}

#[test]
fn a_run_takes_the_written_files() {
    let ran = import(&["--output", "imported/new", "export.json"]).run().expect_exit(0);
    let ran = ran.expect_stderr(&["\"../../other\" is not used", "\"other.js\""]);
    let files = [
        "imported/new/settings.toml",
        "imported/new/add.js",
        "imported/new/other.js",
        "imported/new/libraries/userRules.js",
    ];
    assert_eq!(stdout(&ran), format!("Created 4 files:\n{}\n", files.join("\n")));
    assert_eq!(fs::read_to_string(ran.path(files[1])).unwrap(), CODE);
    for file in files {
        let mode = fs::metadata(ran.path(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let settings = ran.path(files[0]);
    let run = Program::host_run_locally().args(["--config".as_ref(), settings.as_os_str()]);
    let events = "{\"event\":\"a\",\"userId\":\"test\"}\n{\"event\":\"b\", \"n\":1.50}\n";
    let delivered = run.stdin(events).run().expect_exit(0);
    let record = String::from_utf8(delivered.streams()["events"].clone()).unwrap();
    assert_eq!(record, "{\"event\":\"b\",\"n\":1.50,\"é\":1}\n");
}

#[test]
fn existing_files_stay_as_they_are() {
    for existing in ["settings.toml", "libraries/userRules.js"] {
        let program = import(&["--output", "out", "export.json"]);
        fs::create_dir_all(program.path("out/libraries")).unwrap();
        fs::write(program.path("out").join(existing), "mine").unwrap();
        let ran = program.run().expect_exit(2);
        let ran = ran.expect_stderr(&[existing, "exists: remove it, or choose another directory"]);
        assert_eq!(fs::read_to_string(ran.path("out").join(existing)).unwrap(), "mine");
        assert!(!ran.path("out/add.js").exists());
    }
}

#[test]
fn without_a_directory_only_settings_are_printed() {
    let ran = import(&["export.json"]).run().expect_exit(0);
    let ran =
        ran.expect_stderr(&["the code (3 files) is not written: run again with --output DIR"]);
    assert!(stdout(&ran).contains("script = \"add.js\""), "{}", stdout(&ran));
    assert!(!ran.path("add.js").exists());
}

#[test]
fn a_directory_that_cannot_be_written_is_a_fault() {
    let ran = import(&["--output", "/proc/version", "export.json"]).run();
    let _ = ran.expect_exit(2).expect_stderr(&["/proc/version"]);
    let ran = import(&["--output", "/proc/none", "export.json"]).run();
    let _ = ran.expect_exit(1).expect_stderr(&["failed to write /proc/none/settings.toml"]);
}

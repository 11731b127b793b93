//! Tests the projects that `host plugin new --dialect` creates for scripts: their cases pass, the
//! compiler of TypeScript accepts them, and their types declare what scripts really have.

use std::path::{Path, PathBuf};
use std::process::Command;

use standpipe_tests::tools;

use super::*;

/// The dialects with their vendor and the name of the script.
const DIALECTS: [(&str, &str, &str); 3] = [
    ("rudderstack", "rudderstack", "transform.js"),
    ("segment-insert", "segment", "function.js"),
    ("segment-destination", "segment", "function.js"),
];

/// A new project. The directory lives as long as the run.
struct Project {
    run: standpipe_tests::FinishedRun,
}

impl Project {
    fn create(dialect: &str) -> Self {
        let program = Program::new().args(["plugin", "new", "--dialect", dialect, "project"]);
        Project { run: program.run().expect_exit(0) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.run.path("project").join(name)
    }

    /// What the compiler prints about this code in place of the project's.
    fn check(&self, script: &str, code: &str) -> String {
        fs::write(self.path(script), code).unwrap();
        let mut tsc = Command::new(tools::find_typescript_compiler());
        let output = tsc.args(["--project", "jsconfig.json"]).current_dir(self.path("")).output();
        String::from_utf8(output.expect("tsc starts").stdout).unwrap()
    }
}

#[test]
fn new_projects_pass_their_cases_and_the_compiler() {
    for (dialect, _, script) in DIALECTS {
        let project = Project::create(dialect);
        let program = Program::new().args(["plugin", "test"]).args([
            project.path(script),
            project.path("cases.json"),
            "--config".into(),
            project.path("settings.toml"),
        ]);
        let printed = program.run().expect_exit(0).stdout;
        let printed = String::from_utf8_lossy(&printed);
        assert!(printed.ends_with(" cases, 0 failed\n"), "{dialect}: {printed}");
        let code = fs::read_to_string(project.path(script)).unwrap();
        assert_eq!(project.check(script, &code), "", "{dialect}");
    }
}

#[test]
fn the_compiler_finds_mistakes() {
    let rudderstack = [
        ("setTimeout(() => {}, 1);", "Cannot find name 'setTimeout'"),
        ("getCredential(1);", "'number' is not assignable"),
        (
            "/** @type {TransformEvent} */ export function transformEvent(e) { return e.context.ip; }",
            "'e.context' is possibly 'undefined'",
        ),
        (
            "/** @type {TransformEvent} */ export function transformEvent(event) { return 1; }",
            "not assignable",
        ),
        ("import { sha1 } from '@rs/hash/v1'; sha1('');", "no exported member 'sha1'"),
        ("import { x } from 'nothing'; x();", "Cannot find module 'nothing'"),
    ];
    let segment = [
        ("window.alert(1);", "Cannot find name 'window'"),
        ("crypto.createCipheriv('aes');", "'createCipheriv' does not exist"),
        (
            "/** @type {SegmentInsertHandler} */ async function onTrack(event) {}",
            "must return a value",
        ),
        ("throw new DropEvents('x');", "Cannot find name 'DropEvents'"),
    ];
    for (dialect, mistakes) in [("rudderstack", &rudderstack[..]), ("segment-insert", &segment)] {
        let project = Project::create(dialect);
        let (_, _, script) = DIALECTS.into_iter().find(|known| known.0 == dialect).unwrap();
        for (code, expected) in mistakes {
            let printed = project.check(script, code);
            assert!(printed.contains(expected), "{code}: {printed}");
        }
    }
}

/// The names that a declaration file declares as values.
fn declared_names(types: &Path) -> Vec<String> {
    let text = fs::read_to_string(types).unwrap();
    let names = text.lines().filter_map(|line| {
        let declared = line.strip_prefix("declare ")?;
        let (kind, rest) = declared.split_once(' ')?;
        let is_value = ["function", "const", "class"].contains(&kind);
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        is_value.then(|| rest[..end].to_owned())
    });
    names.collect()
}

#[test]
fn declared_names_exist_in_scripts() {
    for (dialect, vendor, _) in DIALECTS {
        let project = Project::create(dialect);
        let names = declared_names(&project.path(&format!("types/{vendor}.d.ts")));
        assert!(names.len() >= 6, "{names:?}");
        let missing = format!("{names:?}.filter(name => globalThis[name] === undefined)");
        let code = match vendor {
            "rudderstack" => format!(
                "export function transformEvent(event) {{ return {{ missing: {missing} }}; }}"
            ),
            _ => format!(
                "async function onTrack(event) {{ event.missing = {missing}; return event; }}"
            ),
        };
        let program = Program::host_run_locally().file("script.js", code.as_bytes());
        let program = program.args(["--plugin", "script.js", "--map", "*=events"]);
        let ran = program.stdin("{\"type\":\"track\"}\n").run().expect_exit(0);
        let records = lines_of(&ran.streams());
        let record: Value = serde_json::from_str(&records[0]).unwrap();
        assert_eq!(record["missing"], serde_json::json!([]), "{dialect}");
    }
}

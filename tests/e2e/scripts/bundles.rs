//! Tests several scripts and libraries as one plugin, and their signature.

use std::fs;

use standpipe_tests::minisign::KeyPair;

use super::*;

const FIRST: &[u8] =
    b"export function transformEvent(event) { event.steps = ['first']; return event; }";
const SECOND: &[u8] = b"import { mark } from 'myLib';\nexport function transformEvent(event) { event.steps.push(mark); return event; }";
const LIBRARY: &[u8] = b"export const mark = 'second';";

/// A program with two scripts in a directory, and a library.
fn program() -> Program {
    let program = Program::host_run_locally();
    for directory in ["steps", "libs"] {
        fs::create_dir(program.path(directory)).unwrap();
    }
    let program = program.file("steps/1-first.js", FIRST).file("steps/2-second.js", SECOND);
    program.file("libs/my-lib.js", LIBRARY).stdin("{\"event\":\"x\"}\n")
}

#[test]
fn events_pass_all_scripts_in_order() {
    for script in ["'steps'", "['steps/1-first.js', 'steps/2-second.js']"] {
        let settings =
            format!("[plugin]\nscript = {script}\nlibraries = ['libs/*.js']\n{ALL_EVENTS}");
        let ran = program().settings(&settings).run().expect_exit(0);
        let expected = r#"{"event":"x","steps":["first","second"]}"#;
        assert_eq!(lines_of(&ran.streams()), [expected], "{script}");
    }
}

#[test]
fn a_signed_bundle_is_accepted_and_unsigned_files_are_not() {
    let signer = KeyPair::generate();
    let key = format!("public_key = '{}'", signer.public_key());
    let settings =
        format!("[plugin]\nscript = 'steps'\nlibraries = ['libs/*.js']\n{key}\n{ALL_EVENTS}");
    let ran = program().settings(&settings).run();
    let _ = ran.expect_exit(2).expect_stderr(&["has no signature", "`host plugin bundle`"]);

    let bundling = Program::new().args(["plugin", "bundle", "1-first.js", "2-second.js"]);
    let bundling = bundling.args(["--libraries", "my-lib.js", "--output", "-"]);
    let bundling = bundling.file("1-first.js", FIRST).file("2-second.js", SECOND);
    let bundle = bundling.file("my-lib.js", LIBRARY).run().expect_exit(0).stdout;
    let pin = format!("sha256 = '{}'", sha256_of(&bundle));
    let settings = format!("[plugin]\nscript = 'bundle.json'\n{key}\n{pin}\n{ALL_EVENTS}");
    let signed = || program().file("bundle.json", &bundle).settings(&settings);
    let signature = signer.sign(&bundle);
    let ran = signed().file("bundle.json.minisig", signature.as_bytes()).run().expect_exit(0);
    let expected = r#"{"event":"x","steps":["first","second"]}"#;
    assert_eq!(lines_of(&ran.streams()), [expected]);
    let _ = signed().run().expect_exit(2).expect_stderr(&["has no signature"]);
    let other = signer.sign(b"another file");
    let ran = signed().file("bundle.json.minisig", other.as_bytes()).run();
    let _ = ran.expect_exit(2).expect_stderr(&["does not match"]);
    let changed = [&bundle[..], b" "].concat();
    let resigned = signer.sign(&changed);
    let program = signed().file("bundle.json", &changed);
    let ran = program.file("bundle.json.minisig", resigned.as_bytes()).run();
    let _ = ran.expect_exit(2).expect_stderr(&["its SHA-256 is"]);
}

#[test]
fn the_pin_of_several_files_is_that_of_their_bundle() {
    let with_pin = |pin: &str| {
        let settings = format!(
            "[plugin]\nscript = 'steps'\nlibraries = ['libs/*.js']\nsha256 = '{pin}'\n{ALL_EVENTS}"
        );
        program().settings(&settings).run()
    };
    let refused = with_pin(&"0".repeat(64)).expect_exit(2);
    let (_, found) = refused.stderr.split_once("its SHA-256 is ").expect("the hash");
    let _ = with_pin(&found[..64]).expect_exit(0);
}

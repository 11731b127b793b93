//! Tests settings and scripts with which nothing starts.

use super::*;

#[test]
fn wrong_settings_say_what_to_write() {
    for (settings, words) in [
        ("script = 't.js'\npath = 'p.wasm'", &["script and path name two plugins"][..]),
        ("dialect = 'rudderstack'", &["dialect is for scripts", "script = \"FILE.js\""]),
        ("path = 'p.wasm'\nlibraries = ['l.js']", &["libraries is for scripts"]),
        ("[plugin.credentials]\na = 'b'", &["credentials is for scripts"]),
        ("script = 't.js'\ndialect = 'rudder'", &["dialect is \"rudder\"", "\"rudderstack\""]),
        ("script = 't.js'\nglobals = 'kept'", &["globals is \"kept\"", "\"keep\""]),
        ("script = []", &["script is an empty list"]),
        ("script = 1", &["script", "a path, or a list of paths"]),
        ("script = 't.js'\n[plugin.settings]\nscript = 1", &["script is reserved"]),
        (
            "script = 't.js'\n[plugin.credentials]\na = 'secret:b'",
            &["[plugin.credentials] a", "`manager`"],
        ),
        ("script = 'nowhere.js'", &["nowhere.js", "`script` or `path` under [plugin]"]),
        ("script = 't.js'\nlibraries = ['libs/*.js']", &["libs"]),
        ("script = 't.js'\n[plugin.canary]\npercent = 5", &["script = \"FILE.js\""]),
    ] {
        let program = Program::host_run_locally().file("t.js", TRANSFORM.as_bytes());
        let _ = program
            .settings(&format!("[plugin]\n{settings}\n"))
            .run()
            .expect_exit(2)
            .expect_stderr(words);
    }
}

#[test]
fn errors_of_a_script_name_its_place() {
    let settings = format!("[plugin]\nscript = 'broken.js'\n{ALL_EVENTS}");
    let code = "export function transformEvent(event) {\n  return event.;\n}\n";
    for command in ["run", "check"] {
        let program = match command {
            "run" => Program::host_run_locally(),
            _ => Program::new().args(["config", "check"]),
        };
        let program = program.file("broken.js", code.as_bytes());
        let program = match command {
            "run" => program.settings(&settings),
            _ => program.file("settings.toml", settings.as_bytes()).args(["settings.toml"]),
        };
        let ran = program.run();
        assert_ne!(ran.exit, 0, "{command}");
        let output = format!("{}{}", String::from_utf8_lossy(&ran.stdout), ran.stderr);
        assert!(output.contains("broken.js:2:"), "{command}: {output}");
        assert!(output.contains("SyntaxError"), "{command}: {output}");
    }
}

#[test]
fn mistakes_in_the_mappings_of_a_script_are_those_of_the_settings() {
    let settings =
        "[plugin]\nscript = 't.js'\n[[plugin.settings.mappings]]\nevnt = '*'\nstream = 's'\n";
    let program = Program::host_run_locally().file("t.js", TRANSFORM.as_bytes());
    let _ = program.settings(settings).run().expect_exit(2).expect_stderr(&["evnt"]);
}

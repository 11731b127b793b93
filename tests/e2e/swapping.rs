//! A plugin that changes is taken while events flow, and one that is no good changes
//! nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use sha2::{Digest, Sha256};
use standpipe_tests::minisign::KeyPair;
use standpipe_tests::{Program, Ran, Running, misbehaving_plugin, stamped, wait_until};

/// Longer than files must stay as they are before they are read.
const SETTLED: Duration = Duration::from_millis(300);

#[test]
fn a_renamed_file_takes_over_and_letters_tell_who_decided() {
    let mut run = Swapping::start("");
    run.sends("reject", "s1");
    run.place("plugin.wasm", &version(2));
    run.turns_to(2, &version(2));
    run.sends("reject", "s1");
    // Without the file, the plugin goes on.
    fs::remove_file(run.path("plugin.wasm")).unwrap();
    run.is_refused("read", "plugin.wasm");
    run.sends("x", "s1");
    // The same file again is no other plugin.
    run.place("plugin.wasm", &version(2));
    run.place("plugin.wasm", &version(3));
    run.turns_to(3, &version(3));
    let letters = run.end().exits(3).letters();
    let told = letters.iter().map(|letter| (letter.plugin.clone().unwrap(), letter.generation));
    assert!(told.eq([(digest(&version(1)), Some(1)), (digest(&version(2)), Some(2))]));
}

/// As `cp -p` and `tar` do: the same file, its size, and the time that it had before.
#[test]
fn a_file_that_is_written_over_with_its_old_time_takes_over() {
    let mut run = Swapping::start("");
    let path = run.path("plugin.wasm");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, version(2)).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    run.turns_to(2, &version(2));
    run.sends("x", "s1");
    let _ = run.end().exits(0);
}

#[test]
fn a_config_map_takes_over() {
    let program = Program::running_locally();
    let mount = program.path("mount");
    let place = |name: &str, bytes: &[u8]| {
        fs::create_dir_all(mount.join(name)).unwrap();
        fs::write(mount.join(name).join("plugin.wasm"), bytes).unwrap();
        symlink(name, mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    };
    place("..2026_01", &version(1));
    symlink("..data/plugin.wasm", mount.join("plugin.wasm")).unwrap();
    let mut run = Swapping::start_with(program, "path = 'mount/plugin.wasm'", "");
    for (generation, name) in [(2, "..2026_02"), (3, "..2026_03")] {
        place(name, &version(generation));
        run.turns_to(generation, &version(generation));
        run.sends("x", "s1");
    }
    fs::remove_dir_all(mount.join("..2026_01")).unwrap();
    run.sends("x", "s1");
    let _ = run.end().exits(0);
}

#[test]
fn half_a_file_is_never_taken() {
    let mut run = Swapping::start("");
    let whole = version(2);
    let _ = fs::remove_file(run.path("plugin.wasm"));
    for piece in whole.chunks(whole.len() / 4 + 1) {
        let file = fs::File::options().append(true).create(true).open(run.path("plugin.wasm"));
        std::io::Write::write_all(&mut file.unwrap(), piece).unwrap();
        run.sends("x", "s1");
        // Whoever writes is slow.
        std::thread::sleep(SETTLED);
    }
    run.turns_to(2, &whole);
    run.sends("x", "s1");
    let ran = run.end().exits(0);
    assert_eq!(ran.stderr.matches("plugin swapped").count(), 1, "{}", ran.stderr);
}

#[test]
fn other_settings_are_another_generation() {
    let mut run = Swapping::start("");
    run.sends("x", "s1");
    run.place("settings.toml", settings("", "stream = 's2'").as_bytes());
    run.turns_to(2, &version(1));
    run.sends("x", "s2");
    // What is not the plugin's does not concern it.
    run.place("settings.toml", settings("", "stream = 's2'\n[dead_letters]").as_bytes());
    run.place("settings.toml", settings("", "stream = 's3'").as_bytes());
    run.turns_to(3, &version(1));
    run.sends("x", "s3");
    let _ = run.end().exits(0);
}

#[test]
fn a_signal_does_what_is_not_watched_for() {
    let mut run = Swapping::start("watch = false");
    run.running.signal(Signal::HUP);
    run.running.wait_for("plugin and its settings are unchanged");
    run.place("plugin.wasm", &version(2));
    std::thread::sleep(SETTLED * 2);
    assert!(!run.running.stderr().contains("plugin swapped"));
    run.running.signal(Signal::HUP);
    run.turns_to(2, &version(2));
    run.place("plugin.wasm", b"no plugin");
    run.running.signal(Signal::HUP);
    run.is_refused("compile", "a text file");
    run.sends("x", "s1");
    let _ = run.end().exits(0);
}

#[test]
fn what_changes_while_another_is_tried_is_noticed() {
    let run = Swapping::start("");
    // Whichever of them are tried, the last one decides in the end.
    for number in 2..7 {
        run.place("plugin.wasm", &version(number));
        std::thread::sleep(SETTLED / 2);
    }
    run.running.wait_for(&format!("digest={}", digest(&version(6))));
    let _ = run.end().exits(0);
}

#[test]
fn broken_files_change_nothing() {
    let mut run = Swapping::start("");
    let plugin = version(1);
    let middle = plugin.len() / 2;
    let mut changed = plugin.clone();
    changed[middle..middle + 64].fill(0xff);
    let precompiled = wasmtime::Engine::default().precompile_component(&plugin).unwrap();
    let other_world = wat::parse_str("(component)").unwrap();
    let other_import = wat::parse_str(
        r#"(component (import "a:b/c" (instance (export "f" (func)))) (instance $m) (export "standpipe:mapping/mapper@0.1.0" (instance $m)))"#,
    );
    let other_type = wat::parse_str(
        r#"(component
            (core module $m (memory (export "memory") 1) (func (export "f") (result i32) unreachable))
            (core instance $i (instantiate $m))
            (func $f (result string) (canon lift (core func $i "f") (memory $i "memory")))
            (instance $mapper (export "configure" (func $f)) (export "map-events" (func $f)))
            (export "standpipe:mapping/mapper@0.1.0" (instance $mapper)))"#,
    );
    let broken: &[(&[u8], &str, &str)] = &[
        (b"", "compile", "the file is empty"),
        (b"no plugin", "compile", "a text file"),
        (b"(component)", "compile", "the WebAssembly text format"),
        (&plugin[..middle], "compile", "cannot be compiled"),
        (&changed, "compile", "cannot be compiled"),
        (b"\0asm\x01\0\0\0", "compile", "core WebAssembly module"),
        (&precompiled, "compile", "perhaps precompiled"),
        (&other_world, "fit", "another world"),
        (&other_import.unwrap(), "fit", "a:b/c"),
        (&other_type.unwrap(), "fit", "invalid function configure: "),
    ];
    for (bytes, step, reason) in broken {
        run.place("plugin.wasm", bytes);
        run.is_refused(step, reason);
        run.sends("x", "s1");
    }
    let ran = run.end().exits(0);
    assert_eq!(ran.stderr.matches("plugin swapped").count(), 0, "{}", ran.stderr);
}

#[test]
fn settings_that_a_plugin_does_not_take_change_nothing() {
    let mut run = Swapping::start("");
    let cases = r#"{"cases": [{"name": "x", "event": {"event": "x"}, "expect": [{"stream": "elsewhere"}]}]}"#;
    fs::write(run.path("cases.json"), cases).unwrap();
    let other_key = format!("public_key = '{}'", KeyPair::generate().public_key());
    let other_digest = format!("sha256 = '{}'", "0".repeat(64));
    for (plugin, plugin_settings, step, reason) in [
        ("", "configure = 'trap'", "configure", "told to trap in configure"),
        ("", "configure = 'loop'", "configure", "did not answer within 300 ms"),
        ("", "configure = 'refuse'", "configure", "asks for a refusal"),
        ("", "no_such_key = 1", "configure", "no_such_key"),
        ("", "samples = 'trap'", "samples", "fails on a sample event"),
        ("", "samples = 'loop'", "samples", "fails on a sample event"),
        ("cases = 'cases.json'", "", "cases", "1 cases failed"),
        ("cases = 'nowhere.json'", "", "read", "nowhere.json"),
        (&*other_digest, "", "trust", "its SHA-256 is"),
        (&*other_key, "", "trust", "it has no signature"),
        ("on_failure = 'pass_through'", "", "read", "pass_through"),
    ] {
        run.place("settings.toml", settings(plugin, plugin_settings).as_bytes());
        run.is_refused(step, reason);
        run.sends("x", "s1");
    }
    run.place("settings.toml", settings("", "stream = 's2'").as_bytes());
    run.turns_to(2, &version(1));
    let _ = run.end().exits(0);
}

#[test]
fn only_what_is_signed_is_taken() {
    let (signer, other) = (KeyPair::generate(), KeyPair::generate());
    let key = format!("path = 'plugin.wasm'\npublic_key = '{}'", signer.public_key());
    let program = |signature: Option<String>| {
        let program = Program::running_locally().file("plugin.wasm", &version(1));
        match signature {
            None => program,
            Some(text) => program.file("plugin.wasm.minisig", text.as_bytes()),
        }
    };
    for (signature, reason) in [
        (None, "it has no signature"),
        (Some(other.sign(&version(1))), "its signature does not match"),
        (Some(signer.sign(&version(2))), "its signature does not match"),
        (Some("no signature".to_owned()), "not a minisign signature"),
    ] {
        let text = format!("[plugin]\n{key}\n");
        let _ = program(signature).settings(&text).run().exits(2).says(&[reason]);
    }
    let mut run = Swapping::start_with(program(Some(signer.sign(&version(1)))), &key, "");
    run.sends("x", "s1");
    run.place("plugin.wasm", &version(2));
    run.is_refused("trust", "its signature does not match");
    run.place("plugin.wasm.minisig", signer.sign(&version(2)).as_bytes());
    run.turns_to(2, &version(2));
    run.place("plugin.wasm.minisig", other.sign(&version(2)).as_bytes());
    run.is_refused("trust", "its signature does not match");
    run.sends("x", "s1");
    let _ = run.end().exits(0);
}

#[test]
fn precompiled_code_is_refused_at_the_start_too() {
    let precompiled = wasmtime::Engine::default().precompile_component(&version(1)).unwrap();
    for bytes in [&precompiled[..], b"\x7fELF\x02\x01\x01\0and so on"] {
        let program = Program::running_locally().file("plugin.cwasm", bytes);
        let ran = program.args(["--plugin", "plugin.cwasm"]).run();
        let _ = ran.exits(2).says(&["perhaps precompiled", "plugin.cwasm"]);
    }
}

/// A run whose plugin changes, with one worker.
struct Swapping {
    running: Running,
    /// What of standard error has been looked at.
    looked_at: usize,
}

impl Swapping {
    fn start(plugin: &str) -> Self {
        let program = Program::running_locally().file("plugin.wasm", &version(1));
        Self::start_with(program, &format!("path = 'plugin.wasm'\n{plugin}"), "")
    }

    fn start_with(program: Program, plugin: &str, plugin_settings: &str) -> Self {
        let program = program.settings(&settings(plugin, plugin_settings));
        let running = program.start();
        let mut run = Swapping { running, looked_at: 0 };
        run.sends("x", "s1");
        run
    }

    fn path(&self, name: &str) -> PathBuf {
        self.running.path(name)
    }

    /// Have a file take the place of another, as careful writers do.
    fn place(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        let new = path.with_extension("new");
        fs::write(&new, bytes).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Wait until this plugin has taken over as this generation.
    fn turns_to(&mut self, generation: u32, plugin: &[u8]) {
        let digest = digest(plugin);
        self.waits_for(&format!("plugin swapped generation={generation} digest={digest}"));
    }

    /// Wait until a plugin has been refused at this step, which says why.
    fn is_refused(&mut self, step: &str, reason: &str) {
        let step = format!("the active plugin stays in use: it failed the step {step}: ");
        wait_until(&format!("{step}{reason}"), || {
            let said = self.running.stderr();
            let new = &said[self.looked_at..];
            let line = new.lines().find(|line| line.contains(&step) && line.contains(reason));
            line.is_some_and(|_| new.ends_with('\n'))
        });
        self.looked_at = self.running.stderr().len();
    }

    fn waits_for(&mut self, words: &str) {
        wait_until(words, || self.running.stderr()[self.looked_at..].contains(words));
        self.looked_at = self.running.stderr().len();
    }

    /// Send an event, and wait until it has been delivered to this stream, or is in
    /// the dead letters.
    fn sends(&mut self, name: &str, stream: &str) {
        let place = match name {
            "reject" => PathBuf::from("standpipe-data/dead"),
            _ => Path::new("out").join(format!("{stream}.ndjson")),
        };
        let bytes = || size(&self.running.path(place.to_str().unwrap()));
        let before = bytes();
        self.running.write(format!("{{\"event\":\"{name}\"}}\n").as_bytes());
        wait_until("the event has got where it should", || {
            size(&self.running.path(place.to_str().unwrap())) > before
        });
    }

    fn end(self) -> Ran {
        let ran = self.running.finish(standpipe_tests::DEADLINE);
        assert_eq!(ran.count("read"), ran.count("delivered") + ran.count("dead"));
        ran
    }
}

/// The bytes of a file, or of a directory's files.
fn size(path: &Path) -> u64 {
    match fs::read_dir(path) {
        Ok(files) => files.flatten().map(|file| file.metadata().map_or(0, |file| file.len())).sum(),
        Err(_) => fs::metadata(path).map_or(0, |file| file.len()),
    }
}

fn settings(plugin: &str, plugin_settings: &str) -> String {
    let path = if plugin.contains("path =") { "" } else { "path = 'plugin.wasm'" };
    let stream = if plugin_settings.contains("stream") { "" } else { "stream = 's1'" };
    format!(
        "workers = 1\n[delivery]\nmax_delay = '10ms'\n[plugin]\n{path}\n{plugin}\n[plugin.limits]\n\
         configure_cpu = '300ms'\n[plugin.settings]\n{stream}\n{plugin_settings}\n"
    )
}

/// The plugin, in versions that differ in nothing but their digest.
fn version(number: u32) -> Vec<u8> {
    stamped(&fs::read(misbehaving_plugin()).unwrap(), &number.to_le_bytes())
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

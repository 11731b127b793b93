//! Tests that a changed plugin is swapped in while events flow, and that a broken one changes
//! nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use sha2::{Digest, Sha256};
use standpipe_tests::minisign::KeyPair;
use standpipe_tests::{
    FinishedRun, Program, Running, misbehaving_plugin, stamp_component, wait_until,
};

/// Longer than the time that a file must stay unchanged before it is read.
const SETTLED: Duration = Duration::from_millis(300);

#[test]
fn a_renamed_file_is_swapped_in_and_dead_letters_name_the_plugin() {
    let mut run = SwapRun::start("");
    run.send_and_wait("reject", "s1");
    run.replace_file("plugin.wasm", &plugin_version(2));
    run.wait_for_swap(2, &plugin_version(2));
    run.send_and_wait("reject", "s1");
    // Without the file, the plugin stays in use.
    fs::remove_file(run.path("plugin.wasm")).unwrap();
    run.wait_for_refusal("read", "plugin.wasm");
    run.send_and_wait("x", "s1");
    // The same file is not a new plugin.
    run.replace_file("plugin.wasm", &plugin_version(2));
    run.replace_file("plugin.wasm", &plugin_version(3));
    run.wait_for_swap(3, &plugin_version(3));
    let dead_letters = run.finish_run().expect_exit(3).dead_letters();
    let deciders = dead_letters
        .iter()
        .map(|dead_letter| (dead_letter.plugin.clone().unwrap(), dead_letter.generation));
    assert!(
        deciders.eq([
            (sha256_of(&plugin_version(1)), Some(1)),
            (sha256_of(&plugin_version(2)), Some(2))
        ])
    );
}

/// `cp -p` and `tar` overwrite a file in this way: same name, same size, and the old modification
/// time.
#[test]
fn a_file_overwritten_with_its_old_time_is_swapped_in() {
    let mut run = SwapRun::start("");
    let path = run.path("plugin.wasm");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, plugin_version(2)).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    run.wait_for_swap(2, &plugin_version(2));
    run.send_and_wait("x", "s1");
    let _ = run.finish_run().expect_exit(0);
}

#[test]
fn a_config_map_takes_over() {
    let program = Program::host_run_locally();
    let mount = program.path("mount");
    let place = |name: &str, bytes: &[u8]| {
        fs::create_dir_all(mount.join(name)).unwrap();
        fs::write(mount.join(name).join("plugin.wasm"), bytes).unwrap();
        symlink(name, mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    };
    place("..2026_01", &plugin_version(1));
    symlink("..data/plugin.wasm", mount.join("plugin.wasm")).unwrap();
    let mut run = SwapRun::start_with(program, "path = 'mount/plugin.wasm'", "");
    for (generation, name) in [(2, "..2026_02"), (3, "..2026_03")] {
        place(name, &plugin_version(generation));
        run.wait_for_swap(generation, &plugin_version(generation));
        run.send_and_wait("x", "s1");
    }
    fs::remove_dir_all(mount.join("..2026_01")).unwrap();
    run.send_and_wait("x", "s1");
    let _ = run.finish_run().expect_exit(0);
}

#[test]
fn an_incomplete_plugin_file_is_never_loaded() {
    let mut run = SwapRun::start("");
    let whole = plugin_version(2);
    let _ = fs::remove_file(run.path("plugin.wasm"));
    for piece in whole.chunks(whole.len() / 4 + 1) {
        let file = fs::File::options().append(true).create(true).open(run.path("plugin.wasm"));
        std::io::Write::write_all(&mut file.unwrap(), piece).unwrap();
        run.send_and_wait("x", "s1");
        // The writer is slow.
        std::thread::sleep(SETTLED);
    }
    run.wait_for_swap(2, &whole);
    run.send_and_wait("x", "s1");
    let ran = run.finish_run().expect_exit(0);
    assert_eq!(ran.stderr.matches("plugin swapped").count(), 1, "{}", ran.stderr);
}

#[test]
fn changed_settings_make_a_new_generation() {
    let mut run = SwapRun::start("");
    run.send_and_wait("x", "s1");
    run.replace_file("settings.toml", plugin_settings_file("", "stream = 's2'").as_bytes());
    run.wait_for_swap(2, &plugin_version(1));
    run.send_and_wait("x", "s2");
    // Settings outside of the plugin do not affect it.
    run.replace_file(
        "settings.toml",
        plugin_settings_file("", "stream = 's2'\n[dead_letters]").as_bytes(),
    );
    run.replace_file("settings.toml", plugin_settings_file("", "stream = 's3'").as_bytes());
    run.wait_for_swap(3, &plugin_version(1));
    run.send_and_wait("x", "s3");
    let _ = run.finish_run().expect_exit(0);
}

#[test]
fn a_signal_reloads_files_that_are_not_watched() {
    let mut run = SwapRun::start("watch = false");
    run.running.send_signal(Signal::HUP);
    run.running.wait_for("plugin and its settings are unchanged");
    run.replace_file("plugin.wasm", &plugin_version(2));
    std::thread::sleep(SETTLED * 2);
    assert!(!run.running.stderr().contains("plugin swapped"));
    run.running.send_signal(Signal::HUP);
    run.wait_for_swap(2, &plugin_version(2));
    run.replace_file("plugin.wasm", b"no plugin");
    run.running.send_signal(Signal::HUP);
    run.wait_for_refusal("configure", "it refuses its settings: ");
    run.send_and_wait("x", "s1");
    let _ = run.finish_run().expect_exit(0);
}

#[test]
fn changes_during_validation_are_noticed() {
    let run = SwapRun::start("");
    // Some versions may be skipped, but the last one becomes active.
    for number in 2..7 {
        run.replace_file("plugin.wasm", &plugin_version(number));
        std::thread::sleep(SETTLED / 2);
    }
    run.running.wait_for(&format!("digest={}", sha256_of(&plugin_version(6))));
    let _ = run.finish_run().expect_exit(0);
}

#[test]
fn broken_files_do_not_change_the_active_plugin() {
    let mut run = SwapRun::start("");
    let plugin = plugin_version(1);
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
        (b"no plugin", "configure", "it refuses its settings: "),
        (b"<no plugin>", "compile", "a page of HTML or XML"),
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
        run.replace_file("plugin.wasm", bytes);
        run.wait_for_refusal(step, reason);
        run.send_and_wait("x", "s1");
    }
    let ran = run.finish_run().expect_exit(0);
    assert_eq!(ran.stderr.matches("plugin swapped").count(), 0, "{}", ran.stderr);
}

#[test]
fn settings_that_a_plugin_rejects_change_nothing() {
    let mut run = SwapRun::start("");
    let cases = r#"{"cases": [{"name": "x", "event": {"event": "x"}, "expect": [{"stream": "elsewhere"}]}]}"#;
    fs::write(run.path("cases.json"), cases).unwrap();
    let other_key = format!("public_key = '{}'", KeyPair::generate().public_key());
    let other_digest = format!("sha256 = '{}'", "0".repeat(64));
    for (plugin, plugin_settings, step, reason) in [
        ("", "configure = 'trap'", "configure", "trap requested in configure"),
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
        run.replace_file("settings.toml", plugin_settings_file(plugin, plugin_settings).as_bytes());
        run.wait_for_refusal(step, reason);
        run.send_and_wait("x", "s1");
    }
    run.replace_file("settings.toml", plugin_settings_file("", "stream = 's2'").as_bytes());
    run.wait_for_swap(2, &plugin_version(1));
    let _ = run.finish_run().expect_exit(0);
}

#[test]
fn only_signed_files_are_swapped_in() {
    let (signer, other) = (KeyPair::generate(), KeyPair::generate());
    let key = format!("path = 'plugin.wasm'\npublic_key = '{}'", signer.public_key());
    let program = |signature: Option<String>| {
        let program = Program::host_run_locally().file("plugin.wasm", &plugin_version(1));
        match signature {
            None => program,
            Some(text) => program.file("plugin.wasm.minisig", text.as_bytes()),
        }
    };
    for (signature, reason) in [
        (None, "it has no signature"),
        (Some(other.sign(&plugin_version(1))), "its signature does not match"),
        (Some(signer.sign(&plugin_version(2))), "its signature does not match"),
        (Some("no signature".to_owned()), "not a minisign signature"),
    ] {
        let text = format!("[plugin]\n{key}\n");
        let _ = program(signature).settings(&text).run().expect_exit(2).expect_stderr(&[reason]);
    }
    let mut run = SwapRun::start_with(program(Some(signer.sign(&plugin_version(1)))), &key, "");
    run.send_and_wait("x", "s1");
    run.replace_file("plugin.wasm", &plugin_version(2));
    run.wait_for_refusal("trust", "its signature does not match");
    run.replace_file("plugin.wasm.minisig", signer.sign(&plugin_version(2)).as_bytes());
    run.wait_for_swap(2, &plugin_version(2));
    run.replace_file("plugin.wasm.minisig", other.sign(&plugin_version(2)).as_bytes());
    run.wait_for_refusal("trust", "its signature does not match");
    run.send_and_wait("x", "s1");
    let _ = run.finish_run().expect_exit(0);
}

#[test]
fn precompiled_code_is_refused_at_the_start_too() {
    let precompiled = wasmtime::Engine::default().precompile_component(&plugin_version(1)).unwrap();
    for bytes in [&precompiled[..], b"\x7fELF\x02\x01\x01\0and so on"] {
        let program = Program::host_run_locally().file("plugin.cwasm", bytes);
        let ran = program.args(["--plugin", "plugin.cwasm"]).run();
        let _ = ran.expect_exit(2).expect_stderr(&["perhaps precompiled", "plugin.cwasm"]);
    }
}

/// A run whose plugin changes, with one worker.
struct SwapRun {
    running: Running,
    /// The length of the part of standard error that has been read.
    looked_at: usize,
}

impl SwapRun {
    fn start(plugin: &str) -> Self {
        let program = Program::host_run_locally().file("plugin.wasm", &plugin_version(1));
        Self::start_with(program, &format!("path = 'plugin.wasm'\n{plugin}"), "")
    }

    fn start_with(program: Program, plugin: &str, plugin_settings: &str) -> Self {
        let program = program.settings(&plugin_settings_file(plugin, plugin_settings));
        let running = program.start();
        let mut run = SwapRun { running, looked_at: 0 };
        run.send_and_wait("x", "s1");
        run
    }

    fn path(&self, name: &str) -> PathBuf {
        self.running.path(name)
    }

    /// Replaces a file by renaming another one.
    fn replace_file(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        let new = path.with_extension("new");
        fs::write(&new, bytes).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Waits until this plugin is active as this generation.
    fn wait_for_swap(&mut self, generation: u32, plugin: &[u8]) {
        let digest = sha256_of(plugin);
        self.wait_for_words(&format!("plugin swapped generation={generation} digest={digest}"));
    }

    /// Waits until a plugin is rejected at this step for this reason.
    fn wait_for_refusal(&mut self, step: &str, reason: &str) {
        let step = format!("the active plugin stays in use: it failed the step {step}: ");
        wait_until(&format!("{step}{reason}"), || {
            let said = self.running.stderr();
            let new = &said[self.looked_at..];
            let line = new.lines().find(|line| line.contains(&step) && line.contains(reason));
            line.is_some_and(|_| new.ends_with('\n'))
        });
        self.looked_at = self.running.stderr().len();
    }

    fn wait_for_words(&mut self, words: &str) {
        wait_until(words, || self.running.stderr()[self.looked_at..].contains(words));
        self.looked_at = self.running.stderr().len();
    }

    /// Sends an event, and waits until it is delivered to this stream or in the dead letters.
    fn send_and_wait(&mut self, name: &str, stream: &str) {
        let place = match name {
            "reject" => PathBuf::from("standpipe-data/dead"),
            _ => Path::new("out").join(format!("{stream}.ndjson")),
        };
        let bytes = || size_of_path(&self.running.path(place.to_str().unwrap()));
        let before = bytes();
        self.running.write_stdin(format!("{{\"event\":\"{name}\"}}\n").as_bytes());
        wait_until("the event has got where it should", || {
            size_of_path(&self.running.path(place.to_str().unwrap())) > before
        });
    }

    fn finish_run(self) -> FinishedRun {
        let ran = self.running.finish(standpipe_tests::DEADLINE);
        assert_eq!(ran.count("read"), ran.count("delivered") + ran.count("dead"));
        ran
    }
}

/// The size of a file, or of all files in a directory.
fn size_of_path(path: &Path) -> u64 {
    match fs::read_dir(path) {
        Ok(files) => files.flatten().map(|file| file.metadata().map_or(0, |file| file.len())).sum(),
        Err(_) => fs::metadata(path).map_or(0, |file| file.len()),
    }
}

fn plugin_settings_file(plugin: &str, plugin_settings: &str) -> String {
    let path = if plugin.contains("path =") { "" } else { "path = 'plugin.wasm'" };
    let stream = if plugin_settings.contains("stream") { "" } else { "stream = 's1'" };
    format!(
        "workers = 1\n[delivery]\nmax_delay = '10ms'\n[plugin]\n{path}\n{plugin}\n[plugin.limits]\n\
         configure_cpu = '300ms'\n[plugin.settings]\n{stream}\n{plugin_settings}\n"
    )
}

/// The plugin in versions that differ only in their digest.
fn plugin_version(number: u32) -> Vec<u8> {
    stamp_component(&fs::read(misbehaving_plugin()).unwrap(), &number.to_le_bytes())
}

fn sha256_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

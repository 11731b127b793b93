//! Where a key is set, a component needs a signature.

use standpipe_tests::minisign::KeyPair;
use standpipe_tests::wait_until;

use super::*;

#[test]
fn only_what_is_signed_by_the_key_is_taken() {
    let [ours, theirs] = [0; 2].map(|_| KeyPair::generate());
    let key = format!("public_key = \"{}\"", ours.public_key());
    // The plugin of the settings is part of the program, and needs none.
    let collector = start(&administered().with("plugin", &key));
    let component = of_default(1);
    let right = signature(&ours, &component);
    let status = |path: &str, method: &str, signature: Option<&str>| {
        let authorization = format!("Bearer {TOKEN}");
        let mut headers = vec![("Authorization", &*authorization)];
        headers.extend(signature.map(|signature| ("Plugin-Signature", signature)));
        let reply = ask_with(&collector, method, path, &headers, &component);
        let step = value(&reply)["step"].as_str().map(str::to_owned);
        (reply.status, step)
    };
    let untrusted = || (422, Some("trust".to_owned()));
    let cut = &right[..right.len() - 4];
    for (path, method) in [("/plugin", "PUT"), ("/plugin/check", "POST"), ("/plugin/canary", "PUT")]
    {
        assert_eq!(status(path, method, None), untrusted());
        assert_eq!(status(path, method, Some(&signature(&theirs, &component))), untrusted());
        assert_eq!(status(path, method, Some(&signature(&ours, b"another"))), untrusted());
        assert_eq!(status(path, method, Some("bm8gc2lnbmF0dXJl")), untrusted());
        assert!(matches!(status(path, method, Some(cut)), (400 | 422, _)));
        assert_eq!(status(path, method, Some("RWQ!")), (400, None));
        assert_eq!(status(path, method, Some("")), (400, None));
    }
    assert_eq!(status("/plugin/check", "POST", Some(&right)), (200, None));
    assert_eq!(status("/plugin/canary", "PUT", Some(&right)), (200, None));
    assert_eq!(status("/plugin", "PUT", Some(&right)), (200, None));
    let ran = collector.stop().exits(0);
    assert!(!ran.stderr.contains("PLANTED"), "{}", ran.stderr);
}

/// A plugin that was taken before there was a key, or a pin, is not gone back to.
#[test]
fn the_way_back_leads_to_no_plugin_that_is_not_trusted_now() {
    let key = format!("public_key = \"{}\"", KeyPair::generate().public_key());
    let pin = format!("sha256 = \"{}\"", standpipe_plugin_host::sha256_hex(DEFAULT_PLUGIN));
    for (trust, words) in [(key, "public_key under [plugin]"), (pin, "sha256 under [plugin]")] {
        let collector = start(&administered());
        assert_eq!(ask(&collector, "PUT", "/plugin", &of_default(1)).status, 200);
        // The settings bring the default plugin back, which needs no signature.
        let path = collector.running().path("settings.toml");
        std::fs::write(path, administered().with("plugin", &trust).to_string()).unwrap();
        let generation =
            || value(&ask(&collector, "GET", "/plugin", b""))["active"]["generation"].clone();
        collector.running().signal(rustix::process::Signal::HUP);
        wait_until("the settings hold", || generation() == json!(3));
        let reply = ask(&collector, "POST", "/plugin/rollback", b"");
        assert_eq!(reply.status, 409, "{}", reply.text());
        assert!(reply.text().contains(words), "{}", reply.text());
        assert_eq!(generation(), json!(3));
        collector.stop().exits(0);
    }
}

/// Over the API: whatever a component is to be, it is the pinned one.
#[test]
fn a_pin_holds_for_every_role() {
    let sha256 = |bytes: &[u8]| standpipe_plugin_host::sha256_hex(bytes);
    let (pinned, other) = (of_default(1), of_default(2));
    let pin = format!("sha256 = \"{}\"", sha256(DEFAULT_PLUGIN));
    let settings = administered().with("plugin", &pin);
    let collector = start(&settings);
    let roles =
        [("PUT", "/plugin"), ("POST", "/plugin/check"), ("PUT", "/plugin/canary?percent=100")];
    for (method, path) in roles {
        let reply = ask(&collector, method, path, &other);
        assert_eq!((reply.status, &value(&reply)["step"]), (422, &json!("trust")), "{path}");
        assert!(reply.text().contains("sha256 under [plugin]"), "{}", reply.text());
    }
    // The pinned one itself can be tried, with whatever settings.
    assert_eq!(ask(&collector, "PUT", "/plugin/canary", DEFAULT_PLUGIN).status, 200);
    let report = value(&ask(&collector, "GET", "/plugin", b""));
    // A check alone is not counted.
    assert_eq!(report["refused"]["trust"], 2);
    collector.stop().exits(0);

    // A pin of the canary's own allows that one and no other, and does not go for more.
    let settings = settings
        .with("plugin.canary", &format!("sha256 = \"{}\"", sha256(&pinned)))
        .with("plugin.canary", "path = 'canary.wasm'");
    let program = Program::running_locally().settings(&settings);
    let program = program.file("canary.wasm", &pinned).mapping(&[("*", "all")]);
    let collector = Collector::start(program);
    for (component, status) in [(&other[..], 422), (DEFAULT_PLUGIN, 422), (&pinned[..], 200)] {
        let reply = ask(&collector, "PUT", "/plugin/canary?percent=100", component);
        assert_eq!(reply.status, status, "{}", reply.text());
    }
    let reply = ask(&collector, "POST", "/plugin/canary/promote", b"");
    assert_eq!(reply.status, 409, "{}", reply.text());
    assert!(reply.text().contains("sha256 under [plugin]"), "{}", reply.text());
    assert_eq!(ask(&collector, "PUT", "/plugin", &pinned).status, 422);
    collector.stop().exits(0);
}

/// What is there already is held against a pin and a key that come later.
#[test]
fn a_canary_and_a_shadow_end_where_they_are_not_trusted_any_more() {
    let digest = standpipe_plugin_host::sha256_hex(DEFAULT_PLUGIN);
    let key = format!("public_key = \"{}\"", KeyPair::generate().public_key());
    for trust in [format!("sha256 = \"{digest}\""), key] {
        let collector = start(&administered());
        assert_eq!(
            ask(&collector, "PUT", "/plugin/canary?percent=100", &of_default(1)).status,
            200
        );
        let canary = || value(&ask(&collector, "GET", "/plugin", b""))["canary"].clone();
        assert!(canary().is_object());
        let path = collector.running().path("settings.toml");
        std::fs::write(path, administered().with("plugin", &trust).to_string()).unwrap();
        collector.running().signal(rustix::process::Signal::HUP);
        wait_until("the canary has ended", || canary().is_null());
        let report = value(&ask(&collector, "GET", "/plugin", b""));
        assert_eq!(report["active"]["generation"], 1, "{report}");
        assert_eq!(report["refused"]["trust"], 1, "{report}");
        assert_eq!(ask(&collector, "POST", "/plugin/canary/promote", b"").status, 409);
        collector.stop().exits(0).says(&["the canary ends"]);
    }
}

/// At the start: whatever the settings want a component for, and whoever only looks.
#[test]
fn a_pin_and_a_key_hold_for_every_role_of_the_settings() {
    let other = of_default(1);
    let digest = standpipe_plugin_host::sha256_hex(DEFAULT_PLUGIN);
    let pin = format!("sha256 = \"{digest}\"");
    let keys = KeyPair::generate();
    let key = format!("public_key = \"{}\"", keys.public_key());
    let own = format!("sha256 = \"{}\"", standpipe_plugin_host::sha256_hex(&other));
    let rows = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]\n";
    let program = |command: &[&str], settings: &str, signature: Option<&str>| {
        let program = Program::new().file("settings.toml", settings.as_bytes());
        let program = program.file("other.wasm", &other);
        let program = match signature {
            Some(text) => program.file("other.wasm.minisig", text.as_bytes()),
            None => program,
        };
        program.args(command).stdin("{}\n").run()
    };
    let run = ["run", "--local", "out", "--config", "settings.toml"];
    let signature = keys.sign(&other);
    for trust in [&pin, &key] {
        let word =
            if *trust == pin { "sha256 under [plugin]" } else { "public_key under [plugin]" };
        let beside = |role: &str, more: &str| {
            format!("[plugin]\n{trust}\n{rows}[plugin.{role}]\npath = 'other.wasm'\n{more}\n")
        };
        let active = format!("[plugin]\npath = 'other.wasm'\n{trust}\n{rows}");
        for settings in [active.clone(), beside("canary", ""), beside("shadow", "")] {
            let ran = program(&run, &settings, None).exits(2);
            let _ = ran.says(&[word]);
        }
        let ran = program(&["config", "check", "settings.toml"], &active, None);
        assert_ne!(ran.exit, 0, "{}", ran.stderr);
        let _ = ran.says(&[word]);
        // What the settings allow is taken in every role.
        let (more, signature) = if *trust == pin { (&*own, None) } else { ("", Some(&*signature)) };
        for role in ["canary", "shadow"] {
            program(&run, &beside(role, more), signature).exits(0);
        }
    }
    let ran = program(
        &["run", "--local", "out", "--config", "settings.toml", "--plugin", "other.wasm"],
        &format!("[plugin]\n{pin}\n{rows}"),
        None,
    );
    let _ = ran.exits(2).says(&["sha256 under [plugin]"]);
}

/// What `base64 -w0 FILE.wasm.minisig` prints.
fn signature(pair: &KeyPair, bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(pair.sign(bytes))
}

//! Tests that a component needs a signature if a key is set.

use standpipe_tests::minisign::KeyPair;
use standpipe_tests::wait_until;

use super::*;

#[test]
fn only_components_signed_by_the_key_are_accepted() {
    let [ours, theirs] = [0; 2].map(|_| KeyPair::generate());
    let key = format!("public_key = \"{}\"", ours.public_key());
    // The plugin of the settings is part of the program, so it needs no signature.
    let collector = start_collector(&settings_with_token().with_line("plugin", &key));
    let component = default_plugin_variant(1);
    let right = sign_as_header(&ours, &component);
    let status = |path: &str, method: &str, signature: Option<&str>| {
        let authorization = format!("Bearer {TOKEN}");
        let mut headers = vec![("Authorization", &*authorization)];
        headers.extend(signature.map(|signature| ("Plugin-Signature", signature)));
        let reply = send_request_with(&collector, method, path, &headers, &component);
        let step = parse_body(&reply)["step"].as_str().map(str::to_owned);
        (reply.status, step)
    };
    let untrusted = || (422, Some("trust".to_owned()));
    let cut = &right[..right.len() - 4];
    for (path, method) in [("/plugin", "PUT"), ("/plugin/check", "POST"), ("/plugin/canary", "PUT")]
    {
        assert_eq!(status(path, method, None), untrusted());
        assert_eq!(status(path, method, Some(&sign_as_header(&theirs, &component))), untrusted());
        assert_eq!(status(path, method, Some(&sign_as_header(&ours, b"another"))), untrusted());
        assert_eq!(status(path, method, Some("bm8gc2lnbmF0dXJl")), untrusted());
        assert!(matches!(status(path, method, Some(cut)), (400 | 422, _)));
        assert_eq!(status(path, method, Some("RWQ!")), (400, None));
        assert_eq!(status(path, method, Some("")), (400, None));
    }
    assert_eq!(status("/plugin/check", "POST", Some(&right)), (200, None));
    assert_eq!(status("/plugin/canary", "PUT", Some(&right)), (200, None));
    assert_eq!(status("/plugin", "PUT", Some(&right)), (200, None));
    let ran = collector.stop().expect_exit(0);
    assert!(!ran.stderr.contains("PLANTED"), "{}", ran.stderr);
}

/// A rollback does not return to a plugin that was loaded before a key or a pin was set.
#[test]
fn rollback_refuses_plugins_that_are_not_trusted() {
    let key = format!("public_key = \"{}\"", KeyPair::generate().public_key());
    let pin = format!("sha256 = \"{}\"", standpipe_plugin_host::sha256_hex(DEFAULT_PLUGIN));
    for (trust, words) in [(key, "public_key under [plugin]"), (pin, "sha256 under [plugin]")] {
        let collector = start_collector(&settings_with_token());
        assert_eq!(
            send_request(&collector, "PUT", "/plugin", &default_plugin_variant(1)).status,
            200
        );
        // The settings restore the built-in plugin, which needs no signature.
        let path = collector.running().path("settings.toml");
        std::fs::write(path, settings_with_token().with_line("plugin", &trust).to_string())
            .unwrap();
        let generation = || {
            parse_body(&send_request(&collector, "GET", "/plugin", b""))["active"]["generation"]
                .clone()
        };
        collector.running().send_signal(rustix::process::Signal::HUP);
        wait_until("the settings hold", || generation() == json!(3));
        let reply = send_request(&collector, "POST", "/plugin/rollback", b"");
        assert_eq!(reply.status, 409, "{}", reply.text());
        assert!(reply.text().contains(words), "{}", reply.text());
        assert_eq!(generation(), json!(3));
        collector.stop().expect_exit(0);
    }
}

/// Over the API, a component in any role must match the pin.
#[test]
fn a_pin_holds_for_every_role() {
    let sha256 = |bytes: &[u8]| standpipe_plugin_host::sha256_hex(bytes);
    let (pinned, other) = (default_plugin_variant(1), default_plugin_variant(2));
    let pin = format!("sha256 = \"{}\"", sha256(DEFAULT_PLUGIN));
    let settings = settings_with_token().with_line("plugin", &pin);
    let collector = start_collector(&settings);
    let roles =
        [("PUT", "/plugin"), ("POST", "/plugin/check"), ("PUT", "/plugin/canary?percent=100")];
    for (method, path) in roles {
        let reply = send_request(&collector, method, path, &other);
        assert_eq!((reply.status, &parse_body(&reply)["step"]), (422, &json!("trust")), "{path}");
        assert!(reply.text().contains("sha256 under [plugin]"), "{}", reply.text());
    }
    // The pinned component can be tried with any settings.
    assert_eq!(send_request(&collector, "PUT", "/plugin/canary", DEFAULT_PLUGIN).status, 200);
    let report = parse_body(&send_request(&collector, "GET", "/plugin", b""));
    // A check alone is not counted.
    assert_eq!(report["refused"]["trust"], 2);
    collector.stop().expect_exit(0);

    // The canary's own pin permits this canary and no other, and applies to nothing else.
    let settings = settings
        .with_line("plugin.canary", &format!("sha256 = \"{}\"", sha256(&pinned)))
        .with_line("plugin.canary", "path = 'canary.wasm'");
    let program = Program::host_run_locally().settings(&settings);
    let program = program.file("canary.wasm", &pinned).mapping(&[("*", "all")]);
    let collector = Collector::start(program);
    for (component, status) in [(&other[..], 422), (DEFAULT_PLUGIN, 422), (&pinned[..], 200)] {
        let reply = send_request(&collector, "PUT", "/plugin/canary?percent=100", component);
        assert_eq!(reply.status, status, "{}", reply.text());
    }
    let reply = send_request(&collector, "POST", "/plugin/canary/promote", b"");
    assert_eq!(reply.status, 409, "{}", reply.text());
    assert!(reply.text().contains("sha256 under [plugin]"), "{}", reply.text());
    assert_eq!(send_request(&collector, "PUT", "/plugin", &pinned).status, 422);
    collector.stop().expect_exit(0);
}

/// Plugins in use are compared with a pin and a key that are set later.
#[test]
fn a_canary_and_a_shadow_that_are_not_trusted_any_more_are_removed() {
    let digest = standpipe_plugin_host::sha256_hex(DEFAULT_PLUGIN);
    let key = format!("public_key = \"{}\"", KeyPair::generate().public_key());
    for trust in [format!("sha256 = \"{digest}\""), key] {
        let collector = start_collector(&settings_with_token());
        assert_eq!(
            send_request(
                &collector,
                "PUT",
                "/plugin/canary?percent=100",
                &default_plugin_variant(1)
            )
            .status,
            200
        );
        let canary =
            || parse_body(&send_request(&collector, "GET", "/plugin", b""))["canary"].clone();
        assert!(canary().is_object());
        let path = collector.running().path("settings.toml");
        std::fs::write(path, settings_with_token().with_line("plugin", &trust).to_string())
            .unwrap();
        collector.running().send_signal(rustix::process::Signal::HUP);
        wait_until("the canary has ended", || canary().is_null());
        let report = parse_body(&send_request(&collector, "GET", "/plugin", b""));
        assert_eq!(report["active"]["generation"], 1, "{report}");
        assert_eq!(report["refused"]["trust"], 1, "{report}");
        assert_eq!(send_request(&collector, "POST", "/plugin/canary/promote", b"").status, 409);
        collector.stop().expect_exit(0).expect_stderr(&["the canary ends"]);
    }
}

/// At startup, a pin and a key apply to every role in the settings, and to every command that loads
/// a component.
#[test]
fn a_pin_and_a_key_hold_for_every_role_of_the_settings() {
    let other = default_plugin_variant(1);
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
            let ran = program(&run, &settings, None).expect_exit(2);
            let _ = ran.expect_stderr(&[word]);
        }
        let ran = program(&["config", "check", "settings.toml"], &active, None);
        assert_ne!(ran.exit, 0, "{}", ran.stderr);
        let _ = ran.expect_stderr(&[word]);
        // Components that the settings allow are accepted in every role.
        let (more, signature) = if *trust == pin { (&*own, None) } else { ("", Some(&*signature)) };
        for role in ["canary", "shadow"] {
            program(&run, &beside(role, more), signature).expect_exit(0);
        }
    }
    let ran = program(
        &["run", "--local", "out", "--config", "settings.toml", "--plugin", "other.wasm"],
        &format!("[plugin]\n{pin}\n{rows}"),
        None,
    );
    let _ = ran.expect_exit(2).expect_stderr(&["sha256 under [plugin]"]);
}

/// The signature as `base64 -w0 FILE.wasm.minisig` prints it.
fn sign_as_header(pair: &KeyPair, bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(pair.sign(bytes))
}

//! Where a key is set, a component needs a signature.

use tests::minisign::KeyPair;
use tests::wait_until;

use super::*;

#[test]
fn only_what_is_signed_by_the_key_is_taken() {
    let [ours, theirs] = [0; 2].map(|_| KeyPair::generate());
    let key = format!("\n[plugin]\npublic_key = \"{}\"\n", ours.public_key());
    // The plugin of the settings is part of the program, and needs none.
    let collector = start(&format!("{SETTINGS}{key}"));
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
    let pin = format!("sha256 = \"{}\"", host::plugin::sha256_hex(DEFAULT_PLUGIN));
    for (trust, words) in [(key, "public_key under [plugin]"), (pin, "sha256 under [plugin]")] {
        let collector = start(SETTINGS);
        assert_eq!(ask(&collector, "PUT", "/plugin", &of_default(1)).status, 200);
        // The settings bring the default plugin back, which needs no signature.
        let path = collector.running().path("settings.toml");
        std::fs::write(path, format!("{SETTINGS}\n[plugin]\n{trust}\n")).unwrap();
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

/// What `base64 -w0 FILE.wasm.minisig` prints.
fn signature(pair: &KeyPair, bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(pair.sign(bytes))
}

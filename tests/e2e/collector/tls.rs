//! Tests encrypted connections, and a new certificate without a restart.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use standpipe_tests::Curl;
use tempfile::TempDir;

use super::*;

#[test]
fn both_versions_of_http_are_served_and_a_new_certificate_is_found() {
    let files = TempDir::new().unwrap();
    let [one, two] = ["one", "two"].map(|name| make_certificate(files.path(), name));
    let [live, key] = ["live.pem", "live.key"].map(|name| files.path().join(name));
    fs::copy(&one.certificate, &live).unwrap();
    fs::copy(&one.key, &key).unwrap();
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &tls_settings(&live, &key));
    assert!(collector.url().starts_with("https://"), "{}", collector.url());
    let mut names = BTreeSet::new();
    let mut send = |name: &str, trusted: &Pair, version: &str| {
        let url = format!("{}/v1/track", collector.url());
        let curl = Curl::post(&url, "key-of-web", &track_event(name).to_string());
        let got = curl.trust_certificate(&trusted.certificate).arg(version).send()?;
        assert_eq!(got.status, 200);
        names.insert(name.to_owned());
        Ok::<_, String>(got.version)
    };
    assert_eq!(send("older", &one, "--http1.1").as_deref(), Ok("1.1"));
    assert_eq!(send("newer", &one, "--http2").as_deref(), Ok("2"));
    assert_eq!(send("new alone", &one, "--tlsv1.3").as_deref(), Ok("2"));
    assert!(send("of a stranger", &two, "--http2").unwrap_err().contains("certificate"));

    // A broken file is reported, and the previous certificate stays in use.
    fs::write(&live, "no certificate\n").unwrap();
    collector.running().wait_for("keeping the certificate in use");
    assert_eq!(send("still the old one", &one, "--http2").as_deref(), Ok("2"));

    // The files keep their old modification times, as with `cp -p` and `tar`.
    for (from, to) in [(&two.key, &key), (&two.certificate, &live)] {
        let modified = fs::metadata(to).unwrap().modified().unwrap();
        fs::copy(from, to).unwrap();
        fs::File::options().write(true).open(to).unwrap().set_modified(modified).unwrap();
    }
    collector.running().wait_for("reloaded the certificate");
    assert_eq!(send("the new one", &two, "--http2").as_deref(), Ok("2"));
    assert!(send("no longer", &one, "--http2").is_err());
    collector.stop().expect_exit(0).expect_stderr(&["live.pem", "live.key"]);
    assert_delivered(&stub, &names);
}

#[test]
fn changed_certificate_paths_are_used() {
    let files = TempDir::new().unwrap();
    let [one, two] = ["one", "two"].map(|name| make_certificate(files.path(), name));
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &tls_settings(&one.certificate, &one.key));
    let is_trusted = |pair: &Pair| {
        let url = format!("{}/v1/track", collector.url());
        let curl = Curl::post(&url, "key-of-web", &track_event("x").to_string());
        curl.trust_certificate(&pair.certificate).send().is_ok()
    };
    assert_eq!((is_trusted(&one), is_trusted(&two)), (true, false));
    let running = collector.running();
    let settings_file = running.path("settings.toml");
    fs::write(&settings_file, tls_settings(&two.certificate, &two.key).to_string()).unwrap();
    running.send_signal(rustix::process::Signal::HUP);
    running.wait_for("reloaded [http] certificate, [http] key");
    assert_eq!((is_trusted(&one), is_trusted(&two)), (false, true));
    // Certificate and key must match, and TLS stays on.
    fs::write(&settings_file, tls_settings(&two.certificate, &one.key).to_string()).unwrap();
    running.send_signal(rustix::process::Signal::HUP);
    running.wait_for("failed to reload [http] key");
    assert!(is_trusted(&two));
    collector.stop().expect_exit(0);
}

#[test]
fn clients_without_tls_are_disconnected() {
    let files = TempDir::new().unwrap();
    let pair = make_certificate(files.path(), "one");
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &tls_settings(&pair.certificate, &pair.key));
    let plain = collector.url().replace("https://", "http://");
    let mut client = Client::connect(&plain);
    assert!(client.get("/health").is_err());
    let url = format!("{}/v1/projects/key-of-web/settings", collector.url());
    let curl = Curl::post(&url, "key-of-web", "").trust_certificate(&pair.certificate).arg("--get");
    assert_eq!(curl.send().unwrap().status, 200);
    collector.stop().expect_exit(0);
}

#[test]
fn unusable_certificate_files_are_reported_at_startup() {
    let files = TempDir::new().unwrap();
    let [one, two] = ["one", "two"].map(|name| make_certificate(files.path(), name));
    let empty = files.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    let stub = start_accepting_stub();
    for (certificate, key, words) in [
        (&one.certificate, &two.key, &["one.pem", "two.key", "must belong together", "[http]"][..]),
        (&empty, &one.key, &["empty.pem", "contains no PEM certificate"]),
        (&one.key, &one.key, &["one.key", "contains no PEM certificate"]),
        (&one.certificate, &empty, &["empty.pem", "read the key"]),
        (&files.path().join("none.pem"), &one.key, &["none.pem", "read the certificate", "[http]"]),
        (&one.certificate, &files.path().join("none.key"), &["none.key", "read the key", "[http]"]),
    ] {
        let program = new_program(&stub, &tls_settings(certificate, key));
        program
            .args(["--listen", "127.0.0.1:0", "--admin", "off"])
            .run()
            .expect_exit(2)
            .expect_stderr(words);
    }
    let half = with_certificate(&one.certificate);
    let program = new_program(&stub, &half).args(["--listen", "127.0.0.1:0"]);
    program.run().expect_exit(2).expect_stderr(&["certificate and key belong together"]);
}

/// The files of a self-signed certificate for this machine.
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

fn make_certificate(directory: &Path, name: &str) -> Pair {
    let [certificate, key] =
        ["pem", "key"].map(|ending| directory.join(format!("{name}.{ending}")));
    let mut openssl = Command::new(standpipe_tests::tools::find_program("openssl"));
    openssl
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", &format!("/CN={name}")])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    let output = openssl.output().expect("openssl can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Pair { certificate, key }
}

fn tls_settings(certificate: &Path, key: &Path) -> CollectorSettings {
    with_certificate(certificate).with_line("http", &format!("key = '{}'", key.display()))
}

fn with_certificate(path: &Path) -> CollectorSettings {
    both_vendors().with_line("http", &format!("certificate = '{}'", path.display()))
}

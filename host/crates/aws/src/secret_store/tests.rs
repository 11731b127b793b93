//! Tests secrets in files: prefix, fields, names that try to leave the directory, and the last
//! known value after a failed read.

use std::fs;

use tempfile::TempDir;

use super::*;
use standpipe_core::secret::SecretSetting;

fn reference(text: &str) -> SecretReference {
    let setting = SecretSetting::parse(Secret::new(format!("secret:{text}"))).unwrap();
    setting.reference().unwrap().clone()
}

async fn files(directory: &TempDir, prefix: &str) -> SecretStore {
    let manager = SecretBackend::Files(directory.path().to_owned());
    let settings =
        SecretStoreSettings { manager, prefix: prefix.to_owned(), refresh: settings::REFRESH };
    SecretStore::open(&settings).await.unwrap()
}

async fn text(secrets: &SecretStore, name: &str) -> Result<String, UnresolvedSecret> {
    secrets.resolve(&reference(name)).await.map(|secret| secret.expose().to_owned())
}

#[tokio::test]
async fn files_are_read_with_prefix_and_field() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("a-key"), "hush\n").unwrap();
    fs::write(directory.path().join("a-json"), "{\"id\":\"AKID\",\"n\":7}").unwrap();
    fs::write(directory.path().join("a-empty"), "\n").unwrap();
    let secrets = files(&directory, "a-").await;
    assert_eq!(text(&secrets, "key").await.unwrap(), "hush");
    assert_eq!(text(&secrets, "json#id").await.unwrap(), "AKID");
    for (name, expected) in [
        ("json#n", "no text field"),
        ("json#m", "no text field"),
        ("key#id", "not a JSON object"),
        ("empty", "empty"),
        ("nope", "`directory` and `prefix`"),
    ] {
        let error = text(&secrets, name).await.unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(name), "{error}");
        assert!(!error.contains("hush") && !error.contains("AKID"), "{error}");
    }
}

#[tokio::test]
async fn names_do_not_leave_the_directory() {
    let directory = TempDir::new().unwrap();
    let secrets = files(&directory, "").await;
    for name in ["../x", "/etc/passwd", "a/../../x"] {
        let error = text(&secrets, name).await.unwrap_err().to_string();
        assert!(error.contains("leads out of `directory`"), "{error}");
    }
}

#[tokio::test]
async fn what_was_had_before_is_used_on() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("key");
    let secrets = files(&directory, "").await;
    assert!(text(&secrets, "key").await.is_err());
    fs::write(&path, "one").unwrap();
    assert_eq!(text(&secrets, "key").await.unwrap(), "one");
    fs::remove_file(&path).unwrap();
    assert_eq!(text(&secrets, "key").await.unwrap(), "one");
    fs::write(&path, "two").unwrap();
    assert_eq!(text(&secrets, "key").await.unwrap(), "two");
}

/// The limit of Secrets Manager is 65,536 bytes.
#[tokio::test]
async fn a_secret_may_have_as_many_bytes_as_secrets_manager_keeps() {
    let directory = TempDir::new().unwrap();
    let secrets = files(&directory, "").await;
    let most = usize::try_from(SECRET_BYTES_MAX).unwrap();
    let object = format!("{{\"a\":\"{}\",\"b\":\"hush\"}}", "x".repeat(most - 19));
    for (name, content, is_good) in [
        ("most", "x".repeat(most), true),
        ("most-with-newline", "x".repeat(most) + "\n", true),
        ("most-in-json", object.clone(), true),
        ("one-more", "x".repeat(most + 1), false),
        ("newline-of-its-own", "x".repeat(most) + "\n\n", false),
        ("more-of-two-bytes-each", "é".repeat(most), false),
    ] {
        fs::write(directory.path().join(name), content).unwrap();
        let found = text(&secrets, name).await;
        assert_eq!(found.is_ok(), is_good, "{name}");
        let message = found.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(is_good || message.contains("more than 65536 bytes"), "{name}: {message}");
    }
    assert_eq!(object.len(), most);
    assert_eq!(text(&secrets, "most-in-json#b").await.unwrap(), "hush");
}

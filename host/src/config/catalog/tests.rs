//! Tests the settings of the catalog: defaults, all keys, and mistakes that say what to write.

use super::*;
use crate::config::parse;
use standpipe_catalog::SuccessCriteria;
use standpipe_catalog::http_client::TlsVerification;
use tracing::Level;

fn check(text: &str) -> Result<CatalogSettings, ConfigError> {
    parse(text)?.check_catalog(Path::new("/etc/x"), &Overrides::default())
}

fn fails(text: &str) -> String {
    check(text).unwrap_err().to_string()
}

#[test]
fn nothing_needs_to_be_set() {
    let settings = check("").unwrap();
    assert!(settings.schedule.is_manual() && settings.openmetadata.is_none());
    assert_eq!(settings.judgement, SuccessCriteria::default());
    assert!(settings.discovery.filter.is_empty() && settings.discovery.walks_tables);
}

#[test]
fn all_of_it_is_taken() {
    let settings = check(
        "[aws]\nregion = \"a\"\n[secrets]\nmanager = \"env\"\n[catalog]\nservice_name = \"f\"\nschedule = \"daily\"\n\
         include = [\"a.*\"]\nstrict = true\nsuccess_threshold = 50\nlog_level = \"debug\"\n\
         [catalog.aws]\nregion = \"b\"\n[catalog.lineage]\ndynamodb = false\nbackups = true\nstorage_services = [\"s\"]\n\
         [catalog.openmetadata]\nurl = \"http://h/api\"\ntoken = \"secret:T\"\nverify = \"ca.pem\"\n\
         delete_percent_max = 5\nheaders = { X-A = \"secret:H\" }\n\
         [catalog.openlineage]\nurl = \"http://l\"\nfile = \"o.ndjson\"\n[catalog.files]\nsvg = \"/p.svg\"\n",
    )
    .unwrap();
    assert_eq!(settings.discovery.aws.region.as_deref(), Some("b"));
    assert!(!settings.discovery.walks_tables && !settings.schedule.is_manual());
    assert_eq!(settings.log_level, Level::DEBUG);
    let server = settings.openmetadata.unwrap();
    assert_eq!(server.verify, TlsVerification::Authority("/etc/x/ca.pem".into()));
    assert!(
        server.token.unwrap().reference().is_some()
            && server.extra_headers[0].1.reference().is_some()
    );
    assert_eq!(
        (server.deletion.ratio_max, &*server.services.storage),
        (0.05, &["s".to_owned()][..])
    );
    assert_eq!(settings.files.svg, Some("/p.svg".into()));
    assert_eq!(settings.files.openlineage, Some("/etc/x/o.ndjson".into()));
}

#[test]
fn what_is_wrong_is_told() {
    let server =
        "[catalog]\nservice_name = \"f\"\n[catalog.openmetadata]\nurl = \"http://h/api\"\n";
    for (text, word) in [
        ("[catalog]\nschedule = \"x\"", "[catalog] schedule"),
        ("[catalog]\nstart_date = \"2026-01-01\"", "no effect without schedule"),
        ("[catalog]\ninclude = [\"(\"]", "write a regular expression"),
        ("[catalog]\ninclud = []", "did you mean `include`?"),
        ("[catalog.lineage]\noverrid = true", "did you mean `override`?"),
        ("[catalog.openmetadata]\nur = \"\"", "did you mean `url`?"),
        ("[catalog.openmetadata]", "url is missing"),
        ("[catalog.openmetadata]\nurl = \"http://h/api\"", "service_name is missing"),
        ("[catalog.openmetadata]\nurl = \"http://h\"", "ends in /api"),
        ("[catalog.openlineage]\ntoken = \"x\"", "no effect without url"),
        ("[catalog]\nsuccess_threshold = 101", "from 0 to 100"),
        ("[catalog]\nlog_level = \"loud\"", "log_level"),
        ("[catalog]\ncalls_per_second = 0.0", "calls_per_second"),
        (&format!("{server}token = \"secret:x\""), "no secret manager"),
        (&format!("{server}batch = 0"), "at least 1"),
        (&format!("{server}timeout = \"x\""), "timeout"),
        (&format!("{server}api_version = \"v2\""), "v1"),
    ] {
        assert!(fails(text).contains(word), "{text}: {}", fails(text));
    }
}

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::dead::{Bound, WhenFull};
use crate::delivery::Pack;
use crate::event::StreamName;
use crate::secret::{Secret, SecretSetting};
use crate::secrets::Manager;

fn check(text: &str) -> Result<Settings, ConfigError> {
    parse(text)?.check(Path::new("/etc/standpipe"), Overrides::default())
}

#[test]
fn nothing_set_is_good() {
    let settings = check("").unwrap();
    assert_eq!(settings.plugin, PluginSource::BuiltIn);
    assert_eq!(settings.plugin_settings, "{}");
    assert!(settings.delivery.stream.newline);
    assert_eq!(settings.delivery.max_delay, Duration::from_secs(1));
    assert_eq!(settings.dead_letters, Bound::default());
    assert_eq!(settings.dead_letter_stream, None);
}

#[test]
fn everything_set_is_read() {
    let settings = check(
        r#"
        data_dir = "data"
        workers = 3
        [plugin]
        path = "mapping.wasm"
        [plugin.settings]
        fan_out = true
        mappings = [{ event = "A", stream = "a" }]
        [plugin.settings.any.thing]
        goes = [1, 2.5, "x"]
        [aws]
        region = "eu-central-1"
        endpoint_url = "http://127.0.0.1:4566"
        access_key_id = "AKIA"
        secret_access_key = "s3cr3t"
        session_token = "t0k3n"
        role_arn = "arn:aws:iam::111122223333:role/firehose-writer"
        external_id = "x"
        session_name = "me"
        [delivery]
        newline = false
        max_delay = "250ms"
        drain_timeout = "2m"
        missing_stream_grace = "0s"
        [dead_letters]
        max_bytes = 2000000
        when_full = "drop_oldest"
        stream = "letters"
        [streams.orders]
        newline = true
        concurrency = 9
        pack = { max_bytes = 102400 }
        [streams.pages]
        newline = true
        pack = "auto"
        "#,
    )
    .unwrap();
    assert_eq!(settings.plugin, PluginSource::File("/etc/standpipe/mapping.wasm".into()));
    assert_eq!(settings.data_dir, Path::new("/etc/standpipe/data"));
    assert_eq!(settings.workers.get(), 3);
    assert!(
        settings.plugin_settings.contains(r#""goes":[1,2.5,"x"]"#),
        "{}",
        settings.plugin_settings
    );
    let orders = settings.delivery.streams[&StreamName::parse("orders").unwrap()];
    assert_eq!((orders.newline, orders.concurrency), (true, 9));
    assert_eq!(orders.pack, Pack::UpTo { bytes_max: 102_400 });
    let pages = settings.delivery.streams[&StreamName::parse("pages").unwrap()];
    assert_eq!(pages.pack, Pack::Auto);
    assert_eq!(settings.delivery.stream.pack, Pack::Off);
    assert!(!settings.delivery.stream.newline);
    assert_eq!(settings.drain_timeout, Duration::from_secs(120));
    let bound = Bound { bytes_max: 2_000_000, when_full: WhenFull::DropOldest };
    assert_eq!(settings.dead_letters, bound);
    assert_eq!(settings.dead_letter_stream, StreamName::parse("letters").ok());
    let Destination::Amazon { aws, endpoint_url } = &settings.destination else {
        panic!("not Amazon")
    };
    assert_eq!(endpoint_url.as_deref(), Some("http://127.0.0.1:4566"));
    let external_id = SecretSetting::Value(Secret::new("x".to_owned()));
    assert_eq!(aws.role.as_ref().unwrap().external_id, Some(external_id));
    let debug = format!("{settings:?}");
    assert!(!debug.contains("s3cr3t") && !debug.contains("t0k3n"), "{debug}");
}

#[test]
fn the_command_line_goes_before_the_file() {
    let raw = parse(
        "[aws]\nregion = \"a\"\n[plugin.settings]\nmappings = [{ event = \"x\", stream = \"y\" }]",
    );
    let overrides = Overrides {
        plugin: Some("p.wasm".into()),
        mappings: vec![("a=b".to_owned(), "c".to_owned())],
        region: Some("b".to_owned()),
        ..Overrides::default()
    };
    let settings = raw.unwrap().check(Path::new("/etc"), overrides).unwrap();
    assert_eq!(settings.plugin, PluginSource::File("p.wasm".into()));
    let rows: serde_json::Value = serde_json::from_str(&settings.plugin_settings).unwrap();
    assert_eq!(rows["mappings"][1], serde_json::json!({"event": "a=b", "stream": "c"}));
    assert!(
        matches!(settings.destination, Destination::Amazon { aws, .. } if aws.region.as_deref() == Some("b"))
    );
}

#[test]
fn wrong_settings_say_what_to_write() {
    for (text, line, expected) in [
        (
            "[aws]\nregoin = \"a\"",
            Some(2),
            "unknown setting `regoin` in [aws]: did you mean `region`?",
        ),
        ("[plugn]", Some(1), "did you mean `plugin`?"),
        ("\n\nzzz = 1", Some(3), "known here: `admin`, `aws`"),
        ("[streams.a]\nnew_line = true", Some(2), "in [streams.a]: did you mean `newline`?"),
        ("[plugin]\npath = 7", Some(2), "string"),
        ("[aws\n", Some(1), ""),
        ("[streams.\"a b\"]", None, "no name of a delivery stream"),
        ("[delivery]\nmax_delay = \"soon\"", None, "max_delay"),
        ("[delivery]\nmax_delay = \"1h\"", None, "15m"),
        ("[delivery]\nconcurrency = 0", None, "from 1 to 256"),
        ("[delivery]\npack = \"of\"", None, "write \"off\", \"auto\", or { max_bytes = N }"),
        ("[delivery]\npack = 7", Some(2), "expected \"off\", \"auto\" or { max_bytes = N }"),
        ("[delivery]\npack = { bytes = 7 }", Some(2), "unknown field `bytes`"),
        ("[delivery]\npack = { max_bytes = 2000000 }", None, "from 5120 to 1024000"),
        ("[delivery]\nnewline = false\npack = { max_bytes = 20000 }", None, "without newlines"),
        ("[delivery]\nnewline = false\npack = \"auto\"", None, "without newlines"),
        ("[delivery]\npack = \"auto\"\n[streams.a]\nnewline = false", None, "[streams.\"a\"]"),
        (
            "[streams.a]\nnewline = false\n[delivery]\npack = { max_bytes = 20000 }",
            None,
            "[streams.\"a\"]",
        ),
        ("workers = 0", None, "from 1 to 256"),
        ("[dead_letters]\nmax_bytes = 7", None, "at least 1048576"),
        ("[dead_letters]\nwhen_full = \"drop\"", None, "write \"stop\" or \"drop_oldest\""),
        ("[dead_letters]\nstream = \"a b\"", None, "[dead_letters] stream: \"a b\" is no name"),
        ("[dead_letters]\nstreams = \"a\"", Some(2), "did you mean `stream`?"),
        ("[dead_letters]\nmax_byte = 7", Some(2), "did you mean `max_bytes`?"),
        ("[aws]\naccess_key_id = \"a\"", None, "secret_access_key"),
        ("[aws]\nsecret_access_key = \"hush\"", None, "access_key_id"),
        ("[aws]\nsecret_access_key = 123456789012", Some(2), "found an integer: put it in quotes"),
        ("[aws]\nsession_token = \"hush\"", None, "access_key_id"),
        ("[aws]\nexternal_id = \"a\"", None, "role_arn"),
        ("[aws]\nrole_arn = \"role\"", None, "arn:aws:iam::ACCOUNT:role/NAME"),
        ("[aws]\nendpoint_url = \"localhost:4566\"", None, "http://HOST:PORT"),
        ("[aws]\nsession_tags = { a = \"b\" }", None, "only with role_arn"),
        ("[aws]\nsource_identity = \"ab\"", None, "only with role_arn"),
        ("[aws]\nuse_fips = true\nendpoint_url = \"http://a\"", None, "or use_fips"),
        ("[aws]\nuse_dual_stack = true\n[aws.endpoints]\nsts = \"http://a\"", None, "or use_dual"),
        (
            "[aws]\nendpoint_url = \"http://a\"\n[aws.endpoints]\nfirehose = \"http://b\"",
            None,
            "are the same",
        ),
        ("[aws.endpoints]\nssm = \"a\"", None, "[aws.endpoints] ssm \"a\" is no URL"),
        (
            "[aws.endpoints]\ns3 = \"http://a\"",
            Some(2),
            "in [aws.endpoints]: known here: `dynamodb`",
        ),
        ("[aws]\nsts_region = \"\"", None, "[aws] sts_region is empty"),
        ("[aws]\nproxy = \"hush:80\"", None, "[aws] proxy is no URL"),
        (
            "[aws]\nproxy = \"secret:x\"\n[secrets]\nmanager = \"aws-ssm\"",
            None,
            "reached through the proxy",
        ),
        ("[aws]\nproxy = \"secret:x\"", None, "[aws] proxy is a reference, secret:x"),
        ("[secrets]\nprefix = \"a\"", None, "[secrets] has no manager"),
        (
            "[secrets]\nmanager = \"vault\"",
            None,
            "\"vault\": write \"aws-secretsmanager\", \"aws-ssm\"",
        ),
        ("[secrets]\nmanager = \"files\"", None, "set directory"),
        ("[secrets]\nmanager = \"env\"\ndirectory = \"a\"", None, "only with manager = \"files\""),
        ("[secrets]\nmanager = \"env\"\nprofile = \"a\"", None, "only with a manager of AWS's"),
        ("[secrets]\nmanager = \"env\"\nrefresh = \"1ms\"", None, "shorter than a second"),
        ("[plugin.settings]\nmappings = 1", None, ""),
    ] {
        let Err(error) = check(text) else {
            assert!(text.contains("mappings"), "{text} is wrong");
            continue;
        };
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.message.contains(expected), "{text}: {error}");
        let secret =
            ["hush", "123456789012"].iter().find(|secret| error.message.contains(**secret));
        assert_eq!(secret, None, "{text}: {error}");
    }
}

#[test]
fn marks_of_a_roles_session_are_checked() {
    let role = |line: &str| {
        check(&format!("[aws]\nrole_arn = \"arn:aws:iam::111122223333:role/a\"\n{line}"))
    };
    for (line, expected) in [
        ("session_duration = \"14m\"", "at least 15m"),
        ("session_duration = \"13h\"", "at most 12h"),
        ("session_duration = \"long\"", "is no duration"),
        ("session_name = \"a\"", "[aws] session_name is \"a\": write 2 to 64"),
        ("source_identity = \"a b\"", "[aws] source_identity is \"a b\""),
        ("session_tags = { \"\" = \"a\" }", "a key must have 1 to 128"),
        ("external_id = \"secret:x\"", "[aws] external_id is a reference, secret:x"),
        ("external_id = \"secret:\"", "[aws] external_id begins with \"secret:\""),
    ] {
        let error = role(line).expect_err(line);
        assert!(error.message.contains(expected), "{line}: {error}");
    }
    let settings = role("session_duration = \"12h\"\nsession_tags = { a = \"\" }").unwrap();
    let Destination::Amazon { aws, .. } = settings.destination else { panic!("not Amazon") };
    let role = aws.role.unwrap();
    assert_eq!(role.session_duration, Some(Duration::from_secs(12 * 3600)));
    assert_eq!(role.session_tags["a"], "");
}

#[test]
fn references_are_kept_apart_from_secrets() {
    let settings = check(
        r#"
        listen = "127.0.0.1:0"
        [aws]
        access_key_id = "secret:aws#id"
        secret_access_key = "my secret:key"
        [aws.endpoints]
        firehose = "http://127.0.0.1:1"
        [secrets]
        manager = "files"
        directory = "mounted"
        prefix = "a-"
        refresh = "1m"
        [[sources]]
        name = "web"
        dialect = "segment"
        write_keys = ["own", "secret:web"]
        "#,
    );
    let settings = settings.unwrap();
    let collect = settings.collect.unwrap();
    assert_eq!(collect.sources[0].write_keys, [Secret::new("own".to_owned())]);
    assert_eq!(collect.referenced_keys.len(), 1);
    assert_eq!(collect.referenced_keys[0].reference.to_string(), "secret:web");
    let Destination::Amazon { aws, endpoint_url } = settings.destination else {
        panic!("not Amazon")
    };
    let keys = aws.keys.unwrap();
    assert_eq!(keys.access_key_id.reference().unwrap().field(), Some("id"));
    assert_eq!(keys.secret_access_key.reference(), None);
    assert_eq!(endpoint_url.as_deref(), Some("http://127.0.0.1:1"));
    let secrets = settings.secrets.unwrap();
    assert_eq!(secrets.manager, Manager::Files("/etc/standpipe/mounted".into()));
    assert_eq!((&*secrets.prefix, secrets.refresh), ("a-", Duration::from_secs(60)));
}

#[test]
fn the_schema_knows_every_section() {
    let schema = schema();
    for section in
        ["plugin", "aws", "secrets", "delivery", "dead_letters", "streams", "data_dir", "workers"]
    {
        assert!(schema["properties"].get(section).is_some(), "{section}");
    }
}

/// Settings with one source, changed by a line.
fn with_source(lines: &str) -> Result<Settings, ConfigError> {
    let good = ["name = \"web\"", "dialect = \"segment\"", "write_keys = [\"hush\"]"];
    let key = |line: &str| line.split(' ').next().map(str::to_owned);
    let kept = good.iter().filter(|line| !lines.lines().any(|other| key(other) == key(line)));
    let source = kept.copied().chain([lines]).collect::<Vec<_>>().join("\n");
    check(&format!("listen = \"127.0.0.1:0\"\n[[sources]]\n{source}"))
}

#[test]
fn there_can_be_sources_without_a_listener() {
    let source = "[[sources]]\nname = \"web\"\ndialect = \"segment\"\nwrite_keys = [\"hush\"]";
    let settings = check(&format!("listen = \"off\"\n{source}")).unwrap();
    assert_eq!((settings.collect.unwrap().address, settings.admin), (None, None));
    assert_eq!(settings.inputs, []);
}

#[test]
fn sources_are_checked() {
    let settings = with_source("").unwrap().collect.unwrap();
    assert_eq!(settings.address.unwrap().to_string(), "127.0.0.1:0");
    assert_eq!((settings.sources.len(), settings.sources[0].enabled), (1, true));
    for (lines, expected) in [
        ("name = \"\"", "name must have 1 to 100 characters"),
        ("dialect = \"mixpanel\"", "write \"segment\" or \"rudderstack\""),
        ("write_keys = []", "write at least one key"),
        ("write_keys = [\"\"]", "must have 1 to 200 characters"),
        ("write_keys = [\"hush\", \"hush\"]", "a key belongs to one source"),
        ("write_keys = [\"secret:/key\"]", "no manager of secrets"),
        ("allowed_origins = [\"shop.example\"]", "is no origin"),
        ("rate_limit = 0", "rate_limit is 0: write events a second, or enabled = false"),
        ("rate_limit_bytes = 0", "rate_limit_bytes is 0: write bytes a second"),
        ("rate_limit_bytes = -1", "expected an integer of 0 or more"),
        ("[http]\ncertificate = \"c.pem\"", "set both"),
        ("[http]\nmax_body_bytes = 1", "[http] max_body_bytes is 1: write a number from 32768"),
        ("[spool]\ndurability = \"disk\"", "write \"fsync\", \"os\" or \"memory\""),
        ("[spool]\nmax_bytes = 1", "[spool] max_bytes is 1"),
        (
            "[[sources]]\nname = \"web\"\ndialect = \"segment\"\nwrite_keys = [\"b\"]",
            "stands twice",
        ),
        ("[admin]\nlisten = \"on\"", "[admin] listen is \"on\""),
    ] {
        // A second source and other tables come after the first one.
        let checked = match lines.starts_with('[') {
            true => check(&format!(
                "listen = \"127.0.0.1:0\"\n[[sources]]\nname = \"web\"\ndialect = \"segment\"\nwrite_keys = [\"hush\"]\n{lines}"
            )),
            false => with_source(lines),
        };
        let error = checked.expect_err(lines);
        assert!(error.message.contains(expected), "{lines}: {error}");
        assert!(!error.message.contains("hush"), "{lines}: {error}");
    }
    let nobody = check("listen = \"127.0.0.1:0\"").unwrap_err();
    assert!(nobody.message.contains("add [[sources]]"), "{nobody}");
    let nowhere = check("listen = \"localhost:8080\"").unwrap_err();
    assert!(nowhere.message.contains("such as 0.0.0.0:8080"), "{nowhere}");
}

/// Where secrets stand, each as a line with `VALUE`, and the table that it is in.
const SECRETS: &[(&str, &str)] = &[
    ("[[sources]]", "write_keys = [VALUE]"),
    ("[[sources]]", "external_id = VALUE"),
    ("[aws]", "secret_access_key = VALUE"),
    ("[aws]", "session_token = VALUE"),
    ("[aws]", "external_id = VALUE"),
    ("[aws]", "proxy = VALUE"),
    ("[admin]", "token = VALUE"),
    ("[plugin.settings]", "api_key = VALUE"),
    ("[catalog.openmetadata]", "token = VALUE"),
    ("[catalog.openmetadata]", "headers = { Authorization = VALUE }"),
    ("[catalog.openlineage]", "token = VALUE"),
    ("[catalog.openlineage]", "headers = { Authorization = VALUE }"),
];

/// What no error may show.
const MARK: &str = "hush4711";

#[test]
fn a_secret_in_the_wrong_shape_is_never_shown() {
    let shapes = [
        "hush4711",
        "\"hush4711",
        "'hush4711",
        "\"hush4711\"\"",
        "\"hush4711\" \"hush4711\"",
        "\"\"\"hush4711",
        "\"hush4711\\q\"",
        "[\"hush4711\"]",
        "[[\"hush4711\"]]",
        "{ a = \"hush4711\" }",
        "{ \"a\" = \"hush4711\", b }",
        "\"hush4711\", \"hush4711\"",
        "\"hush4711\"\nunknown = \"hush4711\"",
        "\"hush4711\" # hush4711\n= \"hush4711\"",
        "2026-11-29T00:00:00hush4711",
        "0xhush4711",
        "secret:hush4711",
    ];
    let mut refused = 0;
    for (table, line) in SECRETS {
        for shape in shapes {
            for line in [
                line.replace("VALUE", shape),
                line.replace("[VALUE]", shape).replace("VALUE", shape),
            ] {
                // Twice, and with a mistake beside it.
                for more in ["", "\n[", "\nenabled = 7", "\nworkers = true", &format!("\n{line}")] {
                    let text = format!("{table}\n{line}{more}");
                    let Err(error) = parse(&text) else { continue };
                    refused += 1;
                    assert!(!error.to_string().contains(MARK), "{text}\n{error}");
                    assert!(!format!("{error:?}").contains(MARK), "{text}\n{error:?}");
                }
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}

/// A value of any setting, secret or not, in place of any other.
#[test]
fn a_value_in_the_wrong_place_is_never_shown() {
    let values =
        ["\"hush4711\"", "47114711", "4711.25", "true", "[\"hush4711\"]", "{ x = \"hush4711\" }"];
    let mut refused = 0;
    let schema = schema();
    let properties =
        |place: &str| schema.pointer(place).and_then(|it| it["properties"].as_object());
    let mut places = vec![(String::new(), properties("").unwrap())];
    for (table, definition) in [
        ("[[sources]]", "RawSource"),
        ("[http]", "RawHttp"),
        ("[spool]", "RawSpool"),
        ("[admin]", "RawAdmin"),
        ("[plugin]", "RawPlugin"),
        ("[plugin.limits]", "RawPluginLimits"),
        ("[plugin.breaker]", "RawBreaker"),
        ("[plugin.canary]", "RawCanary"),
        ("[aws]", "RawAws"),
        ("[aws.endpoints]", "RawEndpoints"),
        ("[secrets]", "RawSecrets"),
        ("[delivery]", "RawDelivery"),
        ("[dead_letters]", "RawDeadLetters"),
        ("[catalog]", "RawCatalog"),
        ("[catalog.openmetadata]", "RawOpenMetadata"),
        ("[streams.a]", "RawStream"),
    ] {
        let found = properties(&format!("/$defs/{definition}"));
        places.push((table.to_owned(), found.unwrap_or_else(|| panic!("no {definition}"))));
    }
    for (table, keys) in &places {
        for key in keys.keys() {
            for value in values {
                let text = format!("{table}\n{key} = {value}\n");
                let Err(error) = parse(&text) else { continue };
                refused += 1;
                let shown = format!("{error} {error:?}");
                let is_shown = ["hush", "4711"].iter().any(|mark| shown.contains(mark));
                assert!(!is_shown, "{text}\n{error}");
                assert_eq!(error.line, Some(2), "{text}\n{error}");
            }
        }
    }
    assert!(refused > 300, "{refused}");
}

#[test]
fn wrong_types_are_told_with_place_and_path() {
    for (text, expected) in [
        (
            "[[sources]]\nname = \"a\"\nwrite_keys = \"hush\"",
            "line 3, column 14: invalid setting `sources.write_keys`: expected an array of strings, found a \
             string: put it in brackets",
        ),
        (
            "[[sources]]\nwrite_keys = [\"a\", 7]",
            "line 2, column 20: invalid setting `sources.write_keys`: expected a string, found an integer: put it in \
             quotes",
        ),
        (
            "[[sources]]\nwrite_key = [\"hush\"]",
            "line 2, column 1: unknown setting `write_key` in [sources]: did you mean `write_keys`?",
        ),
        (
            "workers = -1",
            "line 1, column 11: invalid setting `workers`: expected an integer of 0 or more",
        ),
        (
            "[plugin.canary]\npercent = \"5\"",
            "line 2, column 11: invalid setting `plugin.canary.percent`: expected a number, found a string",
        ),
        (
            "[plugin.canary]\npercent = 5\nmin_events = 2026-11-29",
            "line 3, column 14: invalid setting `plugin.canary.min_events`: expected an integer, found a date or time",
        ),
        (
            "sources = 1",
            "line 1, column 11: invalid setting `sources`: expected an array of tables, found an integer",
        ),
        (
            "[admin]\nlisten = [\"a\"]",
            "line 2, column 10: invalid setting `admin.listen`: expected a string, found an array",
        ),
        (
            "[plugin]\nwatch = 'yes'",
            "line 2, column 9: invalid setting `plugin.watch`: expected true or false, found a string",
        ),
    ] {
        let error = parse(text).expect_err(text).to_string();
        // The parser's words about TOML itself are its own.
        assert!(error.starts_with(expected) || expected.ends_with("key"), "{text}: {error}");
    }
}

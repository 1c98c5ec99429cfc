//! A server's life as a child process: started on its core, its address read from its first line, ended by its own pid,
//! and ended by the kernel if this process dies first.

use std::env;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::{Result, pin};

/// Time for a server to print where it listens.
const START: Duration = Duration::from_secs(5);

/// A running echo server; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts `echo_NAME`, built beside this program, on one core.
    ///
    /// # Errors
    /// When it has not been built, cannot be started, or does not print its port (or address) as its first line within
    /// five seconds.
    pub fn start(name: &str, core: usize) -> Result<Self> {
        let program = beside_this_program(&format!("echo_{name}"))?;
        let pinned = beside_this_program("pinned")?;
        let mut child = Command::new(pinned)
            .arg(core.to_string())
            .arg(program)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
        let mut server = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };

        let (sender, first_line) = mpsc::channel();
        thread::spawn(move || {
            // Read to the end, so that a server which says more never waits for a full pipe.
            for line in BufReader::new(stdout)
                .lines()
                .map_while(std::io::Result::ok)
            {
                let _ = sender.send(line);
            }
        });
        let line = first_line
            .recv_timeout(START)
            .map_err(|_| format!("echo_{name} did not say where it listens"))?;
        let port = line
            .rsplit(':')
            .next()
            .and_then(|port| port.trim().parse().ok());
        server.address.set_port(
            port.ok_or_else(|| format!("echo_{name}'s first line, {line:?}, is no port"))?,
        );
        Ok(server)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has already ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn beside_this_program(name: &str) -> Result<PathBuf> {
    let path = env::current_exe()?.with_file_name(name);
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!(
            "{} is not there: run `cargo build --release` in bench/ first",
            path.display()
        )
        .into())
    }
}

/// Becomes `program` on `core`, to be killed by the kernel when the process that started this one dies. Returns only if
/// that fails.
pub fn exec_pinned(core: usize, program: &Path) -> crate::Error {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    match pin(core) {
        Ok(()) => format!("{}: {}", program.display(), Command::new(program).exec()).into(),
        Err(error) => error,
    }
}

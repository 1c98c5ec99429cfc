//! A server's life as a child process: started on its core, its address read from its first line, ended by its own pid,
//! and ended by the kernel if this process dies first.

use std::env;
use std::ffi::OsString;
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

/// What is started as a server.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The file that is run.
    pub path: PathBuf,
    /// What it is given.
    pub arguments: Vec<PathBuf>,
    /// Variables that it needs besides this program's own.
    pub environment: Vec<(String, PathBuf)>,
}

impl Program {
    /// `echo_NAME`, built beside this program.
    ///
    /// # Errors
    /// When it has not been built.
    pub fn built(name: &str) -> Result<Self> {
        Ok(Self {
            path: beside_this_program(&format!("echo_{name}"))?,
            ..Self::default()
        })
    }
}

/// A running echo server; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts `program` on one core.
    ///
    /// # Errors
    /// When it has not been built, cannot be started, or does not print its port (or address) as its first line within
    /// five seconds.
    pub fn start(program: &Program, core: usize) -> Result<Self> {
        let mut child = Command::new(beside_this_program("pinned")?)
            .arg(core.to_string())
            .arg(&program.path)
            .args(&program.arguments)
            .envs(
                program
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
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
            .map_err(|_| format!("{} did not say where it listens", program.path.display()))?;
        let port = line
            .rsplit(':')
            .next()
            .and_then(|port| port.trim().parse().ok());
        server.address.set_port(port.ok_or_else(|| {
            format!(
                "{}'s first line, {line:?}, is no port",
                program.path.display()
            )
        })?);
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
pub fn exec_pinned(core: usize, program: &Path, arguments: &[OsString]) -> crate::Error {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    match pin(core) {
        Ok(()) => {
            let error = Command::new(program).args(arguments).exec();
            format!("{}: {error}", program.display()).into()
        }
        Err(error) => error,
    }
}

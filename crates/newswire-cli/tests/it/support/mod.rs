//! Running the command: a server that ends with its test, and requests by hand. No test lives
//! here.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What any wait may take on a machine that has much else to do.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The command with these arguments, with nothing of this process's surroundings that it heeds.
pub fn newswire(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_newswire"));
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"NEWSWIRE_") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .env_remove("NO_COLOR")
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the command to its end.
pub fn run(arguments: &[&str]) -> Output {
    newswire(arguments).output().unwrap()
}

/// Runs a command that says little to its end, which must come.
pub fn output(mut command: Command) -> Output {
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it does not end: {:?}", child.wait_with_output());
        }
        pause();
    }
    child.wait_with_output().unwrap()
}

/// A `newswire serve`, which is killed when it is dropped.
pub struct Served {
    child: Child,
    pub addr: SocketAddr,
    /// What it has said on standard output before it waits.
    pub greeting: Vec<String>,
    /// The rest of it, unless it was closed.
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Arc<Mutex<Vec<u8>>>,
}

/// Serves on a free port.
pub fn serve(more: &[&str]) -> Served {
    serve_by(newswire(&[&["serve", "--port", "0"], more].concat()))
}

/// Serves with a command of one's own.
pub fn serve_by(command: Command) -> Served {
    let (server, mut stderr) = start(command);
    let collected = Arc::clone(&server.stderr);
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(len @ 1..) = stderr.read(&mut chunk) {
            collected.lock().unwrap().extend_from_slice(&chunk[..len]);
        }
    });
    server
}

/// Serves on a free port; whoever calls reads its standard error, or does not.
pub fn serve_with_stderr(more: &[&str]) -> (Served, ChildStderr) {
    start(newswire(&[&["serve", "--port", "0"], more].concat()))
}

fn start(mut command: Command) -> (Served, ChildStderr) {
    let mut child = command.spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut greeting = Vec::new();
    let addr = loop {
        let mut line = String::new();
        assert!(stdout.read_line(&mut line).unwrap() > 0, "it has ended");
        greeting.push(line.trim_end().to_owned());
        // Over TLS too.
        let line = line.replace("wss://", "ws://");
        if let Some((_, url)) = line.split_once("ws://") {
            break url.trim_end().trim_end_matches("/echo").parse().unwrap();
        }
    };
    let server = Served {
        child,
        addr,
        greeting,
        stdout: Some(stdout),
        stderr: Arc::default(),
    };
    (server, stderr)
}

impl Served {
    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.addr)
    }

    #[cfg(target_os = "linux")]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Nobody reads its standard output any more.
    pub fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Its exit code and what it said on standard output since it listens, once it has ended.
    #[cfg(unix)]
    pub fn wait(&mut self) -> (Option<i32>, String) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "it does not end");
            pause();
        };
        let mut said = String::new();
        if let Some(stdout) = &mut self.stdout {
            stdout.read_to_string(&mut said).unwrap();
        }
        (status.code(), said)
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it has said on standard error so far.
    pub fn errors(&self) -> Vec<u8> {
        self.stderr.lock().unwrap().clone()
    }

    /// What it has said on standard error once that has `lines` lines.
    pub fn errors_of(&self, lines: usize) -> Vec<u8> {
        let start = Instant::now();
        loop {
            let errors = self.errors();
            if errors.iter().filter(|&&byte| byte == b'\n').count() >= lines {
                return errors;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "not {lines} lines: {}",
                errors.escape_ascii()
            );
            pause();
        }
    }

    /// Sends bytes on a connection of their own; what comes back until the server ends it.
    pub fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect_timeout(&self.addr, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The answer to a request without a body: status, headers in small letters, body.
    pub fn request(&self, method: &str, path: &str) -> Answer {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = self.exchange(request.as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
        Answer {
            status: head[9..12].parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    /// A header's value, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1);
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Waits a little, for something that tells nobody when it happens.
fn pause() {
    std::thread::park_timeout(Duration::from_millis(10));
}

/// An empty folder for the test of this name.
pub fn folder(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    // Of the run before, if there was one.
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// What `future` gives. That it takes too long fails the test.
pub async fn within<F: Future>(future: F) -> F::Output {
    let done = tokio::time::timeout(PATIENCE, future).await;
    done.expect("done in time")
}

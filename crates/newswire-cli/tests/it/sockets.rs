//! Unix sockets, and sockets that systemd opens.

use crate::support::{folder, newswire, output};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A server that is ended with its test.
struct Running {
    child: Child,
    greeting: String,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("Ctrl-C") {
            assert!(stdout.read_line(&mut greeting).unwrap() > 0, "{greeting}");
        }
        Self {
            child,
            greeting,
            stdout,
        }
    }

    fn end(mut self) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const HEALTHZ: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

#[track_caller]
fn assert_is_well(mut stream: impl Read + Write) {
    stream.write_all(HEALTHZ).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
}

fn on_unix(path: &Path, more: &[&str]) -> Command {
    newswire(&[&["serve", "--unix", path.to_str().unwrap()], more].concat())
}

#[test]
fn it_listens_on_a_unix_socket_that_is_gone_when_it_ends() {
    let path = folder("unix").join("socket");
    let mode = || path.metadata().unwrap().permissions().mode() & 0o777;
    let server = Running::start(on_unix(&path, &[]));
    assert!(server.greeting.contains(path.to_str().unwrap()));
    assert_eq!(mode(), 0o660);
    assert_is_well(UnixStream::connect(&path).unwrap());

    // Somebody listens there, and goes on doing so.
    let second = output(on_unix(&path, &[]));
    let errors = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(3), "{errors}");
    assert!(errors.contains("somebody listens"), "{errors}");
    assert_is_well(UnixStream::connect(&path).unwrap());

    assert_eq!(server.end().0, Some(0));
    assert!(!path.exists());
    let server = Running::start(on_unix(&path, &["--unix-mode", "600"]));
    assert_eq!(mode(), 0o600);
    drop(server);
}

#[test]
fn a_socket_that_was_left_there_is_taken_over_and_another_file_is_not() {
    let folder = folder("stale");
    let (stale, file) = (folder.join("stale"), folder.join("file"));
    drop(UnixListener::bind(&stale).unwrap());
    let server = Running::start(on_unix(&stale, &[]));
    assert_is_well(UnixStream::connect(&stale).unwrap());
    drop(server);

    std::fs::write(&file, "mine").unwrap();
    for path in [&file, &folder.join("none/socket")] {
        let output = output(on_unix(path, &[]));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{errors}");
        assert!(errors.contains(path.to_str().unwrap()), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

/// What systemd does for a socket unit: opens sockets, of which the first is descriptor 3, and says
/// in the environment how many there are and for whom. It runs what follows it.
const LIKE_SYSTEMD: &str = "\
import os, socket, sys
tcp = socket.create_server(('127.0.0.1', 0))
unix = socket.socket(socket.AF_UNIX)
unix.bind(sys.argv[1])
unix.listen()
os.dup2(os.dup(tcp.fileno()), 3) if tcp.fileno() != 3 else os.set_inheritable(3, True)
os.dup2(unix.fileno(), 4) if unix.fileno() != 4 else os.set_inheritable(4, True)
os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
";

#[test]
fn it_serves_on_what_systemd_has_opened_and_tells_it() {
    let folder = folder("systemd");
    let (socket, notify) = (folder.join("socket"), folder.join("notify"));
    let manager = UnixDatagram::bind(&notify).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let told = || {
        let mut bytes = [0; 256];
        let len = manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..len]).trim().to_owned()
    };
    let plain = newswire(&[]);
    let mut command = Command::new("python3");
    command
        .args(["-c", LIKE_SYSTEMD])
        .arg(&socket)
        .arg(plain.get_program())
        // The port is not its own to choose.
        .args(["serve", "--port", "1"])
        .env("NOTIFY_SOCKET", &notify)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let server = Running::start(command);
    assert_eq!(told(), "READY=1");
    let (_, rest) = server.greeting.split_once("http://").unwrap();
    let addr: SocketAddr = rest.split('/').next().unwrap().parse().unwrap();
    assert_ne!(addr.port(), 1);
    assert_is_well(TcpStream::connect(addr).unwrap());
    assert_is_well(UnixStream::connect(&socket).unwrap());
    let (code, said) = server.end();
    assert_eq!(code, Some(0));
    assert!(said.starts_with("stopped"), "{said}");
    assert_eq!(told(), "STOPPING=1");
    assert!(socket.exists(), "the socket is systemd's");
}

//! `--workers`: as many threads as are asked for, all of which serve, and a clean end.

use crate::support::{Served, serve, within};
use newswire::CloseCode;

/// How many threads of the process are workers.
#[cfg(target_os = "linux")]
fn threads(server: &Served) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")));
    names
        .filter(|name| name.as_ref().unwrap().starts_with("newswire-"))
        .count()
}

#[tokio::test]
async fn two_workers_serve_clients_and_the_page_and_end_with_0() {
    let server = serve(&["--workers", "2"]);
    assert!(server.greeting[0].ends_with(", 2 workers"));
    #[cfg(target_os = "linux")]
    assert_eq!(threads(&server), 2);
    // Both have ended before a worker serves what comes after them.
    assert_eq!(server.request("GET", "/healthz").body, "ok\n");
    assert_eq!(server.request("GET", "/").status, 200);
    let url = server.url("/echo");
    let mut connections = Vec::new();
    for _ in 0..6 {
        let connecting = newswire::connect(&url);
        connections.push(within(connecting).await.unwrap());
    }
    for round in 0..100 {
        for (number, ws) in connections.iter_mut().enumerate() {
            let message = format!("{number}: {round}");
            within(ws.send(&*message)).await.unwrap();
            let echoed = within(ws.recv()).await.unwrap();
            assert_eq!(echoed, Some((&*message).into()));
        }
    }
    assert_ends(server, connections).await;
}

/// That a signal closes the connections with 1001 and ends it with 0.
#[cfg(unix)]
async fn assert_ends(mut server: Served, mut connections: Vec<newswire::WebSocket>) {
    server.signal(rustix::process::Signal::TERM);
    for ws in &mut connections {
        assert_eq!(within(ws.recv()).await.unwrap(), None);
        assert_eq!(ws.close_frame().unwrap().code, CloseCode::GOING_AWAY);
    }
    let (code, said) = server.wait();
    assert_eq!(code, Some(0));
    let closed = format!("stopped, {} connections closed\n", connections.len());
    assert!(said.ends_with(&closed), "{said}");
    assert_eq!(server.errors(), b"");
}

/// Elsewhere there are no signals.
#[cfg(not(unix))]
async fn assert_ends(_: Served, connections: Vec<newswire::WebSocket>) {
    for mut ws in connections {
        within(ws.close(CloseCode::NORMAL, "")).await.unwrap();
    }
}

#[test]
fn one_worker_is_the_main_thread_itself() {
    let server = serve(&["--workers", "1"]);
    assert!(server.greeting[0].ends_with(", 1 worker"));
    #[cfg(target_os = "linux")]
    assert_eq!(threads(&server), 0);
    assert_eq!(server.request("GET", "/healthz").body, "ok\n");
}

#[test]
fn without_the_flag_there_is_one_worker_for_each_core() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let server = serve(&[]);
    let workers = match cores {
        1 => "1 worker".to_owned(),
        cores => format!("{cores} workers"),
    };
    assert!(
        server.greeting[0].ends_with(&format!(", {workers}")),
        "{:?}",
        server.greeting
    );
}

#[cfg(unix)]
#[test]
fn threads_that_cannot_be_started_are_1_and_one_line_that_names_the_flag() {
    let mut command = std::process::Command::new("sh");
    let script = "ulimit -n 64; exec \"$0\" serve --port 0 --workers 1000";
    command.args(["-c", script, env!("CARGO_BIN_EXE_newswire")]);
    let output = command.output().unwrap();
    let stderr = str::from_utf8(&output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(output.stdout, b"");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.starts_with("newswire: cannot start 1000 workers: "),
        "{stderr}"
    );
    assert!(stderr.contains("--workers"), "{stderr}");
}

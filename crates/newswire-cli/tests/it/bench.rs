//! `newswire bench` against the real server: what it counts, what it writes, how it ends.

use crate::support::{PATIENCE, newswire, run, serve};
use serde_json::Value;
use std::process::Output;

/// Runs a load to its end: exit code, results, standard error.
pub fn bench(arguments: &[&str]) -> (Option<i32>, Value, String) {
    read(&run(&[&["bench"], arguments, &["--json", "-"]].concat()))
}

fn read(output: &Output) -> (Option<i32>, Value, String) {
    (
        output.status.code(),
        serde_json::from_slice(&output.stdout).unwrap_or_default(),
        String::from_utf8(output.stderr.clone()).unwrap(),
    )
}

/// A short time to measure.
pub const SHORT: [&str; 4] = ["--duration", "300ms", "--warm-up", "50ms"];

#[test]
fn every_message_comes_back_and_is_counted() {
    let server = serve(&[]);
    let url = server.url("/echo");
    for flags in [
        &["-c", "4", "-d", "4"][..],
        &["-c", "3", "-d", "16", "--size", "16KiB", "--text"],
        &["-c", "2", "-d", "2", "--size", "1MiB", "--binary"],
        &["-c", "1", "--size", "0B"],
        &["-c", "5", "--threads", "2", "--ramp", "50ms"],
    ] {
        let (code, results, errors) = bench(&[&["echo", &url], flags, &SHORT].concat());
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{flags:?}");
        let connections: u64 = flags[1].parse().unwrap();
        assert_eq!(results["handshakes"]["opened"], connections, "{results}");
        assert_eq!(results["handshakes"]["open"], connections, "{results}");
        assert_eq!(results["errors"]["count"], 0);
        let messages = &results["messages"];
        let count = messages["count"].as_u64().unwrap();
        assert!(count > connections, "{results}");
        // Replies are counted when they come, latencies by when the message was due: at either
        // end as many may differ as are in flight.
        let in_flight = results["content"]["in_flight"].as_u64().unwrap() * connections;
        let latencies = messages["latency"]["count"].as_u64().unwrap();
        assert!(count.abs_diff(latencies) <= in_flight, "{results}");
        assert!(messages["latency"]["p50"].as_f64().unwrap() > 0.0);
        assert_eq!(messages["lost"], 0);
        let seconds = results["seconds"].as_f64().unwrap();
        assert!((0.29..0.5).contains(&seconds), "{seconds}");
    }
}

#[test]
fn a_rate_is_kept_to_the_message() {
    let server = serve(&[]);
    for threads in ["1", "2"] {
        let url = server.url("/echo");
        let flags = [
            "-c",
            "3",
            "--rate",
            "1k",
            "--threads",
            threads,
            "--duration",
            "500ms",
            "--warm-up",
            "50ms",
        ];
        let (code, results, errors) = bench(&[&["echo", &url], &flags[..]].concat());
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        assert_eq!(results["content"]["rate"], 1000);
        let due = results["messages"]["latency"]["count"].as_u64().unwrap();
        assert!((499..=501).contains(&due), "{results}");
    }
}

#[test]
fn connections_are_opened_and_closed_one_after_the_other() {
    let server = serve(&["--verbose"]);
    for close in [&[][..], &["--no-close"]] {
        let url = server.url("/echo");
        let (code, results, errors) =
            bench(&[&["connect", &url, "-c", "4"], close, &SHORT].concat());
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        let handshakes = &results["handshakes"];
        let opened = handshakes["opened"].as_u64().unwrap();
        assert!(opened > 20, "{results}");
        assert!(handshakes["latency"]["count"].as_u64().unwrap() <= opened);
        assert!(
            handshakes["per_second"].as_f64().unwrap() > 60.0,
            "{results}"
        );
        assert!(results["messages"].is_null());
    }
}

#[test]
fn connections_that_come_and_go_exchange_their_messages() {
    let server = serve(&[]);
    let url = server.url("/echo");
    let flags = ["-c", "8", "--lifetime", "100ms", "--messages", "5"];
    let (code, results, errors) = bench(
        &[
            &["churn", &url],
            &flags[..],
            &["--duration", "500ms", "--warm-up", "0s"],
        ]
        .concat(),
    );
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    // 8 places, each with a new connection every 100 ms or a little more.
    let opened = results["handshakes"]["opened"].as_u64().unwrap();
    assert!((24..=60).contains(&opened), "{results}");
    let messages = results["messages"]["count"].as_u64().unwrap();
    assert!((80..=240).contains(&messages), "{results}");
}

#[test]
fn slow_readers_do_not_disturb_what_is_measured() {
    let server = serve(&[]);
    let url = server.url("/echo");
    let flags = [
        "-c",
        "3",
        "--slow",
        "2",
        "--read-rate",
        "1KiB",
        "--size",
        "1KiB",
    ];
    let (code, results, errors) = bench(&[&["slow", &url], &flags[..], &SHORT].concat());
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(results["slow_connections"], 2);
    assert_eq!(results["handshakes"]["opened"], 5);
    assert!(
        results["messages"]["count"].as_u64().unwrap() > 10,
        "{results}"
    );
    assert_eq!(results["messages"]["lost"], 0);
}

#[test]
fn after_a_storm_all_connections_are_back() {
    let server = serve(&[]);
    let url = server.url("/echo");
    let flags = ["-c", "20", "--rounds", "3", "--pause", "20ms"];
    let (code, results, errors) = bench(&[&["storm", &url], &flags[..]].concat());
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(results["handshakes"]["opened"], 80, "{results}");
    assert_eq!(results["handshakes"]["open"], 20);
    let rounds = results["storm"]["recovery_seconds"].as_array().unwrap();
    assert_eq!(rounds.len(), 3);
    for seconds in rounds {
        let seconds = seconds.as_f64().unwrap();
        assert!(
            seconds > 0.0 && seconds < PATIENCE.as_secs_f64(),
            "{results}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_memory_and_the_cpu_time_of_the_server_are_read() {
    let server = serve(&[]);
    let url = server.url("/echo");
    let pid = server.pid().to_string();
    let idle = ["idle", &url, "--pid", &pid, "-c", "200", "--messages", "2"];
    let (code, results, errors) = bench(&[&idle[..], &SHORT].concat());
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(results["handshakes"]["open"], 200);
    let each = results["server"]["bytes_per_connection"].as_f64().unwrap();
    assert!(each > 0.0 && each < 100_000.0, "{results}");

    // Its allocator may have kept what the first ones left: a threshold needs a fresh server.
    let fresh = serve(&[]);
    let (url, pid) = (fresh.url("/echo"), fresh.pid().to_string());
    let idle = [
        "idle",
        &url,
        "--pid",
        &pid,
        "-c",
        "200",
        "--max-memory",
        "1B",
    ];
    let (code, _, errors) = bench(&[&idle[..], &SHORT].concat());
    assert_eq!(code, Some(4));
    assert!(
        errors.contains("of memory for each connection, --max-memory is 1 B"),
        "{errors}"
    );

    let echo = ["echo", &url, "--pid", &pid, "-d", "8"];
    let (_, results, _) = bench(&[&echo[..], &SHORT].concat());
    let server = &results["server"];
    let cpu = server["cpu_seconds"].as_f64().unwrap();
    assert!(cpu > 0.0 && cpu < 2.0, "{results}");
    let rate = results["messages"]["per_second"].as_f64().unwrap();
    let share = server["cpu_share"].as_f64().unwrap();
    let per_cpu_second = server["messages_per_cpu_second"].as_f64().unwrap();
    assert!(
        share > 0.0 && (per_cpu_second * share / rate - 1.0).abs() < 1e-6,
        "{results}"
    );
    assert!(results["load_generator"]["cpu_seconds"].as_f64().unwrap() > 0.0);
}

#[cfg(target_os = "linux")]
#[test]
fn connections_come_from_the_source_addresses_in_turn() {
    let (peers, seen) = std::sync::mpsc::sync_channel(16);
    let address = crate::bench_server::serve_by(move |mut peer| {
        peers.send(peer.address().ip().to_string()).ok()?;
        while peer.echo().is_some() {}
        None
    });
    let url = format!("ws://{address}/");
    let flags = ["-c", "6", "--source", "127.0.0.2-127.0.0.3,127.0.0.7"];
    let (code, _, errors) = bench(&[&["echo", &url], &flags[..], &SHORT].concat());
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let mut seen: Vec<String> = seen.try_iter().collect();
    seen.sort();
    let twice = |ip: &str| [ip.to_owned(), ip.to_owned()];
    assert_eq!(
        seen,
        ["127.0.0.2", "127.0.0.3", "127.0.0.7"].map(twice).concat()
    );
}

#[test]
fn results_are_a_table_and_files() {
    let server = serve(&[]);
    let url = server.url("/echo");
    let folder = std::env::temp_dir().join(format!("newswire-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let [json, hdr, svg] = ["r.json", "r.txt", "r.svg"].map(|name| folder.join(name));
    let output = newswire(&["bench", "echo", &url, "-c", "2"])
        .args(SHORT)
        .arg("--json")
        .arg(&json)
        .arg("--hdr")
        .arg(&hdr)
        .arg("--svg")
        .arg(&svg)
        .output()
        .unwrap();
    let files = [&json, &hdr, &svg].map(|path| std::fs::read_to_string(path).unwrap());
    std::fs::remove_dir_all(&folder).unwrap();

    let table = String::from_utf8(output.stdout).unwrap();
    for row in [
        "load            echo, 2 connections, 1 in flight",
        "latency         p50 ",
        "errors          none",
    ] {
        assert!(table.contains(row), "{table}");
    }
    let results: Value = serde_json::from_str(&files[0]).unwrap();
    let count = results["messages"]["latency"]["count"].as_u64().unwrap();
    let total = format!("Total count    = {count:12}]");
    assert!(files[1].contains(&total), "{}", files[1]);
    assert!(files[2].starts_with("<svg ") && files[2].contains("2 connections"));
}

#[test]
fn progress_is_shown_without_a_terminal_only_when_asked_for() {
    let server = serve(&[]);
    let url = server.url("/echo");
    let flags = [
        "echo",
        &url,
        "-c",
        "2",
        "--duration",
        "1100ms",
        "--warm-up",
        "0s",
    ];
    let (code, _, errors) = bench(&[&flags[..], &["--verbose"]].concat());
    assert_eq!(code, Some(0));
    assert!(errors.lines().count() > 0);
    for line in errors.lines() {
        assert!(
            line.contains(" messages/s, ") && line.contains(" of 2 open"),
            "{errors}"
        );
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_prints_what_there_is() {
    use rustix::process::{Pid, Signal, kill_process};
    let server = serve(&[]);
    let url = server.url("/echo");
    let child = newswire(&[
        "bench",
        "echo",
        &url,
        "--duration",
        "1m",
        "--warm-up",
        "0s",
        "--json",
        "-",
    ])
    .spawn()
    .unwrap();
    std::thread::park_timeout(std::time::Duration::from_millis(600));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let (code, results, errors) = read(&child.wait_with_output().unwrap());
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(results["interrupted"], true);
    assert!(
        results["messages"]["count"].as_u64().unwrap() > 0,
        "{results}"
    );
    assert!(results["seconds"].as_f64().unwrap() < 30.0);
}

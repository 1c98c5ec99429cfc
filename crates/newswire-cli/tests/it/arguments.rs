//! The command line: exit codes, and one line for what is wrong.

use crate::support::{run, serve};
use std::process::Output;

/// That it ended with this code, said one line on standard error and nothing else.
#[track_caller]
fn assert_one_line(output: &Output, code: i32, parts: &[&str]) {
    let stderr = str::from_utf8(&output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(output.stdout, b"", "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("newswire: "), "{stderr}");
    assert!(stderr.ends_with('\n'), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
}

#[test]
fn a_taken_port_is_3_and_one_line_that_says_what_to_do() {
    let server = serve(&[]);
    let port = server.addr.port().to_string();
    let output = run(&["serve", "--port", &port]);
    assert_one_line(&output, 3, &[&server.addr.to_string(), "taken", "--port"]);
    // And whoever had it is well.
    assert_eq!(server.request("GET", "/healthz").status, 200);
}

#[test]
fn an_address_that_cannot_be_listened_on_is_3() {
    // RFC 5737: 203.0.113.0/24 is for documentation, so no machine has it.
    let output = run(&["serve", "--host", "203.0.113.1", "--port", "0"]);
    assert_one_line(
        &output,
        3,
        &["203.0.113.1:0", "does not have that address", "--host"],
    );
    for host in ["not a name", ""] {
        let output = run(&["serve", "--host", host, "--port", "0"]);
        assert_one_line(&output, 3, &["cannot listen on", "--host"]);
    }
}

#[test]
fn an_argument_that_is_wrong_is_2_and_one_line_that_names_it() {
    for (arguments, parts) in [
        (&["serve", "--nonsense"][..], &["--nonsense", "--help"][..]),
        (&["serve", "--port"], &["--port"]),
        (&["serve", "--port", "65536"], &["65536", "--port"]),
        (&["serve", "--port", "-1"], &["-1"]),
        (&["serve", "--port", "http"], &["http", "--port"]),
        (
            &["serve", "--max-message-size", "lots"],
            &["lots", "--max-message-size"],
        ),
        (&["serve", "--max-message-size", "-1"], &["-1"]),
        (
            &["serve", "--workers", "0"],
            &["'0'", "--workers", "from 1"],
        ),
        (&["serve", "--workers", "1025"], &["1025", "--workers"]),
        (&["serve", "--workers", "-1"], &["-1"]),
        (&["serve", "--workers", "all"], &["all", "--workers"]),
        (&["serve", "extra"], &["extra"]),
        (&["serve", "--port", "1", "--port", "2"], &["--port"]),
        (&["sevre"], &["sevre", "serve"]),
        (&["--nonsense"], &["--nonsense"]),
        (&["serve", "--port", "two\nlines"], &["--port"]),
        (&["serve", "--\x1b[31mred"], &["--help"]),
    ] {
        let output = run(arguments);
        assert_one_line(&output, 2, parts);
        assert!(!output.stderr.contains(&0x1b), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_on_standard_output_and_0() {
    for (arguments, parts) in [
        (&["--help"][..], &["serve", "Exit codes"][..]),
        (&["-h"], &["serve"]),
        (&["help"], &["serve"]),
        (
            &["serve", "--help"],
            &["--port", "--host", "--max-message-size", "9998"],
        ),
        (&["help", "serve"], &["--port"]),
        (&["--version"], &[env!("CARGO_PKG_VERSION")]),
        (&["-V"], &["newswire "]),
    ] {
        let output = run(arguments);
        let stdout = str::from_utf8(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(output.stderr, b"", "{arguments:?}");
        for part in parts {
            assert!(
                stdout.contains(part),
                "{arguments:?}: no {part:?} in {stdout}"
            );
        }
    }
}

#[test]
fn without_a_command_the_help_is_shown_and_the_code_is_2() {
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(output.stdout, b"");
    assert!(str::from_utf8(&output.stderr).unwrap().contains("serve"));
}

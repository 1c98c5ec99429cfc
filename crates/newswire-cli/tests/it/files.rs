//! `--root`: the files of a directory, and nothing of what is beside it, however it is asked for.

use crate::support::{Answer, Served, folder, newswire, output, serve, within};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A directory to serve with something beside it that must not be seen.
fn site(test: &str) -> PathBuf {
    let root = folder(test).join("site");
    fs::create_dir_all(root.join("docs/deep")).unwrap();
    fs::create_dir_all(root.join(".git")).unwrap();
    fs::create_dir_all(root.join(".well-known")).unwrap();
    for (name, content) in [
        ("index.html", "<p>start\n"),
        ("docs/index.html", "<p>docs\n"),
        ("docs/deep/a b.txt", "äöü\n"),
        ("data.bin", "0123456789"),
        ("script.js", "1\n"),
        (".git/config", "secret"),
        (".env", "secret"),
        (".well-known/security.txt", "Contact: x\n"),
        ("../beside.txt", "secret"),
        ("../site-2.txt", "secret"),
    ] {
        fs::write(root.join(name), content).unwrap();
    }
    root
}

fn serve_root(root: &Path) -> Served {
    serve(&["--root", root.to_str().unwrap()])
}

#[track_caller]
fn assert_is(answer: &Answer, kind: &str, body: &str) {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some(kind));
    assert_eq!(answer.body, body);
    let length = body.len().to_string();
    assert_eq!(answer.header("content-length"), Some(&*length));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn files_are_served_with_their_kinds() {
    let server = serve_root(&site("kinds"));
    assert!(
        server.greeting[1].contains("files"),
        "{:?}",
        server.greeting
    );
    let get = |path| server.request("GET", path);
    assert_is(&get("/"), "text/html; charset=utf-8", "<p>start\n");
    assert_is(
        &get("/index.html?a=b"),
        "text/html; charset=utf-8",
        "<p>start\n",
    );
    assert_is(&get("/docs/"), "text/html; charset=utf-8", "<p>docs\n");
    assert_is(
        &get("/docs/deep/a%20b.txt"),
        "text/plain; charset=utf-8",
        "äöü\n",
    );
    assert_is(&get("/script.js"), "text/javascript; charset=utf-8", "1\n");
    assert_is(&get("/data.bin"), "application/octet-stream", "0123456789");
    let head = server.request("HEAD", "/data.bin");
    assert_eq!((head.status, &*head.body), (200, ""));
    assert_eq!(head.header("content-length"), Some("10"));
    let answer = get("/docs?a=b");
    assert_eq!(answer.status, 307);
    assert_eq!(answer.header("location"), Some("/docs/?a=b"));
    for path in [
        "/docs/deep/",
        "/nothing",
        "/data.bin/",
        "/data.bin/x",
        "/page.js",
    ] {
        assert_eq!(get(path).status, 404, "{path}");
    }
    let answer = server.request("POST", "/data.bin");
    assert_eq!(answer.status, 405);
}

#[tokio::test]
async fn the_echo_and_healthz_stay() {
    let root = site("stay");
    fs::write(root.join("healthz"), "ill").unwrap();
    let server = serve_root(&root);
    assert_eq!(server.request("GET", "/healthz").body, "ok\n");
    assert_eq!(server.request("GET", "/echo").status, 426);
    let mut ws = within(newswire::connect(&server.url("/echo")))
        .await
        .unwrap();
    within(ws.send("hello")).await.unwrap();
    assert_eq!(within(ws.recv()).await.unwrap(), Some("hello".into()));
}

#[test]
fn parts_and_conditions_are_understood() {
    let server = serve_root(&site("parts"));
    let ask = |more: &str| {
        let request =
            format!("GET /data.bin HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{more}\r\n\r\n");
        server.exchange(request.as_bytes())
    };
    for (range, status, body) in [
        ("bytes=2-4", "206 ", "234"),
        ("bytes=-3", "206 ", "789"),
        ("bytes=8-", "206 ", "89"),
        ("bytes=10-", "416 ", ""),
        ("bytes=4-2", "416 ", ""),
        ("lines=1-2", "416 ", ""),
    ] {
        let answer = ask(&format!("Range: {range}"));
        assert!(answer[9..].starts_with(status), "{range}: {answer}");
        assert!(
            answer.ends_with(&format!("\r\n\r\n{body}")),
            "{range}: {answer}"
        );
    }
    let answer_to_all = ask("Accept: */*");
    let modified = answer_to_all
        .lines()
        .find_map(|line| line.strip_prefix("last-modified: "));
    let modified = modified.expect(&answer_to_all);
    let answer = ask(&format!("If-Modified-Since: {modified}"));
    assert!(answer.starts_with("HTTP/1.1 304 "), "{answer}");
    let etag = answer_to_all
        .lines()
        .find_map(|line| line.strip_prefix("etag: "));
    let answer = ask(&format!("If-None-Match: {}", etag.expect(&answer_to_all)));
    assert!(answer.starts_with("HTTP/1.1 304 "), "{answer}");
    let answer = ask("If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT");
    assert!(answer.starts_with("HTTP/1.1 412 "), "{answer}");
}

#[test]
fn nothing_leads_out_of_the_directory() {
    let server = serve_root(&site("out"));
    for path in [
        "/../beside.txt",
        "/docs/../../beside.txt",
        "/%2e%2e/beside.txt",
        "/%2E%2E%2Fbeside.txt",
        "/..%2fbeside.txt",
        "/..%5cbeside.txt",
        "/..\\beside.txt",
        "/docs/%2e%2e/%2e%2e/beside.txt",
        "/%252e%252e/beside.txt",
        "/..;/beside.txt",
        "/%c0%ae%c0%ae/beside.txt",
        "/../site-2.txt",
        "//beside.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/%2fetc%2fpasswd",
        "/etc/passwd",
        "/data.bin%00",
        "/%00",
        "/data.bin%00.html",
        "/%ff%fe",
        "/docs/%0d%0aSet-Cookie:%20a",
    ] {
        let answer = server.request("GET", path);
        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {}",
            answer.status
        );
        assert!(
            !answer.body.contains("secret") && !answer.body.contains("root:"),
            "{path}"
        );
        assert_eq!(answer.header("set-cookie"), None);
    }
    let long = format!("/{}", "a".repeat(5000));
    assert_eq!(server.request("GET", &long).status, 404);
    assert_eq!(server.errors(), b"");
}

#[test]
fn hidden_files_are_served_only_when_asked_for() {
    let root = site("hidden");
    let server = serve_root(&root);
    for path in [
        "/.env",
        "/.git/config",
        "/%2eenv",
        "/.git/",
        "/.well-known/../.env",
    ] {
        assert_eq!(server.request("GET", path).status, 404, "{path}");
    }
    let answer = server.request("GET", "/.well-known/security.txt");
    assert_eq!(answer.body, "Contact: x\n");
    let server = serve(&["-d", root.to_str().unwrap(), "--root-hidden"]);
    assert_eq!(server.request("GET", "/.env").body, "secret");
    assert_eq!(server.request("GET", "/.git/config").body, "secret");
}

#[cfg(unix)]
#[test]
fn links_are_followed_within_the_directory_and_not_out_of_it() {
    use std::os::unix::fs::symlink;
    let root = site("links");
    for (link, target) in [
        ("inside", "data.bin".into()),
        ("inside-absolute", root.join("data.bin")),
        ("folder", "docs".into()),
        ("out", "../beside.txt".into()),
        ("out-absolute", "/etc/passwd".into()),
        ("out-folder", "..".into()),
        ("chain", "out-folder/beside.txt".into()),
        ("again", "again".into()),
        ("dangling", "nothing".into()),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    let server = serve_root(&root);
    let get = |path| server.request("GET", path);
    assert_eq!(get("/inside").body, "0123456789");
    assert_eq!(get("/inside-absolute").body, "0123456789");
    assert_eq!(get("/folder/").body, "<p>docs\n");
    for path in [
        "/out",
        "/out-absolute",
        "/out-folder/",
        "/out-folder/beside.txt",
        "/chain",
        "/again",
        "/dangling",
    ] {
        for method in ["GET", "HEAD"] {
            let answer = server.request(method, path);
            assert_eq!((answer.status, &*answer.body), (404, ""), "{method} {path}");
        }
    }
    // The directory itself may be named by a link.
    let link = root.parent().unwrap().join("link");
    symlink(&root, &link).unwrap();
    assert_eq!(
        serve_root(&link).request("GET", "/data.bin").body,
        "0123456789"
    );
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_waited_for() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let root = site("pipe");
    mknodat(
        CWD,
        root.join("pipe"),
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let server = serve_root(&root);
    for path in ["/pipe", "/socket"] {
        for method in ["GET", "HEAD"] {
            assert_eq!(server.request(method, path).status, 404, "{method} {path}");
        }
    }
}

#[test]
fn a_download_may_take_longer_than_a_handshake() {
    let root = site("slow");
    let big = vec![b'x'; 32 << 20];
    fs::write(root.join("big"), &big).unwrap();
    let root = root.to_str().unwrap();
    let server = serve(&["--root", root, "--handshake-timeout", "1s"]);
    let mut stream = server.connect();
    let request = "GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    for _ in 0..6 {
        std::thread::park_timeout(Duration::from_millis(300));
        (&mut stream)
            .take(1 << 20)
            .read_to_end(&mut answer)
            .unwrap();
    }
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(&big), "{} bytes", answer.len());
}

#[test]
fn a_root_that_is_no_directory_is_refused() {
    let root = site("refused");
    for name in ["nothing", "data.bin"] {
        let path = root.join(name).to_str().unwrap().to_owned();
        let output = output(newswire(&["serve", "--port", "0", "--root", &path]));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(
            errors.contains(&path) && errors.contains("--root"),
            "{errors}"
        );
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

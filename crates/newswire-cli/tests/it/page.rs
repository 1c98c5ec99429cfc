//! What the server serves over plain HTTP: the page, its files, and how it is.

use crate::support::serve;
use std::collections::BTreeSet;
use std::path::Path;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/page");

/// The path that a file of the page is served at.
fn path_of(file: &str) -> String {
    match file {
        "index.html" => "/".to_owned(),
        other => format!("/{other}"),
    }
}

#[test]
fn each_file_of_the_page_is_served_as_it_is() {
    let server = serve(&[]);
    let mut files = 0;
    for entry in Path::new(PAGE).read_dir().unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let content = std::fs::read_to_string(Path::new(PAGE).join(&name)).unwrap();
        let answer = server.request("GET", &path_of(&name));
        assert_eq!(answer.status, 200, "{name}");
        assert!(answer.body == content, "{name} is another file");
        let length = content.len().to_string();
        assert_eq!(answer.header("content-length"), Some(&*length), "{name}");
        let kind = match name.rsplit_once('.').unwrap().1 {
            "html" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            other => panic!("what is {other}?"),
        };
        assert_eq!(answer.header("content-type"), Some(kind), "{name}");
        files += 1;
    }
    assert!(files >= 3, "{files}");
}

/// What the attribute or import in `text` behind each `before` names.
fn named(text: &str, before: &str) -> Vec<String> {
    let mut parts = text.split(before);
    parts.next();
    let names = parts.filter_map(|part| part.split(['"', '\'']).next());
    names.map(str::to_owned).collect()
}

#[test]
fn everything_that_the_page_names_is_served() {
    let server = serve(&[]);
    let mut wanted: Vec<String> = vec!["/".to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(path) = wanted.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let answer = server.request("GET", &path);
        assert_eq!(answer.status, 200, "{path}");
        for before in ["src=\"", "href=\"", "from \"./", "import \"./"] {
            for name in named(&answer.body, before) {
                let outside = ["http:", "https:", "data:", "#"];
                if !outside.iter().any(|start| name.starts_with(start)) {
                    wanted.push(format!("/{}", name.trim_start_matches(['.', '/'])));
                }
            }
        }
    }
    assert!(seen.len() >= 3, "{seen:?}");
}

#[test]
fn the_page_may_load_nothing_from_elsewhere_and_stand_in_no_frame() {
    let server = serve(&[]);
    for path in ["/", "/page.js", "/favicon.svg", "/healthz"] {
        let answer = server.request("GET", path);
        let policy = answer.header("content-security-policy").expect(path);
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src ws: wss:",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(
                policy.split("; ").any(|found| found == rule),
                "{path}: {policy}"
            );
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

#[test]
fn healthz_says_that_it_is_well() {
    let server = serve(&[]);
    let answer = server.request("GET", "/healthz");
    assert_eq!((answer.status, &*answer.body), (200, "ok\n"));
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(server.request("GET", "/healthz?verbose").status, 200);
}

#[test]
fn a_head_request_has_the_head_of_the_answer_and_no_body() {
    let server = serve(&[]);
    for path in ["/", "/page.css", "/healthz"] {
        let (get, head) = (server.request("GET", path), server.request("HEAD", path));
        assert_eq!((head.status, &*head.body), (200, ""));
        for name in ["content-length", "content-type", "content-security-policy"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
    }
}

#[test]
fn what_is_not_there_is_404_and_another_method_405() {
    let server = serve(&[]);
    for path in [
        "/nothing",
        "/index.html/",
        "/page",
        "/../Cargo.toml",
        "/echo/",
        "//",
    ] {
        let answer = server.request("GET", path);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.body, "nothing is served at this path\n", "{path}");
    }
    for path in ["/", "/healthz", "/page.js"] {
        for method in ["POST", "PUT", "DELETE"] {
            let answer = server.request(method, path);
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("get,head"), "{method} {path}");
        }
    }
    let answer = server.request("GET", "/echo");
    assert_eq!(answer.status, 426);
    assert_eq!(answer.header("sec-websocket-version"), Some("13"));
}

//! Which pages may connect, by their `Origin`.

use newswire::server::Origins;
use proptest::prelude::*;

fn allows(origins: &Origins, origin: &str) -> bool {
    origins
        .check(Some(origin), Some("example.com"), true)
        .is_ok()
}

fn list(patterns: &[&str]) -> Origins {
    Origins::list(patterns).unwrap()
}

#[test]
fn by_default_a_page_may_connect_to_its_own_host_only() {
    let origins = Origins::default();
    for (origin, host, allowed) in [
        ("https://example.com", "example.com", true),
        ("https://example.com:443", "example.com", true),
        ("https://example.com", "example.com:443", true),
        ("https://example.com", "example.com:", true),
        ("HTTPS://Example.COM", "eXample.com", true),
        ("https://example.com:8443", "example.com:8443", true),
        ("http://localhost:9998", "localhost:9998", true),
        ("http://[::1]:9998", "[0:0:0:0:0:0:0:1]:9998", true),
        ("http://127.0.0.1", "127.0.0.1", true),
        ("https://example.com", "example.com:80", false),
        ("https://example.com:8443", "example.com", false),
        ("https://www.example.com", "example.com", false),
        ("https://example.com.evil.example", "example.com", false),
        ("https://evil.example", "example.com", false),
        ("http://localhost:9998", "127.0.0.1:9998", false),
        ("ftp://example.com", "example.com", false),
        ("chrome-extension://abcdef", "abcdef", false),
        ("https://user@example.com", "example.com", false),
        ("https://example.com/", "example.com", false),
        (
            "https://example.com https://evil.example",
            "example.com",
            false,
        ),
        ("example.com", "example.com", false),
        ("", "example.com", false),
        ("https://example.com:99999", "example.com:99999", false),
    ] {
        let verdict = origins.check(Some(origin), Some(host), false);
        assert_eq!(verdict.is_ok(), allowed, "{origin} to {host}: {verdict:?}");
    }
    assert!(
        origins
            .check(Some("https://example.com"), None, false)
            .is_err()
    );
}

#[test]
fn over_tls_a_page_that_came_without_is_another_origin() {
    let origins = Origins::same_origin();
    let check = |origin, secure| {
        origins
            .check(Some(origin), Some("example.com"), secure)
            .is_ok()
    };
    assert!(check("https://example.com", true));
    assert!(!check("http://example.com", true));
    // Where TLS may have been taken off by a proxy nobody can know.
    assert!(check("https://example.com", false));
    assert!(check("http://example.com", false));
}

#[test]
fn a_refusal_is_a_403_that_names_the_page() {
    let evil = "https://evil.example";
    let rejection = Origins::default()
        .check(Some(evil), Some("example.com"), false)
        .unwrap_err();
    assert_eq!(rejection.status(), 403);
    assert_eq!(
        rejection.reason(),
        "pages of \"https://evil.example\" may not connect to \"example.com\""
    );
    let long = format!("https://{}\u{7}\n", "x".repeat(5000));
    let rejection = list(&["https://a.example"])
        .check(Some(&long), None, false)
        .unwrap_err();
    assert!(rejection.reason().len() < 200, "{rejection}");
}

#[test]
fn a_list_lets_in_what_it_names_and_nothing_else() {
    for (pattern, inside, outside) in [
        (
            "https://example.com",
            "https://example.com",
            "http://example.com",
        ),
        (
            "https://example.com",
            "https://EXAMPLE.com:443",
            "https://example.com:8443",
        ),
        (
            "https://example.com:443",
            "https://example.com",
            "https://example.co",
        ),
        (
            "HTTPS://Example.Com",
            "https://example.com",
            "https://xexample.com",
        ),
        (
            "https://example.com:8443",
            "https://example.com:8443",
            "https://example.com",
        ),
        (
            "https://*.example.com",
            "https://www.example.com",
            "https://example.com",
        ),
        (
            "https://*.example.com",
            "https://a.b.example.com",
            "https://www.example.com.evil.net",
        ),
        (
            "https://*.example.com",
            "https://a.example.com",
            "https://evilexample.com",
        ),
        (
            "https://*.example.com",
            "https://a.example.com",
            "https://.example.com",
        ),
        (
            "https://*.example.com:*",
            "https://a.example.com:1",
            "http://a.example.com:1",
        ),
        (
            "http://localhost:*",
            "http://localhost:3000",
            "http://localhost.evil.net:3000",
        ),
        (
            "http://localhost:*",
            "http://localhost",
            "https://localhost",
        ),
        (
            "example.com",
            "http://example.com",
            "http://example.com:8080",
        ),
        ("example.com", "https://example.com", "ftp://example.com"),
        (
            "example.com:8443",
            "http://example.com:8443",
            "https://example.com",
        ),
        (
            "http://[0:0::1]:8080",
            "http://[::1]:8080",
            "http://[::2]:8080",
        ),
        (
            "chrome-extension://abcdef",
            "chrome-extension://abcdef",
            "chrome-extension://abc",
        ),
        (
            " https://example.com ",
            "https://example.com",
            "https://example.org",
        ),
    ] {
        let origins = list(&[pattern]);
        assert!(allows(&origins, inside), "{pattern} lets {inside} in");
        assert!(!allows(&origins, outside), "{pattern} keeps {outside} out");
    }
    let both = list(&["https://a.example", "https://b.example"]);
    assert!(allows(&both, "https://b.example"));
    assert!(
        !allows(&both, "https://example.com"),
        "it is the server's own"
    );
    assert!(allows(&both.and_same_origin(), "https://example.com"));
    assert!(!allows(&list(&[]), "https://example.com"));
}

#[test]
fn pages_without_an_origin_and_clients_that_send_none_are_switches_of_their_own() {
    let check =
        |origins: &Origins, origin| origins.check(origin, Some("example.com"), false).is_ok();
    for origins in [Origins::same_origin(), list(&["https://a.example"])] {
        assert!(!check(&origins, Some("null")));
        assert!(check(&origins, None));
        let changed = origins.clone().allow_null(true).allow_missing(false);
        assert!(check(&changed, Some("null")));
        assert!(!check(&changed, None));
        assert!(
            !check(&changed, Some("https://evil.example")),
            "the rest is as it was"
        );
    }
    let any = Origins::any();
    for origin in [
        Some("null"),
        Some("https://evil.example"),
        Some("not an origin"),
        None,
    ] {
        assert!(check(&any, origin), "{origin:?}");
    }
    let pages = Origins::any().allow_null(false).allow_missing(false);
    assert!(!check(&pages, Some("null")) && !check(&pages, None));
    assert!(check(&pages, Some("https://evil.example")));
}

#[test]
fn a_pattern_that_is_no_origin_is_an_error_that_says_what_to_write() {
    for (pattern, says) in [
        ("*", "Origins::any"),
        ("null", "Origins::allow_null"),
        ("https://example.com/", "leave out"),
        ("https://example.com/path", "leave out"),
        ("wss://example.com", "write http:// or https://"),
        ("https://*", "at the beginning"),
        ("https://www.*.com", "at the beginning"),
        ("https://*example.com", "at the beginning"),
        ("https://example.com:80:*", "two ports"),
        ("https://user@example.com", "write https://example.com"),
        ("https://bücher.example", "xn--"),
        ("1http://example.com", "a scheme is letters"),
        ("", "write https://example.com"),
        ("https://example.com:99999", "write https://example.com"),
        ("https://example.com https://example.org", "leave out"),
    ] {
        let error = Origins::list([pattern]).expect_err(pattern).to_string();
        assert!(error.contains(says), "{pattern}: {error}");
    }
}

proptest! {
    #[test]
    fn nothing_is_too_strange_to_be_judged(pattern in "\\PC{0,40}", origin in "\\PC{0,40}", host in "\\PC{0,40}") {
        for origins in [Some(Origins::same_origin()), Origins::list([&pattern]).ok()].into_iter().flatten() {
            let _ = origins.check(Some(&origin), Some(&host), true);
        }
    }

    #[test]
    fn a_host_below_is_let_in_by_a_wildcard_and_by_nothing_shorter(
        below in "[a-z]{1,8}(\\.[a-z]{1,8}){0,2}", port in 1..u16::MAX,
    ) {
        let wildcard = list(&["https://*.example.com:*"]);
        prop_assert!(allows(&wildcard, &format!("https://{below}.example.com:{port}")), "{}", below);
        prop_assert!(!allows(&wildcard, &format!("https://{below}example.com:{port}")), "{}", below);
        prop_assert!(!allows(&wildcard, &format!("https://example.com.{below}:{port}")), "{}", below);
    }
}

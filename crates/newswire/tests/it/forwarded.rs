//! What is believed of `Forwarded` and the `X-Forwarded-` headers, and of whom.

use http::{HeaderMap, HeaderName, HeaderValue};
use newswire::server::{Forwarded, TrustedProxies};
use proptest::prelude::*;
use std::net::IpAddr;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.iter().map(pair) {
        headers.append(name, value);
    }
    headers
}

/// What the proxy at 10.0.0.1 is believed, when the whole of 10.0.0.0/8 is trusted.
fn believed(lines: &[(&str, &str)]) -> Forwarded {
    let proxies = TrustedProxies::new(["10.0.0.0/8"]).unwrap();
    proxies.resolve(Some(ip("10.0.0.1")), &headers(lines))
}

fn client(lines: &[(&str, &str)]) -> Option<IpAddr> {
    believed(lines).client
}

#[test]
fn nobody_is_believed_who_is_not_trusted() {
    let lines = headers(&[("forwarded", "for=192.0.2.7;proto=https;host=a.example")]);
    let proxies = TrustedProxies::new(["10.0.0.0/8"]).unwrap();
    for peer in [Some(ip("192.0.2.1")), Some(ip("::1")), None] {
        assert_eq!(
            proxies.resolve(peer, &lines),
            Forwarded::default(),
            "{peer:?}"
        );
    }
    let nobody = TrustedProxies::default();
    assert!(nobody.is_empty());
    assert_eq!(
        nobody.resolve(Some(ip("10.0.0.1")), &lines),
        Forwarded::default()
    );
    let unix = TrustedProxies::new(["unix"]).unwrap();
    assert_eq!(unix.resolve(None, &lines).client, Some(ip("192.0.2.7")));
    assert_eq!(unix.resolve(Some(ip("10.0.0.1")), &lines).client, None);
}

#[test]
fn a_trusted_proxy_tells_address_scheme_and_host() {
    let told = believed(&[(
        "forwarded",
        "For=\"[2001:db8::7]:4711\" ; PROTO=https;host=\"www.example.com:8443\";by=10.0.0.1",
    )]);
    assert_eq!(told.client, Some(ip("2001:db8::7")));
    assert_eq!(told.secure, Some(true));
    assert_eq!(told.host.as_deref(), Some("www.example.com:8443"));

    let told = believed(&[
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-proto", "HTTP"),
        ("x-forwarded-host", "example.com"),
    ]);
    assert_eq!(told.client, Some(ip("192.0.2.7")));
    assert_eq!(told.secure, Some(false));
    assert_eq!(told.host.as_deref(), Some("example.com"));
}

#[test]
fn addresses_are_read_in_all_their_forms() {
    for (text, expected) in [
        ("for=192.0.2.7", "192.0.2.7"),
        ("for=\"192.0.2.7:80\"", "192.0.2.7"),
        ("for=192.0.2.7:80", "192.0.2.7"),
        ("for=\"192.0.2.7:_port\"", "192.0.2.7"),
        ("for=\"[2001:db8::7]\"", "2001:db8::7"),
        ("for=\"[2001:db8::7]:80\"", "2001:db8::7"),
        ("for=\"[2001:db8::7]:_port\"", "2001:db8::7"),
        ("for=\"[2001:db8::\\7]\"", "2001:db8::7"),
        ("for=\"[::ffff:192.0.2.7]\"", "192.0.2.7"),
    ] {
        assert_eq!(client(&[("forwarded", text)]), Some(ip(expected)), "{text}");
    }
    for (text, expected) in [
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:80", "2001:db8::7"),
        ("192.0.2.7:80", "192.0.2.7"),
    ] {
        assert_eq!(
            client(&[("x-forwarded-for", text)]),
            Some(ip(expected)),
            "{text}"
        );
    }
}

#[test]
fn the_first_address_from_the_right_that_is_not_trusted_is_the_clients() {
    for (line, expected) in [
        ("192.0.2.66, 192.0.2.7", "192.0.2.7"),
        ("192.0.2.66, 192.0.2.7, 10.0.0.3, 10.0.0.2", "192.0.2.7"),
        ("10.0.0.9, 10.0.0.2", "10.0.0.9"),
        ("192.0.2.66, , 192.0.2.7 ,, 10.0.0.2,", "192.0.2.7"),
    ] {
        assert_eq!(
            client(&[("x-forwarded-for", line)]),
            Some(ip(expected)),
            "{line}"
        );
        let elements = line.split(',').map(str::trim);
        let element = |address: &str| match address {
            "" => String::new(),
            address => format!("for={address}"),
        };
        let line = elements.map(element).collect::<Vec<_>>().join(", ");
        assert_eq!(
            client(&[("forwarded", &line)]),
            Some(ip(expected)),
            "{line}"
        );
    }
    // Lines are one list.
    let lines = [
        ("x-forwarded-for", "192.0.2.66"),
        ("x-forwarded-for", "192.0.2.7, 10.0.0.2"),
    ];
    assert_eq!(client(&lines), Some(ip("192.0.2.7")));
}

#[test]
fn an_element_that_hides_or_is_garbled_ends_the_walk_at_the_last_good_one() {
    for (name, line, expected) in [
        ("forwarded", "for=192.0.2.66, for=unknown", None),
        (
            "forwarded",
            "for=192.0.2.66, for=_hidden, for=10.0.0.2",
            Some("10.0.0.2"),
        ),
        ("forwarded", "for=192.0.2.66, for=10.0.0.2 proto=http", None),
        ("forwarded", "for=192.0.2.66, proto=https", None),
        (
            "forwarded",
            "for=192.0.2.66, =;, for=10.0.0.2",
            Some("10.0.0.2"),
        ),
        (
            "forwarded",
            "for=192.0.2.66, for=10.0.0.2;for=192.0.2.67",
            None,
        ),
        ("forwarded", "for=192.0.2.66, for=192.0.2.1000", None),
        (
            "x-forwarded-for",
            "192.0.2.66, unknown, 10.0.0.2",
            Some("10.0.0.2"),
        ),
        ("x-forwarded-for", "192.0.2.66, 10.0.0", None),
    ] {
        assert_eq!(client(&[(name, line)]), expected.map(ip), "{line}");
    }
    let hidden = believed(&[("forwarded", "for=_hidden;proto=https")]);
    assert_eq!((hidden.client, hidden.secure), (None, Some(true)));
}

#[test]
fn a_quotation_mark_that_a_client_left_open_hides_nothing_behind_it() {
    for line in [
        "for=\", for=192.0.2.7;proto=https",
        "for=\"192.0.2.66, for=192.0.2.7",
        "for=192.0.2.66;host=\", for=\"192.0.2.7\"",
        "host=\"x, for=192.0.2.66;host=\\\", for=\"192.0.2.7:80\";host=\"a,b\"",
    ] {
        assert_eq!(
            client(&[("forwarded", line)]),
            Some(ip("192.0.2.7")),
            "{line}"
        );
    }
    // A comma inside of a proxy's own quotation marks begins nothing.
    let line = "for=192.0.2.7;ext=\"a, for=192.0.2.66\"";
    assert_eq!(client(&[("forwarded", line)]), Some(ip("192.0.2.7")));
}

#[test]
fn how_the_client_came_is_said_where_it_is_named() {
    let told = believed(&[(
        "forwarded",
        "for=192.0.2.7;proto=https;host=outer.example, for=10.0.0.2;proto=http;host=inner.example",
    )]);
    assert_eq!(
        (told.secure, told.host.as_deref()),
        (Some(true), Some("outer.example"))
    );
    let told = believed(&[
        ("x-forwarded-for", "192.0.2.66, 192.0.2.7, 10.0.0.2"),
        ("x-forwarded-proto", "http, https, http"),
        ("x-forwarded-host", "ignored.example, last.example"),
    ]);
    assert_eq!(
        (told.secure, told.host.as_deref()),
        (Some(true), Some("last.example"))
    );
    // A proxy may say no more than that.
    assert_eq!(
        believed(&[("x-forwarded-proto", "https")]).secure,
        Some(true)
    );
}

#[test]
fn of_two_headers_only_what_both_say_is_believed() {
    // A proxy that writes one of them passes on the other as the client wrote it.
    let invented = ("forwarded", "for=192.0.2.66;proto=https");
    let both = [invented, ("x-forwarded-for", "192.0.2.7")];
    assert_eq!(believed(&both), Forwarded::default());
    let agree = [
        ("forwarded", "for=192.0.2.7;proto=https"),
        ("x-forwarded-for", "192.0.2.7"),
    ];
    let told = believed(&agree);
    assert_eq!((told.client, told.secure), (Some(ip("192.0.2.7")), None));
}

#[test]
fn what_is_no_host_is_not_taken_for_one() {
    for host in [
        "\"user@evil.example\"",
        "\"a b\"",
        "\"evil.example/path\"",
        "\"\"",
        "\"[::1\"",
    ] {
        let line = format!("for=192.0.2.7;host={host}");
        assert_eq!(believed(&[("forwarded", &line)]).host, None, "{host}");
    }
}

#[test]
fn networks_hold_what_is_in_them() {
    for (network, inside, outside) in [
        ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
        ("192.0.2.4/30", "192.0.2.7", "192.0.2.8"),
        ("0.0.0.0/0", "255.255.255.255", "::1"),
        ("::/0", "2001:db8::1", "10.0.0.1"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
        ("::1", "::1", "::2"),
        ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
        ("::ffff:10.0.0.0/104", "10.1.1.1", "11.0.0.0"),
    ] {
        let proxies = TrustedProxies::new([network]).unwrap();
        assert!(proxies.contains(ip(inside)), "{inside} in {network}");
        assert!(!proxies.contains(ip(outside)), "{outside} not in {network}");
    }
}

#[test]
fn a_text_that_is_no_network_is_an_error_that_says_what_is() {
    for (text, says) in [
        ("10.0.0.1/8", "write 10.0.0.0/8"),
        ("10.0.0.0/33", "a number up to 32"),
        ("::/129", "a number up to 128"),
        ("10.0.0.0/", "a number up to 32"),
        ("10.0.0.0/-1", "a number up to 32"),
        ("10.0.0/8", "write an address or a network"),
        ("localhost", "write an address or a network"),
        ("", "write an address or a network"),
    ] {
        let error = TrustedProxies::new([text]).expect_err(text).to_string();
        assert!(error.contains(says) && error.contains(text), "{error}");
    }
}

proptest! {
    #[test]
    fn no_header_is_too_strange(
        lines in proptest::collection::vec(
            ("(forwarded|x-forwarded-(for|proto|host))", "[ -~]{0,60}|[for=\";,\\\\0-9.:_\\[\\] ]{0,60}"),
            0..4,
        ),
    ) {
        let lines: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let told = believed(&lines);
        prop_assert!(told.host.is_none_or(|host| !host.is_empty()));
    }

    /// Whatever the client wrote, the proxy's own words behind it stay what they are.
    #[test]
    fn nothing_that_a_client_writes_changes_who_it_is(
        invented in "[ -~]{0,80}|[for=\";,\\\\0-9.]{0,80}",
        quoted in any::<bool>(),
    ) {
        let own = if quoted { "for=\"192.0.2.7:4711\";proto=https" } else { "for=192.0.2.7;proto=https" };
        let line = format!("{invented}, {own}");
        let told = believed(&[("forwarded", &line)]);
        prop_assert_eq!((told.client, told.secure), (Some(ip("192.0.2.7")), Some(true)));
        let line = format!("{invented}, 192.0.2.7");
        prop_assert_eq!(client(&[("x-forwarded-for", &line)]), Some(ip("192.0.2.7")));
    }
}

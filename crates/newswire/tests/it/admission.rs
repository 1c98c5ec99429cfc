//! What a client shows in its handshake beside its origin: subprotocols, cookies, credentials.

use super::support::{pair, within};
use http::header::{AUTHORIZATION, COOKIE, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue};
use newswire::server::auth::{self, FirstMessageError, Scheme};
use newswire::server::{CookieError, SameSite, SetCookie, Subprotocols, cookies};
use newswire::{CloseCode, Config, Message};
use proptest::prelude::*;
use std::time::Duration;

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn headers(name: HeaderName, lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(&name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
    }
    headers
}

// --- subprotocols ---------------------------------------------------------------------------------

fn chosen(subprotocols: &Subprotocols, offered: &[&str]) -> Option<String> {
    subprotocols.choose(&strings(offered)).unwrap()
}

#[test]
fn the_servers_order_counts_or_the_clients() {
    let ours = Subprotocols::prefer(["v2", "v1"]);
    assert_eq!(chosen(&ours, &["v1", "v2"]).as_deref(), Some("v2"));
    assert_eq!(chosen(&ours, &["v1", "v3"]).as_deref(), Some("v1"));
    let theirs = ours.clone().client_order();
    assert_eq!(chosen(&theirs, &["v3", "v1", "v2"]).as_deref(), Some("v1"));
    for subprotocols in [ours, theirs, Subprotocols::default()] {
        assert_eq!(chosen(&subprotocols, &["V1", "v3"]), None);
        assert_eq!(chosen(&subprotocols, &[]), None);
    }
}

#[test]
fn a_required_subprotocol_that_is_not_offered_is_a_400_that_names_it() {
    let required = Subprotocols::from(["v2", "v1"]).required();
    assert_eq!(chosen(&required, &["v1"]).as_deref(), Some("v1"));
    for offered in [&[][..], &["v3"]] {
        let rejection = required.choose(&strings(offered)).unwrap_err();
        assert_eq!(rejection.status(), 400);
        assert!(rejection.reason().contains("v2, v1"), "{rejection}");
    }
}

#[test]
fn a_function_chooses_among_what_was_offered() {
    let longest = |offered: &[String]| offered.iter().max_by_key(|name| name.len()).cloned();
    let by = Subprotocols::choose_by(longest);
    assert_eq!(chosen(&by, &["a", "ccc", "bb"]).as_deref(), Some("ccc"));
    assert_eq!(chosen(&by, &[]), None);
    assert_eq!(by.required().choose(&[]).unwrap_err().status(), 400);
    let invents = Subprotocols::choose_by(|_| Some("mine".to_owned()));
    let rejection = invents.choose(&strings(&["yours"])).unwrap_err();
    assert_eq!(rejection.status(), 500);
    assert!(rejection.reason().contains("\"mine\""), "{rejection}");
}

// --- cookies ----------------------------------------------------------------------------------------

#[test]
fn cookies_are_found_by_their_names() {
    let lines = headers(
        COOKIE,
        &[
            "a=1; session=\"quoted\";b=x=y ; a=2",
            "c=; d; =e; f=\"",
            "utf=ü",
        ],
    );
    for (name, value) in [
        ("a", Some("1")),
        ("session", Some("quoted")),
        ("b", Some("x=y")),
        ("c", Some("")),
        ("f", Some("\"")),
        ("utf", Some("ü")),
        ("d", None),
        ("", None),
        ("A", None),
    ] {
        assert_eq!(cookies::get(&lines, name), value, "{name}");
    }
    assert_eq!(cookies::all(&lines).count(), 7);
    assert_eq!(cookies::get(&HeaderMap::new(), "a"), None);
}

#[test]
fn a_cookie_to_keep_is_a_safe_one_unless_told_otherwise() {
    let value = |cookie: SetCookie| cookie.to_header_value().unwrap();
    assert_eq!(
        value(SetCookie::new("id", "42")),
        "id=42; Path=/; Secure; HttpOnly; SameSite=Lax"
    );
    let other = SetCookie::new("id", "")
        .path("/chat")
        .domain("example.com")
        .max_age(Duration::from_millis(2500))
        .secure(false)
        .http_only(false)
        .same_site(SameSite::Strict);
    assert_eq!(
        value(other),
        "id=; Path=/chat; Domain=example.com; Max-Age=2; SameSite=Strict"
    );
    assert_eq!(
        value(SetCookie::removal("id").same_site(SameSite::None)),
        "id=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=None"
    );
}

#[test]
fn a_cookie_that_would_say_something_else_is_an_error() {
    for name in ["", "a b", "a=b", "a;b", "ä", "a\r\nb"] {
        let error = SetCookie::new(name, "1").to_header_value().unwrap_err();
        assert_eq!(error, CookieError::Name(name.to_owned()));
    }
    for value in [
        "a b",
        "a;b",
        "a,b",
        "\"a\"",
        "a\\b",
        "ä",
        "a\r\nSet-Cookie: b",
    ] {
        let error = SetCookie::new("id", value).to_header_value().unwrap_err();
        assert!(
            !error.to_string().contains(value),
            "it may be a secret: {error}"
        );
    }
    let path = SetCookie::new("id", "1").path("/; Domain=evil.example");
    assert_eq!(path.to_header_value(), Err(CookieError::Attribute("Path")));
    let domain = SetCookie::new("id", "1").domain("a\nb");
    assert_eq!(
        domain.to_header_value(),
        Err(CookieError::Attribute("Domain"))
    );
}

// --- credentials ------------------------------------------------------------------------------------

#[test]
fn a_token_is_read_from_the_header_whatever_the_schemes_case() {
    let bearer = |lines: &[&str]| auth::bearer(&headers(AUTHORIZATION, lines)).map(str::to_owned);
    for line in [
        "Bearer abc-._~+/=",
        "bearer  abc-._~+/=",
        "BEARER abc-._~+/= ",
    ] {
        assert_eq!(bearer(&[line]).as_deref(), Some("abc-._~+/="), "{line}");
    }
    for lines in [
        &[][..],
        &["Bearer"],
        &["Bearer ="],
        &["Bearer a b"],
        &["Bearer a=b"],
        &["Bearer a\"b"],
        &["Basic abc"],
        &["Bearer abc", "Bearer abc"],
    ] {
        assert_eq!(bearer(lines), None, "{lines:?}");
    }
}

#[test]
fn name_and_password_are_read_from_the_header() {
    let basic = |line: &str| auth::basic(&headers(AUTHORIZATION, &[line]));
    // RFC 7617 §2: "Aladdin" and "open sesame"; §2.1: "test" and "123£" in UTF-8.
    for (line, user, password) in [
        (
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            "Aladdin",
            "open sesame",
        ),
        ("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ", "Aladdin", "open sesame"),
        ("Basic dGVzdDoxMjPCow==", "test", "123£"),
        ("Basic YTpiOmM=", "a", "b:c"),
        ("Basic Og==", "", ""),
    ] {
        let found = basic(line).expect(line);
        assert_eq!(
            (found.user.as_str(), found.password.as_str()),
            (user, password)
        );
        let shown = format!("{found:?}");
        assert!(shown.contains(user) && (password.is_empty() || !shown.contains(password)));
    }
    // No colon; not UTF-8; a control character; not base64.
    for line in [
        "Basic YWJj",
        "Basic /zr/",
        "Basic YToK",
        "Basic ???",
        "Basic",
        "Bearer YTpi",
    ] {
        assert!(basic(line).is_none(), "{line}");
    }
}

#[test]
fn secrets_are_the_same_or_not() {
    assert!(auth::secrets_match("open sesame", b"open sesame"));
    assert!(auth::secrets_match("", ""));
    for other in [
        "open sesamE",
        "Open sesame",
        "open sesam",
        "open sesame ",
        "",
    ] {
        assert!(!auth::secrets_match("open sesame", other), "{other}");
    }
}

#[test]
fn a_token_may_come_among_the_subprotocols() {
    let token = |offered: &[&str]| {
        let offered = strings(offered);
        auth::subprotocol_token(&offered, "bearer.").map(str::to_owned)
    };
    assert_eq!(token(&["chat", "bearer.abc"]).as_deref(), Some("abc"));
    for offered in [&[][..], &["chat"], &["bearer."], &["Bearer.abc"]] {
        assert_eq!(token(offered), None, "{offered:?}");
    }
    assert_eq!(auth::decode_base64url("_-8"), Some(vec![0xFF, 0xEF]));
    assert_eq!(auth::decode_base64url("_-8="), Some(vec![0xFF, 0xEF]));
    assert_eq!(auth::decode_base64url("/+8"), None);
}

#[test]
fn who_is_not_known_is_asked_for_credentials() {
    let rejection = auth::unauthorized(Scheme::Basic, "a \"quiet\" room\r\nX: y", "who are you?");
    let response = rejection.to_response();
    assert_eq!(response.status(), 401);
    assert_eq!(
        response.headers()[WWW_AUTHENTICATE],
        "Basic realm=\"a quiet roomX: y\", charset=\"UTF-8\""
    );
    assert!(response.headers().get(SET_COOKIE).is_none());
    let rejection = auth::unauthorized(Scheme::Bearer, "room", "");
    assert_eq!(
        rejection.to_response().headers()[WWW_AUTHENTICATE],
        "Bearer realm=\"room\""
    );
}

#[tokio::test]
async fn the_first_message_says_who_it_is() {
    let (client, mut server) = pair(1024, &Config::new()).await;
    client.send("open sesame").await.unwrap();
    let first = within(auth::first_message(&mut server, Duration::from_secs(5))).await;
    assert_eq!(first.unwrap(), Message::from("open sesame"));
}

#[tokio::test]
async fn a_client_that_does_not_say_who_it_is_in_time_is_closed_with_1008() {
    let (mut client, mut server) = pair(1024, &Config::new()).await;
    let waiting = auth::first_message(&mut server, Duration::from_millis(20));
    let (late, end) = within(async { tokio::join!(waiting, client.recv()) }).await;
    assert!(matches!(late, Err(FirstMessageError::Late(_))), "{late:?}");
    assert_eq!(end.unwrap(), None);
    assert_eq!(client.close_frame().unwrap().code, CloseCode::POLICY);
}

#[tokio::test]
async fn a_client_that_leaves_first_is_told_from_one_that_is_late() {
    let (mut client, mut server) = pair(1024, &Config::new()).await;
    let waiting = auth::first_message(&mut server, Duration::from_secs(5));
    let (left, _) =
        within(async { tokio::join!(waiting, client.close(CloseCode::NORMAL, "")) }).await;
    assert!(matches!(left, Err(FirstMessageError::Closed)), "{left:?}");
}

#[tokio::test]
async fn a_first_message_that_is_none_is_told_from_silence() {
    let (mut client, mut server) = pair(1024, &Config::new().max_message_size(4)).await;
    client.send("more than four bytes").await.unwrap();
    let waiting = auth::first_message(&mut server, Duration::from_secs(5));
    let (failed, _) = within(async { tokio::join!(waiting, client.recv()) }).await;
    assert!(
        matches!(failed, Err(FirstMessageError::Recv(_))),
        "{failed:?}"
    );
}

proptest! {
    #[test]
    fn nothing_a_client_writes_is_too_strange(
        line in proptest::collection::vec((32..=255_u8).prop_filter("", |byte| *byte != 127), 0..60),
        scheme in "(Basic |Bearer |)",
    ) {
        let value = HeaderValue::from_bytes(&[scheme.as_bytes(), &line].concat()).unwrap();
        let lines = HeaderMap::from_iter([(AUTHORIZATION, value.clone()), (COOKIE, value)]);
        let _ = (auth::bearer(&lines), auth::basic(&lines));
        prop_assert!(cookies::all(&lines).all(|(name, _)| !name.is_empty()));
    }
}

//! Where a URL leads, where a redirect leads from there, and the credentials that a URL may have
//! before its host. Nothing is sent here.

use super::error::RedirectError;
use newswire_proto::handshake::{UriError, WebSocketUri};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

/// Name and password, as bytes.
pub(super) type UserInfo = (Vec<u8>, Vec<u8>);

/// Reads a URL, and what stands before its host: `ws://name:password@host/`.
pub(super) fn parse(url: &str) -> Result<(WebSocketUri, Option<UserInfo>), UriError> {
    let (without, user_info) = without_user_info(url);
    let uri = WebSocketUri::parse(&without)?;
    let user_info = user_info.map(|text| {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        let decode = |text| percent_decode_str(text).collect();
        (decode(user), decode(password))
    });
    Ok((uri, user_info))
}

/// The URL as text without what stands before its host, and that.
fn without_user_info(url: &str) -> (String, Option<&str>) {
    let Some((scheme, rest)) = url.split_once("://") else {
        return (url.to_owned(), None);
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((user_info, host)) => {
            let user_info = Some(user_info).filter(|text| !text.is_empty());
            (format!("{scheme}://{host}{path}"), user_info)
        }
        None => (url.to_owned(), None),
    }
}

/// RFC 6454 §4: two URIs of the same origin have scheme, host and port in common.
pub(super) fn is_same_origin(one: &WebSocketUri, other: &WebSocketUri) -> bool {
    let origin = |uri: &WebSocketUri| (uri.is_secure(), uri.host().to_owned(), uri.port());
    origin(one) == origin(other)
}

/// Where `Location` leads to from `base` (RFC 3986 §5.2), `http:` and `https:` being `ws:` and
/// `wss:`. Credentials in it are no concern of ours: the server did not get them from here.
pub(super) fn redirected(
    base: &WebSocketUri,
    location: &[u8],
) -> Result<WebSocketUri, RedirectError> {
    /// A URL has no blanks and no other letters; those who send them mean this.
    const ODD: &AsciiSet = &CONTROLS.add(b' ');
    let location = percent_encode(location.trim_ascii(), ODD).to_string();
    let location = location.split('#').next().unwrap_or_default();
    let scheme = if base.is_secure() { "wss" } else { "ws" };
    let absolute = match scheme_of(location) {
        Some(given) => {
            let rest = &location[given.len()..];
            let given = given.to_ascii_lowercase();
            let given = match given.as_str() {
                "http" => "ws",
                "https" => "wss",
                other => other,
            };
            format!("{given}{rest}")
        }
        None if location.starts_with("//") => format!("{scheme}:{location}"),
        None => {
            let target = resolve_path(base.target(), location);
            format!("{scheme}://{}{target}", base.host_header())
        }
    };
    let uri = WebSocketUri::parse(&without_user_info(&absolute).0).map_err(RedirectError::Url)?;
    if base.is_secure() && !uri.is_secure() {
        return Err(RedirectError::Downgrade);
    }
    Ok(uri)
}

/// RFC 3986 §3.1: `scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )`, and a colon.
fn scheme_of(reference: &str) -> Option<&str> {
    let (scheme, _) = reference.split_once(':')?;
    let legal = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(legal))
        .then_some(scheme)
}

/// The path and query of a reference that has neither scheme nor host.
fn resolve_path(base: &str, reference: &str) -> String {
    let path_of = |target: &str| target.find('?').unwrap_or(target.len());
    let (base_path, _) = base.split_at(path_of(base));
    let (path, query) = reference.split_at(path_of(reference));
    match path {
        "" if query.is_empty() => base.to_owned(),
        "" => format!("{base_path}{query}"),
        path if path.starts_with('/') => format!("{}{query}", without_dots(path)),
        path => {
            let folder = &base_path[..base_path.rfind('/').map_or(0, |at| at + 1)];
            format!("{}{query}", without_dots(&format!("{folder}{path}")))
        }
    }
}

/// RFC 3986 §5.2.4: removes `.` and `..` from a path that begins with `/`.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
        if is_last && matches!(segment, "." | "..") {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::{parse, redirected};
    use crate::client::error::RedirectError;
    use newswire_proto::handshake::{UriError, WebSocketUri};

    #[test]
    fn what_stands_before_the_host_is_credentials() {
        let read = |url| parse(url).map(|(uri, info)| (uri.to_string(), info));
        let info = |user: &str, password: &str| Some((user.into(), password.into()));
        assert_eq!(read("ws://h/a@b?c@d"), Ok(("ws://h/a@b?c@d".into(), None)));
        assert_eq!(
            read("ws://u:p@h/a"),
            Ok(("ws://h/a".into(), info("u", "p")))
        );
        assert_eq!(read("ws://@h"), Ok(("ws://h/".into(), None)));
        assert_eq!(read("ws://u@h"), Ok(("ws://h/".into(), info("u", ""))));
        assert_eq!(
            read("ws://a%40b:p%3a:q@r@[::1]:8/"),
            Ok(("ws://[::1]:8/".into(), info("a@b", "p::q@r")))
        );
        assert_eq!(read("ws://u:p@/"), Err(UriError::EmptyHost));
    }

    #[test]
    fn a_redirect_leads_where_the_rfc_says() {
        let base = WebSocketUri::parse("ws://h:8080/a/b/c?q").expect("a URI");
        for (location, wanted) in [
            ("http://x/y", "ws://x/y"),
            ("HTTPS://x/y#part", "wss://x/y"),
            ("wss://x", "wss://x/"),
            ("http://u:p@x:80/", "ws://x/"),
            ("//x/y", "ws://x/y"),
            ("/", "ws://h:8080/"),
            ("/x/../y/./z/..", "ws://h:8080/y/"),
            ("?r", "ws://h:8080/a/b/c?r"),
            ("", "ws://h:8080/a/b/c?q"),
            ("#part", "ws://h:8080/a/b/c?q"),
            ("d", "ws://h:8080/a/b/d"),
            ("./d?e=/../", "ws://h:8080/a/b/d?e=/../"),
            ("../../../../d", "ws://h:8080/d"),
            ("..", "ws://h:8080/a/"),
            ("d e/\u{e9}", "ws://h:8080/a/b/d%20e/%C3%A9"),
            // A colon in the query makes no scheme.
            ("d?x:y", "ws://h:8080/a/b/d?x:y"),
        ] {
            let uri = redirected(&base, location.as_bytes());
            assert_eq!(
                uri.map(|uri| uri.to_string()),
                Ok(wanted.into()),
                "{location}"
            );
        }
    }

    #[test]
    fn a_redirect_may_not_lead_out_of_tls_nor_out_of_http() {
        let base = WebSocketUri::parse("wss://h/a").expect("a URI");
        for location in ["http://h/a", "ws://h:443/a"] {
            let refused = redirected(&base, location.as_bytes());
            assert_eq!(refused, Err(RedirectError::Downgrade), "{location}");
        }
        for location in [
            "file:///etc/passwd",
            "mailto:a@b",
            "https://",
            "//",
            "https://x:99999/",
        ] {
            let refused = redirected(&base, location.as_bytes());
            assert!(
                matches!(refused, Err(RedirectError::Url(_))),
                "{location}: {refused:?}"
            );
        }
    }
}

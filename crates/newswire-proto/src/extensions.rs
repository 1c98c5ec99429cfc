//! `Sec-WebSocket-Extensions` as values (RFC 6455 §9.1): names, parameters, and what quotes hide.
//! What an extension means, and whether it is wanted, is not known here.

use std::borrow::Cow;

/// One element of the header: an extension's name and its parameters, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extension<'a> {
    pub(crate) name: &'a str,
    pub(crate) params: Vec<Param<'a>>,
}

/// `name` or `name=value`. Whether the value was quoted makes no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Param<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: Option<Cow<'a, str>>,
}

/// The value is none by the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads the value of one header line. Empty elements are skipped, as in every list of HTTP, but
/// there must be one that is not.
pub(crate) fn parse(value: &[u8]) -> Result<Vec<Extension<'_>>, Malformed> {
    let mut reader = Reader { rest: value };
    let mut extensions = Vec::new();
    loop {
        if reader.take(b',') {
            continue;
        }
        if reader.rest.is_empty() {
            break;
        }
        extensions.push(reader.extension()?);
        if !reader.rest.is_empty() && !reader.take(b',') {
            return Err(Malformed);
        }
    }
    if extensions.is_empty() {
        return Err(Malformed);
    }
    Ok(extensions)
}

/// What is left of a line; whitespace is skipped before each thing that is looked for.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn skip_blanks(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn take(&mut self, wanted: u8) -> bool {
        self.skip_blanks();
        let found = self.rest.first() == Some(&wanted);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn extension(&mut self) -> Result<Extension<'a>, Malformed> {
        let name = self.token()?;
        let mut params = Vec::new();
        while self.take(b';') {
            let name = self.token()?;
            let value = if self.take(b'=') {
                Some(self.value()?)
            } else {
                None
            };
            params.push(Param { name, value });
        }
        Ok(Extension { name, params })
    }

    fn value(&mut self) -> Result<Cow<'a, str>, Malformed> {
        if !self.take(b'"') {
            return self.token().map(Cow::Borrowed);
        }
        // RFC 6455 §9.1: "When using the quoted-string syntax variant, the value after
        // quoted-string unescaping MUST conform to the 'token' ABNF."
        let mut value = String::new();
        loop {
            let (&byte, rest) = self.rest.split_first().ok_or(Malformed)?;
            self.rest = rest;
            let byte = match byte {
                b'"' if value.is_empty() => return Err(Malformed),
                b'"' => return Ok(Cow::Owned(value)),
                b'\\' => *self.rest.split_off_first().ok_or(Malformed)?,
                byte => byte,
            };
            if !is_token_byte(byte) {
                return Err(Malformed);
            }
            value.push(char::from(byte));
        }
    }

    fn token(&mut self) -> Result<&'a str, Malformed> {
        self.skip_blanks();
        let other = self.rest.iter().position(|&byte| !is_token_byte(byte));
        let (token, rest) = self.rest.split_at(other.unwrap_or(self.rest.len()));
        self.rest = rest;
        match str::from_utf8(token) {
            Ok(token) if !token.is_empty() => Ok(token),
            _ => Err(Malformed),
        }
    }
}

/// What tokens are made of (RFC 9110 §5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header written again in one form: no blanks, no quotes.
    fn read(value: &str) -> Option<String> {
        let extensions = parse(value.as_bytes()).ok()?;
        let written = extensions.into_iter().map(|extension| {
            let params = extension.params.into_iter().map(|param| match param.value {
                None => format!(";{}", param.name),
                Some(value) => format!(";{}={value}", param.name),
            });
            extension.name.to_owned() + &params.collect::<String>()
        });
        Some(written.collect::<Vec<_>>().join(","))
    }

    #[test]
    fn lists_are_read_with_their_blanks_quotes_and_empty_elements() {
        for (value, expected) in [
            ("foo", "foo"),
            ("foo,bar; baz=2", "foo,bar;baz=2"),
            (" foo ; a = 1 ;b\t,, bar , ", "foo;a=1;b,bar"),
            (r#"foo; a="1""#, "foo;a=1"),
            (r#"foo; a = "\1\5" ; b"#, "foo;a=15;b"),
            ("a;x;x;x=1", "a;x;x;x=1"),
        ] {
            assert_eq!(read(value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_list_is_malformed() {
        for value in [
            "",
            " ",
            ",",
            ";",
            "foo;",
            "foo;=1",
            "foo;a=",
            "foo bar",
            "foo; a b",
            "foo=1",
            "foo; a=\"\"",
            "foo; a=\"1",
            "foo; a=\"1 2\"",
            "foo; a=\"1\\",
            "foo; a=\"\\\"\"",
            "foo; a=\"1\"2",
            "f\u{e4}",
            "foo/bar",
            "foo\r\n",
        ] {
            assert_eq!(read(value), None, "{value:?}");
        }
    }
}

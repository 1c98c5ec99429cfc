//! The configuration file: which keys it has, in which lines, and their values as text. Nothing
//! is known here of what a key means, of files, or of the command line: `fuzz/` reads it alone.

use std::fmt::Write;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What a key may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Switch,
    /// A number; as text it is what everything else is.
    Number,
    /// A piece of text, or a number.
    Text,
    /// Any number of pieces of text: an array, or one alone.
    List,
}

/// A key with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The name of the key.
    pub(crate) name: String,
    /// The line that the value begins in; the first is 1.
    pub(crate) line: usize,
    /// One value, or all of a list.
    pub(crate) values: Vec<String>,
}

/// What is wrong, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The first line is 1.
    pub(crate) line: usize,
    /// In one line, without a full stop.
    pub(crate) what: String,
}

/// Reads the text of a file in which each key is one of `keys`.
///
/// # Errors
/// Everything that is wrong; of what is not TOML, only the first.
pub(crate) fn read(text: &str, keys: &[(&str, Kind)]) -> Result<Vec<Entry>, Vec<Problem>> {
    let table = DeTable::parse(text).map_err(|error| {
        let what = error.message().split_whitespace();
        vec![Problem {
            line: line(text, error.span().unwrap_or_default()),
            what: printable(&what.collect::<Vec<_>>().join(" ")),
        }]
    })?;
    let mut entries = Vec::new();
    let mut problems = Vec::new();
    for (key, value) in table.get_ref() {
        let name = key.get_ref();
        let known = keys.iter().find(|(known, _)| known == name);
        let read = match known {
            Some((_, kind)) => values(name, *kind, value.get_ref()),
            None => Err(unknown(name, value.get_ref(), keys)),
        };
        let line = line(text, key.span());
        match read {
            Ok(values) => entries.push(Entry {
                name: name.clone().into_owned(),
                line,
                values,
            }),
            Err(what) => problems.push(Problem { line, what }),
        }
    }
    if problems.is_empty() {
        entries.sort_by_key(|entry| entry.line);
        Ok(entries)
    } else {
        problems.sort_by_key(|problem| problem.line);
        Err(problems)
    }
}

/// The number of the line that a span begins in.
fn line(text: &str, span: Range<usize>) -> usize {
    let before = text.bytes().take(span.start);
    before.filter(|&byte| byte == b'\n').count() + 1
}

fn unknown(name: &str, value: &DeValue<'_>, keys: &[(&str, Kind)]) -> String {
    let name = printable(name);
    if value.is_table() {
        return format!(
            "{name} is a table: settings are not grouped, write each as a line of its own at the top"
        );
    }
    let advice = match nearest(&name, keys.iter().map(|(known, _)| *known)) {
        Some(known) => format!("{known} is, if that is meant"),
        None => "newswire serve --print-config shows them all".to_owned(),
    };
    format!("{name} is no setting: {advice}")
}

/// The name that is written most like `name`, if one is written nearly so.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase().replace('-', "_");
    known
        .map(|known| (strsim::jaro(&name, known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}

/// What a key is given, as text.
fn values(name: &str, kind: Kind, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let one = |value: &DeValue<'_>| scalar(value).map(|text| vec![text]);
    let read = match (kind, value) {
        (Kind::Switch, DeValue::Boolean(_)) => one(value),
        (Kind::Switch, _) => None,
        (Kind::List, DeValue::Array(values)) => {
            let values = values.iter().map(Spanned::get_ref);
            values.map(text).collect::<Option<Vec<_>>>()
        }
        (Kind::List, value) => text(value).map(|text| vec![text]),
        (_, DeValue::Boolean(_)) => None,
        (_, value) => one(value),
    };
    read.ok_or_else(|| {
        let wanted = match kind {
            Kind::Switch => "true or false",
            Kind::Number => "a number",
            Kind::Text => "text in quotation marks",
            Kind::List => "a list of texts in quotation marks, such as [\"one\", \"other\"]",
        };
        format!(
            "{name} takes {wanted}; this is of type {}",
            value.type_str()
        )
    })
}

fn text(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Text, number or truth value, as it is written.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => Some(match number.radix() {
            10 => number.as_str().to_owned(),
            radix => i128::from_str_radix(number.as_str(), radix)
                .ok()?
                .to_string(),
        }),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// As a string of TOML in one line.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            char if char.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(char)).expect("a string takes all");
            }
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

/// Of text that may be anything: no control characters, and not more than fits in a line.
pub(crate) fn printable(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = text.chars().take(LONGEST).flat_map(visible).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// A character, or its escape where it would not be seen, or would change how others are.
fn visible(char: char) -> impl Iterator<Item = char> {
    let as_it_is = matches!(char, '"' | '\'' | '\\');
    let escaped = (!as_it_is).then(|| char.escape_debug());
    escaped
        .into_iter()
        .flatten()
        .chain(as_it_is.then_some(char))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[(&str, Kind)] = &[
        ("host", Kind::Text),
        ("max_message_size", Kind::Text),
        ("origin", Kind::List),
        ("port", Kind::Number),
        ("verbose", Kind::Switch),
    ];

    fn problem(text: &str) -> (usize, String) {
        let problems = read(text, KEYS).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        (problems[0].line, problems[0].what.clone())
    }

    #[test]
    fn keys_come_with_their_lines_and_their_values_as_text() {
        let text = "# mine\nport = 0x1F_40\nhost = 'a'\n\nverbose = true\nmax_message_size = 1_000\n\
                    origin = [\n  'http://a',\n  \"http://b\",\n]\n";
        let found: Vec<_> = read(text, KEYS)
            .unwrap()
            .into_iter()
            .map(|entry| (entry.name, entry.line, entry.values.join(" ")))
            .collect();
        let expected = [
            ("port", 2, "8000"),
            ("host", 3, "a"),
            ("verbose", 5, "true"),
            ("max_message_size", 6, "1000"),
            ("origin", 7, "http://a http://b"),
        ];
        let expected = expected.map(|(name, line, text)| (name.to_owned(), line, text.to_owned()));
        assert_eq!(found, expected);
        assert_eq!(
            read("origin = 'http://a'", KEYS).unwrap()[0].values.len(),
            1
        );
        assert_eq!(read("", KEYS), Ok(vec![]));
        assert_eq!(read("\u{feff}port = 1\r\n", KEYS).unwrap()[0].line, 1);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_what_may_be_meant() {
        let (line, what) = problem("host = 'a'\n\nmax_mesage_size = 1\n");
        assert_eq!(line, 3);
        assert!(what.contains("max_mesage_size is no setting"), "{what}");
        assert!(what.contains("max_message_size is"), "{what}");
        assert!(
            problem("Max-Message-Size = 1")
                .1
                .contains("max_message_size is")
        );
        assert!(problem("colour = 1").1.contains("--print-config"));
        assert!(problem("[server]\nport = 1").1.contains("not grouped"));
        assert!(problem("server.port = 1").1.contains("not grouped"));
        assert_eq!(
            problem("\"\\u001b[31m\\n\" = 1").1.find(char::is_control),
            None
        );
    }

    #[test]
    fn a_value_of_another_type_is_refused_with_the_one_that_is_wanted() {
        for (text, wanted) in [
            ("verbose = 1", "true or false; this is of type integer"),
            ("verbose = 'yes'", "true or false"),
            ("port = true", "a number"),
            ("port = [1]", "a number"),
            ("host = true", "text in quotation marks"),
            ("host = 2026-01-01", "text in quotation marks"),
            ("host = { a = 1 }", "text in quotation marks"),
            ("origin = [1]", "a list of texts"),
            ("origin = [['a']]", "a list of texts"),
            ("origin = 1", "a list of texts"),
        ] {
            let (_, what) = problem(text);
            assert!(what.contains(wanted), "{text}: {what}");
        }
    }

    #[test]
    fn what_is_not_toml_is_said_with_its_line() {
        for (text, line) in [
            ("port = \n", 1),
            ("port = 1\nport = 2", 2),
            ("\n\nhost = 'a", 3),
            ("port 1", 1),
            ("port = 1 host = 'a'", 1),
            ("\0", 1),
        ] {
            let (found, what) = problem(text);
            assert_eq!(found, line, "{text:?}: {what}");
            assert!(!what.is_empty() && !what.contains('\n'), "{text:?}: {what}");
        }
        let deep = format!("port = {}", "[".repeat(100_000));
        assert!(!problem(&deep).1.is_empty());
    }

    #[test]
    fn all_that_is_wrong_is_said_in_order() {
        let lines: Vec<_> = read("zzz = 1\nport = true\naaa = 1", KEYS)
            .unwrap_err()
            .into_iter()
            .map(|problem| problem.line)
            .collect();
        assert_eq!(lines, [1, 2, 3]);
    }
}

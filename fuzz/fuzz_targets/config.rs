//! Any text as the configuration file of `newswire serve`. What is wrong is said in a line; what is
//! read can be written, and then says the same. The values are read as times and sizes, which must
//! not panic.
#![no_main]

#[path = "../../crates/newswire-cli/src/serve/settings/file.rs"]
mod file;
// Not all of it is for the file.
#[allow(dead_code)]
#[path = "../../crates/newswire-cli/src/values.rs"]
mod values;

use bytesize::ByteSize;
use file::{Entry, Kind, Problem, quoted, read};
use libfuzzer_sys::fuzz_target;

const KEYS: &[(&str, Kind)] = &[
    ("host", Kind::Text),
    ("idle_timeout", Kind::Text),
    ("max_headers", Kind::Number),
    ("max_message_size", Kind::Text),
    ("origin", Kind::List),
    ("port", Kind::Number),
    ("subprotocol", Kind::List),
    ("verbose", Kind::Switch),
];

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let lines = text.bytes().filter(|&byte| byte == b'\n').count() + 1;
    match read(&text, KEYS) {
        Ok(entries) => right(&entries, lines),
        Err(problems) => wrong(&problems, lines),
    }
});

fn wrong(problems: &[Problem], lines: usize) {
    assert!(!problems.is_empty());
    for Problem { line, what } in problems {
        assert!((1..=lines).contains(line), "line {line} of {lines}: {what}");
        assert!(!what.is_empty() && what.chars().count() < 300, "{what}");
        assert!(!what.contains(char::is_control), "{what:?}");
    }
    assert!(problems.is_sorted_by_key(|problem| problem.line));
}

fn kind(name: &str) -> Kind {
    let known = KEYS.iter().find(|(known, _)| *known == name);
    known.expect("the key is known").1
}

fn right(entries: &[Entry], lines: usize) {
    assert!(entries.is_sorted_by_key(|entry| entry.line));
    let mut again = String::new();
    for Entry { name, line, values } in entries {
        assert!((1..=lines).contains(line), "line {line} of {lines}");
        for value in values {
            let _ = values::duration(value);
            let _ = values::time_or_off(value);
            let _ = value.parse::<ByteSize>().map(values::bytes);
        }
        let text = match (kind(name), &values[..]) {
            (Kind::List, values) => {
                let quoted: Vec<_> = values.iter().map(|value| quoted(value)).collect();
                format!("[{}]", quoted.join(", "))
            }
            (Kind::Switch, [value]) => value.clone(),
            (_, [value]) => quoted(value),
            (_, values) => panic!("{} values of {name}", values.len()),
        };
        again += &format!("{name} = {text}\n");
    }
    let named = |entries: &[Entry]| -> Vec<_> {
        let pairs = entries.iter().map(|entry| (entry.name.clone(), entry.values.clone()));
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort();
        pairs
    };
    let once = named(entries);
    assert!(once.windows(2).all(|pair| pair[0].0 != pair[1].0));
    match read(&again, KEYS) {
        Ok(read) => assert_eq!(named(&read), once),
        Err(problems) => panic!("{problems:?} in {again}"),
    }
}

//! What has to come before it is over: messages that are or match something, and a number of them.
//! What happens then is not decided here.

use newswire::Message;
use regex::bytes::Regex;
use std::str::FromStr;

/// What a message has to be.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// This, to the last byte.
    Text(String),
    /// Something that this finds something in.
    Regex(Regex),
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inner = text
            .strip_prefix('/')
            .and_then(|text| text.strip_suffix('/'));
        match inner {
            Some(inner) => Regex::new(inner).map(Self::Regex).map_err(|error| {
                let error = error.to_string();
                // Its last line says what is wrong, those before it where.
                error.lines().next_back().unwrap_or_default().to_owned()
            }),
            None => Ok(Self::Text(text.to_owned())),
        }
    }
}

impl Pattern {
    fn fits(&self, payload: &[u8]) -> bool {
        match self {
            Self::Text(text) => text.as_bytes() == payload,
            Self::Regex(regex) => regex.is_match(payload),
        }
    }
}

/// What is still to come.
#[derive(Debug)]
pub(super) struct Goal<'a> {
    patterns: &'a [Pattern],
    count: Option<u64>,
    seen: u64,
}

impl<'a> Goal<'a> {
    pub(super) fn new(patterns: &'a [Pattern], count: Option<u64>) -> Self {
        Self {
            patterns,
            count,
            seen: 0,
        }
    }

    /// A message has come.
    pub(super) fn see(&mut self, message: &Message) {
        self.seen += 1;
        if let [first, rest @ ..] = self.patterns
            && first.fits(message.as_bytes())
        {
            self.patterns = rest;
        }
    }

    /// Whether as many messages have come as are wanted.
    pub(super) fn is_full(&self) -> bool {
        self.count.is_some_and(|count| self.seen >= count)
    }

    /// Whether nothing is missing any more.
    pub(super) fn is_met(&self) -> bool {
        self.patterns.is_empty() && (self.count.is_none() || self.is_full())
    }

    /// What is missing, in words, if something is.
    pub(super) fn missing(&self) -> Option<String> {
        if let [first, ..] = self.patterns {
            let wanted = match first {
                Pattern::Text(text) => format!("a message {text:?}"),
                Pattern::Regex(regex) => format!("a message that matches /{regex}/"),
            };
            return Some(format!("{wanted} was expected and did not come"));
        }
        let count = self.count.filter(|_| !self.is_full())?;
        let seen = self.seen;
        Some(format!("{count} messages were expected, and {seen} came"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn expectations_are_met_in_their_order_with_others_between() {
        let patterns = patterns(&["one", "/^t(wo|hree)$/", "four"]);
        let mut goal = Goal::new(&patterns, None);
        for (message, met) in [
            ("four", false),
            ("one", false),
            ("one more", false),
            ("three", false),
            ("one", false),
            ("four", true),
        ] {
            goal.see(&message.into());
            assert_eq!(goal.is_met(), met, "{message}");
        }
        assert_eq!(goal.missing(), None);
    }

    #[test]
    fn a_text_is_the_whole_message_and_a_regex_a_part_of_it() {
        let patterns = patterns(&["hell", "/ell/"]);
        assert!(!patterns[0].fits(b"hello"));
        assert!(patterns[0].fits(b"hell"));
        assert!(patterns[1].fits(b"\xffhello"));
        assert!(!patterns[1].fits(b"help"));
        // A single slash is no regular expression.
        assert!("/".parse::<Pattern>().unwrap().fits(b"/"));
        let error = "/(/".parse::<Pattern>().unwrap_err();
        assert!(error.contains("unclosed group"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }

    #[test]
    fn what_is_missing_is_said() {
        let patterns = patterns(&["one"]);
        let mut goal = Goal::new(&patterns, Some(2));
        assert!(goal.missing().unwrap().contains("\"one\""));
        goal.see(&"one".into());
        assert!(!goal.is_met());
        assert!(goal.missing().unwrap().contains("2 messages"));
        goal.see(&"two".into());
        assert!(goal.is_met() && goal.is_full());
    }
}

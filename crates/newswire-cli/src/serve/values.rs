//! Values that only the server reads: networks, origins, rates. Each parser's error is the sentence
//! that the user reads.

use crate::values::OrOff;
use bytesize::ByteSize;
use newswire::{Origins, TrustedProxies};
use std::num::NonZeroUsize;

/// A number of threads.
pub(super) fn workers(text: &str) -> Result<NonZeroUsize, String> {
    text.parse::<NonZeroUsize>()
        .ok()
        .filter(|count| count.get() <= 1024)
        .ok_or_else(|| "write a number from 1 to 1024; one for each core is usual".to_owned())
}

/// The permissions of a file.
#[cfg(unix)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mode(pub(super) u32);

/// Digits as chmod's.
#[cfg(unix)]
pub(super) fn mode(text: &str) -> Result<Mode, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .map(Mode)
        .ok_or_else(|| "write three digits from 0 to 7, such as 660 or 600".to_owned())
}

/// A network of proxies.
pub(super) fn network(text: &str) -> Result<String, String> {
    let checked = TrustedProxies::new([text]).map_err(|error| error.to_string());
    checked.map(|_| text.to_owned())
}

/// The origins that are words: those of this server, and all.
pub(super) const SAME: &str = "same";
pub(super) const ANY: &str = "any";

/// An origin, a pattern of them, or one of the words.
pub(super) fn origin(text: &str) -> Result<String, String> {
    if text != SAME && text != ANY {
        Origins::list([text]).map_err(|error| error.to_string())?;
    }
    Ok(text.to_owned())
}

/// RFC 9110 §5.6.2: what a token is made of.
pub(super) fn token(text: &str) -> Result<String, String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(legal) {
        Ok(text.to_owned())
    } else {
        Err("it has letters, digits and !#$%&'*+-.^_`|~, and nothing else".to_owned())
    }
}

/// An address with its port, to listen on.
pub(super) fn address(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(_)) => Ok(text.to_owned()),
        _ => Err("write an address and a port, such as 127.0.0.1:9100".to_owned()),
    }
}

/// How many messages in a second, and how many at once.
pub(super) fn message_rate(text: &str) -> Result<OrOff<(u32, u32)>, String> {
    let one = |text: &str| text.parse().ok().filter(|count| *count > 0);
    rate_or_off(text, one).ok_or_else(|| "write a number from 1, two as 20:100, or off".to_owned())
}

/// How many bytes in a second, and how many at once.
pub(super) fn byte_rate(text: &str) -> Result<OrOff<(u64, u64)>, String> {
    let one = |text: &str| {
        let size = text.parse::<ByteSize>().ok()?;
        Some(size.as_u64()).filter(|bytes| *bytes > 0)
    };
    rate_or_off(text, one).ok_or_else(|| "write a size, two as 1MiB:8MiB, or off".to_owned())
}

/// How much in a second, and how much of it at once: as much, unless it is said.
fn rate_or_off<T: Copy>(text: &str, one: impl Fn(&str) -> Option<T>) -> Option<OrOff<(T, T)>> {
    if text == "off" {
        return Some(OrOff(None));
    }
    let rate = match text.split_once(':') {
        Some((rate, at_once)) => (one(rate)?, one(at_once)?),
        None => (one(text)?, one(text)?),
    };
    Some(OrOff(Some(rate)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused() {
        fn all_refused<T>(read: fn(&str) -> Result<T, String>, wrong: &str) {
            for wrong in wrong.split_whitespace().chain([""]) {
                assert!(read(wrong).is_err(), "{wrong}");
            }
        }
        all_refused(message_rate, "0 1: :1 1:0 -1 1:2:3 lots");
        all_refused(byte_rate, "0 1: 1KiB:0 lots");
        all_refused(network, "10.0.0.0/33 proxy.example");
        all_refused(origin, "https://* ftp://a/b *");
        all_refused(token, "a,b a/b");
        all_refused(address, "9100 127.0.0.1 localhost:70000");
        all_refused(workers, "0 -1 1025 all");
        #[cfg(unix)]
        all_refused(mode, "8 1000 -1 rw");
    }

    #[test]
    fn a_rate_is_one_number_or_two() {
        assert_eq!(message_rate("20"), Ok(OrOff(Some((20, 20)))));
        assert_eq!(message_rate("20:100"), Ok(OrOff(Some((20, 100)))));
        assert_eq!(message_rate("off"), Ok(OrOff(None)));
        assert_eq!(byte_rate("1KiB:1MiB"), Ok(OrOff(Some((1024, 1 << 20)))));
    }
}

//! A cell of the matrix: what is sent, by how many, how many at a time. Text in, text out; nothing is built here.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What the payloads are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Binary messages of random bytes.
    Binary,
    /// Text messages of printable ASCII.
    Ascii,
    /// Text messages mixing scripts, from one to four bytes a character.
    Utf8,
    /// Text messages of varied JSON, compressed if the server accepts permessage-deflate.
    Deflate,
    /// Binary messages of random bytes over TLS.
    Tls,
}

/// One cell, written `SIZExCONNECTIONSxDEPTH`, with `:ascii` or `:utf8` after it for text, `:deflate` for compressed JSON, `:tls`
/// for binary over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Bytes of payload in each message.
    pub size: usize,
    /// Connections, all open for the whole run.
    pub connections: usize,
    /// Messages in flight on each connection.
    pub depth: usize,
    /// What the payloads are made of.
    pub kind: Kind,
}

impl FromStr for Cell {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not a cell: write SIZExCONNECTIONSxDEPTH, such as 128x50x16, 16Kx50x1 or 1Kx50x16:utf8"
            )
        };
        let (numbers, kind) = match text.split_once(':') {
            None => (text, Kind::Binary),
            Some((numbers, "ascii")) => (numbers, Kind::Ascii),
            Some((numbers, "utf8")) => (numbers, Kind::Utf8),
            Some((numbers, "deflate")) => (numbers, Kind::Deflate),
            Some((numbers, "tls")) => (numbers, Kind::Tls),
            Some(_) => return Err(wrong()),
        };
        let mut fields = numbers.split('x').map(number);
        let mut field = || fields.next().flatten().ok_or_else(wrong);
        let cell = Self {
            size: field()?,
            connections: field()?,
            depth: field()?,
            kind,
        };
        if fields.next().is_some() || cell.connections == 0 || cell.depth == 0 {
            return Err(wrong());
        }
        Ok(cell)
    }
}

/// A number, with `K` for 1024 or `M` for 1024².
fn number(text: &str) -> Option<usize> {
    let (digits, unit) = match text.strip_suffix('K') {
        Some(digits) => (digits, 1 << 10),
        None => text
            .strip_suffix('M')
            .map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Binary => "",
            Kind::Ascii => ":ascii",
            Kind::Utf8 => ":utf8",
            Kind::Deflate => ":deflate",
            Kind::Tls => ":tls",
        };
        let (size, unit) = match self.size {
            size if size > 0 && size.is_multiple_of(1 << 20) => (size >> 20, "M"),
            size if size > 0 && size.is_multiple_of(1 << 10) => (size >> 10, "K"),
            size => (size, ""),
        };
        write!(f, "{size}{unit}x{}x{}{kind}", self.connections, self.depth)
    }
}

/// A length of time as the command line has it: `700ms`, `1s`, `1.5s`.
///
/// # Errors
/// When the number or its unit cannot be read, or the time is zero or above ten minutes: every run is bounded.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1e-3),
        None => (text.strip_suffix('s').unwrap_or(""), 1.0),
    };
    digits
        .parse::<f64>()
        .ok()
        .map(|value| value * unit)
        .filter(|seconds| *seconds > 0.0 && *seconds <= 600.0)
        .map(Duration::from_secs_f64)
        .ok_or_else(|| {
            format!("{text:?} is not a time from 1ms to 600s: write it as 700ms or 1.5s")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_reads_back_as_it_is_written() {
        for text in [
            "128x50x1",
            "16Kx50x16",
            "1Mx1x1",
            "0x1x1",
            "1Kx50x16:utf8",
            "128x1x1:ascii",
            "16Kx50x16:deflate",
            "16Kx50x1:tls",
        ] {
            assert_eq!(text.parse::<Cell>().unwrap().to_string(), text);
        }
        assert_eq!("1025x1x1".parse::<Cell>().unwrap().to_string(), "1025x1x1");
        assert_eq!("16Kx1x1".parse::<Cell>().unwrap().size, 16_384);
        assert_eq!("1Mx1x1".parse::<Cell>().unwrap().size, 1 << 20);
    }

    #[test]
    fn a_cell_that_cannot_be_run_is_refused_with_an_example() {
        for text in [
            "",
            "128",
            "128x50",
            "128x50x1x1",
            "128x0x1",
            "128x1x0",
            "-1x1x1",
            "128x1x1:json",
            "9999999999999999999Mx1x1",
        ] {
            let error = text.parse::<Cell>().unwrap_err();
            assert!(error.contains("such as 128x50x16"), "{error}");
        }
    }

    #[test]
    fn a_time_needs_a_unit_and_a_bound() {
        assert_eq!(parse_duration("700ms").unwrap(), Duration::from_millis(700));
        assert_eq!(parse_duration("1.5s").unwrap(), Duration::from_millis(1500));
        for text in ["1", "s", "", "0s", "-1s", "601s", "NaNs", "infs"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}

//! Values that more than one command reads: times, sizes, limits that can be off, headers. Each
//! parser's error is the sentence that the user reads. What only one command knows stays with it.

use bytesize::ByteSize;
use std::str::FromStr;
use std::time::Duration;

/// A length of time: `700ms`, `1.5s`, `2m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let units = [
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    units
        .iter()
        .find_map(|(unit, seconds)| {
            let number = text.strip_suffix(unit)?.trim_end().parse::<f64>().ok()?;
            Duration::try_from_secs_f64(number * seconds).ok()
        })
        .filter(|duration| *duration <= Duration::from_secs(24 * 3600))
        .ok_or_else(|| {
            "write a time up to a day with its unit, such as 700ms, 1.5s or 2m".to_owned()
        })
}

/// A length of time that is not nothing.
pub(crate) fn some_time(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|time| {
        if time.is_zero() {
            Err("it must be longer than nothing".to_owned())
        } else {
            Ok(time)
        }
    })
}

/// A limit that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrOff<T>(pub(crate) Option<T>);

/// `off`, or what `read` makes of the text.
fn or_off<T>(text: &str, read: fn(&str) -> Result<T, String>) -> Result<OrOff<T>, String> {
    if text == "off" {
        return Ok(OrOff(None));
    }
    match read(text) {
        Ok(value) => Ok(OrOff(Some(value))),
        Err(advice) => Err(format!("{advice}; or off")),
    }
}

/// A length of time that is not nothing, or `off`.
pub(crate) fn time_or_off(text: &str) -> Result<OrOff<Duration>, String> {
    or_off(text, some_time)
}

/// A number from 1, or `off`.
pub(crate) fn count_or_off<T: FromStr + Default + PartialEq>(
    text: &str,
) -> Result<OrOff<T>, String> {
    or_off(text, |text| {
        text.parse()
            .ok()
            .filter(|count| *count != T::default())
            .ok_or_else(|| "write a number from 1".to_owned())
    })
}

/// A header: `Origin: https://example.com`.
pub(crate) fn header(text: &str) -> Result<(String, String), String> {
    text.split_once(':')
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| "write a header as 'Name: value'".to_owned())
}

/// How many bytes that is; more than fits is as much as fits.
pub(crate) fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(duration("700ms"), Ok(Duration::from_millis(700)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(duration("50us"), Ok(Duration::from_micros(50)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in [
            "", "1", "s", "-1s", "NaNs", "infs", "1e300s", "25h", "1 day",
        ] {
            assert!(duration(wrong).unwrap_err().contains("700ms"), "{wrong:?}");
        }
        assert!(some_time("0s").is_err());
    }

    #[test]
    fn a_limit_can_be_off() {
        assert_eq!(time_or_off("off"), Ok(OrOff(None)));
        assert_eq!(time_or_off("1m"), Ok(OrOff(Some(Duration::from_mins(1)))));
        for wrong in ["", "Off", "0s", "none"] {
            assert!(time_or_off(wrong).unwrap_err().ends_with("; or off"));
        }
        assert_eq!(count_or_off("7"), Ok(OrOff(Some(7u32))));
        assert_eq!(count_or_off::<u32>("off"), Ok(OrOff(None)));
        for wrong in ["0", "-1", "4294967296", ""] {
            assert!(count_or_off::<u32>(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_header_has_a_name() {
        assert_eq!(
            header("Origin: http://a:1"),
            Ok(("Origin".to_owned(), "http://a:1".to_owned()))
        );
        assert!(header("Origin").is_err());
        assert!(header(": x").is_err());
    }
}

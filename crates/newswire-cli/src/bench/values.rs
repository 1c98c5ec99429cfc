//! Values on the command line of the load generator: counts, source addresses.
//! Each parser's error is the sentence that the user reads.

use std::net::{IpAddr, Ipv4Addr};

/// A number of things, or of things a second: `500`, `50k`, `1.5M`.
pub(super) fn count(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1e3),
        None => text.strip_suffix('M').map_or((text, 1.0), |n| (n, 1e6)),
    };
    number
        .parse::<f64>()
        .ok()
        .map(|number| number * unit)
        .filter(|number| (1.0..=1e12).contains(number))
        .map(|number| number.round() as u64)
        .ok_or_else(|| "write a number from 1, such as 500, 50k or 1.5M".to_owned())
}

/// Source addresses: one, or a range of IPv4 addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sources(pub(super) Vec<IpAddr>);

/// `127.0.0.2`, or `127.0.0.2-127.0.0.9`.
pub(super) fn sources(text: &str) -> Result<Sources, String> {
    let wrong =
        || "write an address or a range, such as 127.0.0.2 or 127.0.0.2-127.0.0.9".to_owned();
    let Some((first, last)) = text.split_once('-') else {
        return Ok(Sources(vec![text.parse().map_err(|_| wrong())?]));
    };
    let [first, last] = [first, last].map(|end| end.parse::<Ipv4Addr>().map(u32::from));
    let (first, last) = first.ok().zip(last.ok()).ok_or_else(wrong)?;
    if last < first || last - first >= 4096 {
        return Err("a range goes from the lower to the higher address, 4096 at most".to_owned());
    }
    Ok(Sources(
        (first..=last)
            .map(|bits| Ipv4Addr::from(bits).into())
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_may_have_a_multiplier() {
        assert_eq!(count("500"), Ok(500));
        assert_eq!(count("50k"), Ok(50_000));
        assert_eq!(count("1.5M"), Ok(1_500_000));
        for wrong in ["", "0", "-1", "k", "1G", "NaN", "inf", "1e30"] {
            assert!(count(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn sources_are_addresses_or_ranges() {
        assert_eq!(sources("127.0.0.2-127.0.0.9").unwrap().0.len(), 8);
        assert_eq!(sources("127.0.0.255-127.0.1.0").unwrap().0.len(), 2);
        assert_eq!(
            sources("::1").unwrap().0,
            ["::1".parse::<IpAddr>().unwrap()]
        );
        for wrong in [
            "",
            "localhost",
            "127.0.0.2-",
            "127.0.0.9-127.0.0.2",
            "127.0.0.0-127.1.0.0",
        ] {
            assert!(sources(wrong).is_err(), "{wrong:?}");
        }
    }
}

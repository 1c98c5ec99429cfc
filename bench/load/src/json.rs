//! Messages of JSON, as services send them: the same names again and again, other values each time. How they travel is not
//! known here.

use std::fmt::Write as _;

use fastrand::Rng;

const SYMBOLS: [&str; 12] = [
    "ACME", "BOLT", "CRUX", "DUNE", "ECHO", "FLUX", "GRID", "HALO", "IRIS", "JADE", "KITE", "LUNA",
];
const WORDS: [&str; 24] = [
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jetty",
    "knoll", "larch", "maple", "north", "ocean", "pearl", "quartz", "river", "slate", "thorn",
    "umbra", "vapor", "willow", "zephyr",
];
/// Behind the events.
const NOTE: &str = "],\"note\":\"";
const END: &str = "\"}";

/// Message `number` of `size` bytes: always the same. Below 80 bytes there is room for a string only.
#[must_use]
pub fn json(size: usize, number: u64) -> String {
    let mut random = Rng::with_seed(number ^ 0x6e65_7773_7769_7265);
    let mut text = String::with_capacity(size);
    if size < 80 {
        let letters = (0..size.saturating_sub(2)).map(|_| random.lowercase());
        let quoted = format!("\"{}\"", letters.collect::<String>());
        return quoted[..size].into();
    }
    let (sequence, time) = (random.u32(100_000..1_000_000), random.u32(1 << 28..));
    let _ = write!(text, "{{\"seq\":{sequence},\"at\":{time},\"events\":[");
    loop {
        let event = event(&mut random);
        let comma = usize::from(!text.ends_with('['));
        if text.len() + comma + event.len() + NOTE.len() + END.len() > size {
            break;
        }
        text.push_str(&","[..comma]);
        text.push_str(&event);
    }
    text.push_str(NOTE);
    while text.len() + END.len() < size {
        text.push_str(random.choice(WORDS).expect("there are words"));
        text.push(' ');
        text.truncate(size - END.len());
    }
    text.push_str(END);
    text
}

fn event(random: &mut Rng) -> String {
    let symbol = random.choice(SYMBOLS).expect("there are symbols");
    match random.u8(..3) {
        0 => format!(
            "{{\"type\":\"trade\",\"symbol\":\"{symbol}\",\"price\":{}.{:02},\"size\":{}}}",
            random.u16(10..1000),
            random.u8(..100),
            random.u16(1..5000)
        ),
        1 => format!(
            "{{\"type\":\"quote\",\"symbol\":\"{symbol}\",\"bid\":{}.{:02},\"ask\":{}.{:02},\"open\":{}}}",
            random.u16(10..1000),
            random.u8(..100),
            random.u16(10..1000),
            random.u8(..100),
            random.bool()
        ),
        _ => {
            let words: Vec<_> = (0..random.usize(2..8))
                .map(|_| *random.choice(&WORDS).expect("there are words"))
                .collect();
            let text = words.join(" ");
            format!(
                "{{\"type\":\"chat\",\"user\":{},\"text\":\"{text}\"}}",
                random.u32(1..100_000)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_json_of_the_exact_length_and_always_the_same() {
        for size in (2..300).chain([1 << 10, 16 << 10]) {
            for number in 0..10 {
                let text = json(size, number);
                assert_eq!(text.len(), size);
                serde_json::from_str::<serde_json::Value>(&text).unwrap();
                assert_eq!(text, json(size, number));
            }
        }
    }

    #[test]
    fn no_message_is_like_another() {
        let messages: std::collections::HashSet<_> =
            (0..257).map(|number| json(128, number)).collect();
        assert_eq!(messages.len(), 257);
    }
}

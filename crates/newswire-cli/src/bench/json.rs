//! Text that compresses as that of real applications does: JSON of an exact length, the same for
//! the same seed. Nothing is sent or compressed here.

use fastrand::Rng;

const WORDS: [&str; 32] = [
    "amber", "anchor", "basin", "bridge", "canvas", "cedar", "copper", "delta", "ember", "falcon",
    "garden", "harbour", "island", "juniper", "kettle", "lantern", "meadow", "marble", "needle",
    "orchard", "paper", "quarry", "river", "saddle", "signal", "timber", "tunnel", "velvet",
    "violet", "willow", "winter", "yellow",
];

/// What ends the array after the string that fills it up.
const END: &str = "\"]";

/// An array of small objects, filled up by a string to just `len` bytes. Shorter than any array
/// it is a number.
pub(super) fn json(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(seed);
    if len < "[\"\"]".len() {
        return (0..len).map(|_| random.u8(b'1'..=b'9')).collect();
    }
    let mut text = String::with_capacity(len);
    text.push('[');
    loop {
        let next = object(&mut random);
        // Behind it there must be room for a comma and an empty string.
        if text.len() + next.len() + ",\"".len() + END.len() > len {
            break;
        }
        text += &next;
        text.push(',');
    }
    text.push('"');
    let filled = len - END.len();
    while text.len() < filled {
        text += random.choice(WORDS).unwrap_or_default();
        text.push(' ');
    }
    text.truncate(filled);
    text += END;
    text.into_bytes()
}

/// One of three kinds: a quote, a person's message, a measurement.
fn object(random: &mut Rng) -> String {
    let mut word = || WORDS[random.usize(..WORDS.len())];
    let (first, second, third) = (word(), word(), word());
    let (id, time) = (
        random.u32(100_000..),
        1_760_000_000_000 + random.u64(..100_000_000),
    );
    match random.u8(..3) {
        0 => format!(
            r#"{{"type":"quote","symbol":"{}","bid":{:.2},"ask":{:.2},"volume":{},"time":{time}}}"#,
            first.to_uppercase(),
            10.0 + random.f64() * 90.0,
            10.0 + random.f64() * 90.0,
            random.u32(1..5_000),
        ),
        1 => format!(
            r#"{{"type":"message","id":{id},"user":"{first}.{second}","text":"{third} {first} {second}","seen":{}}}"#,
            random.bool(),
        ),
        _ => format!(
            r#"{{"type":"reading","sensor":"{first}-{:04}","celsius":{:.1},"battery":{},"time":{time}}}"#,
            random.u32(..10_000),
            random.f64() * 40.0 - 10.0,
            random.u8(..=100),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_json_of_just_the_length_that_was_asked_for() {
        for len in (1..400).chain([1024, 16_384, 1 << 20]) {
            let text = json(len, 7);
            assert_eq!(text.len(), len);
            serde_json::from_slice::<serde_json::Value>(&text)
                .unwrap_or_else(|error| panic!("{len} bytes: {error}"));
        }
        assert_eq!(json(0, 7), b"");
    }

    #[test]
    fn a_seed_gives_one_text_and_another_seed_another() {
        assert_eq!(json(1000, 1), json(1000, 1));
        assert_ne!(json(1000, 1), json(1000, 2));
    }
}

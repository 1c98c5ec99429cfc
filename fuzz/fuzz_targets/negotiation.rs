//! Any `Sec-WebSocket-Extensions` as a client's offers and as a server's answer. What is taken
//! was there, by a reading that splits the header at its commas and semicolons; what a server
//! answers, the client takes.
#![no_main]

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use newswire_fuzz::script::Script;
use newswire_proto::deflate::{Compression, DeflateConfig, DeflateOffer, DeflateParams};

fuzz_target!(|data: &[u8]| {
    let mut script = Script(data);
    let [client, server] = [(); 2].map(|()| config(&mut script));
    let lines: Vec<_> = (0..script.choice(3))
        .filter_map(|_| HeaderValue::from_bytes(script.bytes()).ok())
        .collect();

    let offers = DeflateOffer::read(&lines);
    let params = server.accept(&offers);
    assert_eq!(params.is_some(), server.is_on() && !offers.is_empty());
    if let Some(params) = params {
        assert_answers(&offers[0].to_string(), params);
        let plain = DeflateConfig::new();
        assert_eq!(plain.check([&params.to_header_value()]), Ok(Some(params)));
    }
    for offer in &offers {
        let line = HeaderValue::try_from(offer.to_string()).expect("it is legal");
        assert_eq!(DeflateOffer::read([&line]), [*offer]);
    }
    // Quotes hide nothing from the plain reading where there are none.
    if let [line] = &lines[..]
        && let Ok(text) = line.to_str()
        && !text.contains(['"', '\\'])
    {
        assert!(offers.len() <= elements(text).filter(|e| e[0] == NAME).count());
        for offer in &offers {
            let mut wanted = parts(&offer.to_string());
            wanted.sort_unstable();
            let was_there = elements(text).any(|mut element| {
                element.sort_unstable();
                element == wanted
            });
            assert!(was_there, "{offer} in {text:?}");
        }
    }

    if let Ok(agreed) = client.check(&lines) {
        assert_eq!(agreed.is_some(), !lines.is_empty());
        assert!(agreed.is_none() || client.is_on());
        if agreed.is_some() {
            assert_eq!(lines.len(), 1);
        }
    }
    if let (Some(offer), true) = (client.offer(), server.is_on()) {
        let params = server.accept(&DeflateOffer::read([&offer]));
        let params = params.expect("every valid offer is accepted");
        assert_eq!(client.check([&params.to_header_value()]), Ok(Some(params)));
    }
});

const NAME: &str = "permessage-deflate";

fn config(script: &mut Script<'_>) -> DeflateConfig {
    let compression = match script.choice(4) {
        0 => Compression::Off,
        1 => Compression::Dedicated {
            window_bits: script.byte(),
            mem_level: script.byte(),
            level: script.byte(),
        },
        _ => Compression::Shared {
            history: usize::from(script.number()),
            level: script.byte(),
        },
    };
    DeflateConfig::new()
        .compression(compression)
        .server_no_context_takeover(script.flag())
        .client_no_context_takeover(script.flag())
}

/// The elements of a header, each as its name and parameters without blanks.
fn elements(text: &str) -> impl Iterator<Item = Vec<String>> {
    text.split(',').map(|element| {
        let parts = element.split(';');
        parts.map(|part| part.replace([' ', '\t'], "")).collect()
    })
}

fn parts(element: &str) -> Vec<String> {
    elements(element).next().unwrap_or_default()
}

/// RFC 7692 §7.1.1 and §7.1.2: what an answer may say to an offer.
fn assert_answers(offer: &str, params: DeflateParams) {
    let offer = parts(offer);
    let answer = parts(&params.to_string());
    let value = |of: &[String], name: &str| {
        let found = of.iter().find(|part| part.split('=').next() == Some(name));
        found.map(|part| part.split_once('=').map(|(_, value)| value.parse::<u8>()))
    };
    for name in ["server_no_context_takeover", "client_no_context_takeover"] {
        assert!(value(&offer, name).is_none() || value(&answer, name).is_some());
    }
    let (asked, said) = (
        value(&offer, "server_max_window_bits"),
        value(&answer, "server_max_window_bits"),
    );
    assert_eq!(asked.is_some(), said.is_some());
    if let (Some(Some(Ok(asked))), Some(said)) = (asked, said) {
        assert!(matches!(said, Some(Ok(said)) if (8..=asked).contains(&said)));
    }
    if let Some(said) = value(&answer, "client_max_window_bits") {
        let most = match value(&offer, "client_max_window_bits") {
            Some(Some(Ok(most))) => most,
            Some(_) => 15,
            None => panic!("it was not offered"),
        };
        assert!(matches!(said, Some(Ok(said)) if (8..=most).contains(&said)));
    }
}

//! permessage-deflate's negotiation (RFC 7692 §7.1): what each end says, and what it takes.

use http::HeaderValue;
use newswire_proto::deflate::{
    Compression, DeflateConfig, DeflateOffer, DeflateParams, ExtensionError,
};
use proptest::prelude::*;

const SHARED: Compression = Compression::Shared {
    history: 2048,
    level: 6,
};

fn config(compression: Compression) -> DeflateConfig {
    DeflateConfig::new().compression(compression)
}

fn lines(lines: &[&str]) -> Vec<HeaderValue> {
    lines.iter().map(|line| line.parse().unwrap()).collect()
}

/// The server's answer to these header lines.
fn answer(config: &DeflateConfig, offers: &[&str]) -> Option<String> {
    let params = config.accept(&DeflateOffer::read(&lines(offers)))?;
    assert_eq!(params.to_header_value(), params.to_string());
    Some(params.to_string())
}

fn offer(config: &DeflateConfig) -> Option<String> {
    config
        .offer()
        .map(|value| value.to_str().unwrap().to_owned())
}

fn check(config: &DeflateConfig, answer: &[&str]) -> Result<Option<DeflateParams>, ExtensionError> {
    config.check(&lines(answer))
}

#[test]
fn a_server_answers_each_parameter_as_its_mode_needs() {
    let dedicated = config(Compression::dedicated());
    let small = config(Compression::Dedicated {
        window_bits: 11,
        mem_level: 4,
        level: 6,
    });
    let shared = config(SHARED);
    let stateless = config(Compression::Shared {
        history: 0,
        level: 6,
    });
    for (config, offer, expected) in [
        (&dedicated, "", ""),
        (&dedicated, "; client_max_window_bits", ""),
        (&dedicated, "; client_max_window_bits=9", ""),
        (
            &dedicated,
            "; server_no_context_takeover",
            "; server_no_context_takeover",
        ),
        (
            &dedicated,
            "; client_no_context_takeover",
            "; client_no_context_takeover",
        ),
        (
            &dedicated,
            "; server_max_window_bits=8",
            "; server_max_window_bits=8",
        ),
        (
            &dedicated,
            "; server_max_window_bits=15",
            "; server_max_window_bits=15",
        ),
        (
            &small,
            "; server_max_window_bits=9",
            "; server_max_window_bits=9",
        ),
        (
            &small,
            "; server_max_window_bits=13",
            "; server_max_window_bits=11",
        ),
        (&small, "", ""),
        // What browsers offer, and what Firefox does.
        (
            &shared,
            "; client_max_window_bits",
            "; client_max_window_bits=11",
        ),
        (&shared, "", "; client_no_context_takeover"),
        (
            &shared,
            "; client_max_window_bits=9",
            "; client_max_window_bits=9",
        ),
        (
            &shared,
            "; client_max_window_bits=8",
            "; client_max_window_bits=8",
        ),
        (
            &shared,
            "; client_max_window_bits=15",
            "; client_max_window_bits=11",
        ),
        (
            &shared,
            "; client_max_window_bits; client_no_context_takeover",
            "; client_no_context_takeover",
        ),
        (
            &shared,
            "; client_max_window_bits; server_max_window_bits=10; server_no_context_takeover",
            "; server_no_context_takeover; server_max_window_bits=10; client_max_window_bits=11",
        ),
        (
            &stateless,
            "; client_max_window_bits",
            "; server_no_context_takeover; client_no_context_takeover",
        ),
    ] {
        let expected = format!("permessage-deflate{expected}");
        let offer = format!("permessage-deflate{offer}");
        assert_eq!(answer(config, &[&offer]), Some(expected), "{offer}");
    }
}

#[test]
fn every_window_is_accepted_and_histories_become_windows() {
    for bits in 8..=15 {
        let offer = format!("permessage-deflate; server_max_window_bits={bits}");
        let params =
            config(Compression::dedicated()).accept(&DeflateOffer::read(&lines(&[&offer])));
        assert_eq!(params.unwrap().server_max_window_bits(), bits);
        assert_eq!(params.unwrap().client_max_window_bits(), 15);
    }
    for (history, bits) in [
        (1, 9),
        (511, 9),
        (1023, 9),
        (1024, 10),
        (4096, 12),
        (usize::MAX, 15),
    ] {
        let shared = config(Compression::Shared { history, level: 1 });
        let expected = format!("permessage-deflate; client_max_window_bits={bits}");
        let given = answer(&shared, &["permessage-deflate; client_max_window_bits"]);
        assert_eq!(given, Some(expected), "{history}");
    }
}

#[test]
fn a_server_adds_what_it_was_configured_to_demand() {
    let server = config(Compression::dedicated())
        .server_no_context_takeover(true)
        .client_no_context_takeover(true);
    assert_eq!(
        answer(&server, &["permessage-deflate"]).unwrap(),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    );
}

#[test]
fn a_server_takes_the_first_offer_that_is_valid() {
    let server = config(Compression::dedicated());
    let taken = "permessage-deflate; server_max_window_bits=12";
    for offers in [
        &[taken][..],
        &["permessage-deflate; server_max_window_bits=12, permessage-deflate"],
        &["permessage-deflate; server_max_window_bits=\"12\""],
        &["permessage-deflate;server_max_window_bits = 12 , other"],
        &["other; x=1, permessage-deflate; server_max_window_bits=12"],
        &["other", taken, "permessage-deflate"],
        &["not; a; list;", taken],
        // Each has a mistake, and is passed over.
        &["permessage-deflate; unknown", taken],
        &[
            "permessage-deflate; server_max_window_bits=12; unknown=1, permessage-deflate; server_max_window_bits=12",
        ],
        &[
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            taken,
        ],
        &[
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
            taken,
        ],
        &["permessage-deflate; server_no_context_takeover=1", taken],
        &["permessage-deflate; client_no_context_takeover=true", taken],
        &["permessage-deflate; server_max_window_bits", taken],
        &["permessage-deflate; server_max_window_bits=7", taken],
        &["permessage-deflate; server_max_window_bits=16", taken],
        &["permessage-deflate; server_max_window_bits=010", taken],
        &["permessage-deflate; server_max_window_bits=+9", taken],
        &["permessage-deflate; server_max_window_bits=\"08\"", taken],
        &["permessage-deflate; client_max_window_bits=7", taken],
        &["permessage-deflate; client_max_window_bits=265", taken],
        &["permessage-deflate; client_max_window_bits=x", taken],
        &["x-webkit-deflate-frame", taken],
    ] {
        assert_eq!(
            answer(&server, offers).as_deref(),
            Some(taken),
            "{offers:?}"
        );
    }
}

#[test]
fn without_a_valid_offer_or_with_compression_off_there_is_no_answer() {
    let server = config(Compression::dedicated());
    for offers in [
        &[][..],
        &["other"],
        &["permessage-deflate; unknown"],
        &["permessage-deflate;"],
    ] {
        assert_eq!(answer(&server, offers), None, "{offers:?}");
    }
    let off = config(Compression::Off);
    assert_eq!(answer(&off, &["permessage-deflate"]), None);
    assert_eq!(offer(&off), None);
}

#[test]
fn a_client_offers_what_browsers_do_and_hints_before_that() {
    let small = Compression::Dedicated {
        window_bits: 11,
        mem_level: 4,
        level: 6,
    };
    for (client, expected) in [
        (config(SHARED), "permessage-deflate; client_max_window_bits"),
        (
            config(Compression::dedicated()),
            "permessage-deflate; client_max_window_bits",
        ),
        (
            config(small),
            "permessage-deflate; client_max_window_bits=11, \
             permessage-deflate; client_max_window_bits",
        ),
        (
            config(SHARED).server_no_context_takeover(true),
            "permessage-deflate; server_no_context_takeover; client_max_window_bits",
        ),
        (
            config(SHARED).client_no_context_takeover(true),
            "permessage-deflate; client_no_context_takeover; client_max_window_bits, \
             permessage-deflate; client_max_window_bits",
        ),
    ] {
        assert_eq!(offer(&client).as_deref(), Some(expected));
    }
}

#[test]
fn a_client_takes_every_legal_answer() {
    let client = config(SHARED);
    assert_eq!(check(&client, &[]), Ok(None));
    for (answer, server_forgets, client_forgets, server_bits, client_bits) in [
        ("", false, false, 15, 15),
        ("; server_no_context_takeover", true, false, 15, 15),
        ("; client_no_context_takeover", false, true, 15, 15),
        // A server may say it without having been asked.
        ("; server_max_window_bits=8", false, false, 8, 15),
        ("; client_max_window_bits=8", false, false, 15, 8),
        ("; client_max_window_bits=\"15\"", false, false, 15, 15),
        (
            "; client_max_window_bits=9; server_max_window_bits=10; client_no_context_takeover; \
             server_no_context_takeover",
            true,
            true,
            10,
            9,
        ),
    ] {
        let params = check(&client, &[&format!("permessage-deflate{answer}")])
            .unwrap()
            .unwrap();
        assert_eq!(
            params.server_no_context_takeover(),
            server_forgets,
            "{answer}"
        );
        assert_eq!(
            params.client_no_context_takeover(),
            client_forgets,
            "{answer}"
        );
        assert_eq!(params.server_max_window_bits(), server_bits, "{answer}");
        assert_eq!(params.client_max_window_bits(), client_bits, "{answer}");
    }
    // What it wants of itself holds, whatever the server says.
    let forgets = client.client_no_context_takeover(true);
    let params = check(&forgets, &["permessage-deflate"]).unwrap().unwrap();
    assert!(params.client_no_context_takeover());
}

#[test]
fn a_client_fails_on_an_answer_that_it_did_not_ask_for() {
    let client = config(SHARED);
    let invalid = |parameter: &str, found: Option<&str>| ExtensionError::InvalidValue {
        parameter: parameter.to_owned(),
        found: found.map(str::to_owned),
    };
    for (answer, expected) in [
        (&[""][..], ExtensionError::Malformed),
        (&["permessage-deflate;"], ExtensionError::Malformed),
        (&["other"], ExtensionError::NotOffered("other".to_owned())),
        (
            &["permessage-deflate, other"],
            ExtensionError::NotOffered("other".to_owned()),
        ),
        (
            &["permessage-deflate, permessage-deflate"],
            ExtensionError::Repeated("permessage-deflate".to_owned()),
        ),
        (
            &["permessage-deflate", "permessage-deflate"],
            ExtensionError::Repeated("permessage-deflate".to_owned()),
        ),
        (
            &["permessage-deflate; level=3"],
            ExtensionError::UnknownParameter("level".to_owned()),
        ),
        (
            &["permessage-deflate; server_max_window_bits=9; server_max_window_bits=9"],
            ExtensionError::Repeated("server_max_window_bits".to_owned()),
        ),
        (
            &["permessage-deflate; client_max_window_bits"],
            invalid("client_max_window_bits", None),
        ),
        (
            &["permessage-deflate; server_max_window_bits"],
            invalid("server_max_window_bits", None),
        ),
        (
            &["permessage-deflate; server_max_window_bits=16"],
            invalid("server_max_window_bits", Some("16")),
        ),
        (
            &["permessage-deflate; server_no_context_takeover=1"],
            invalid("server_no_context_takeover", Some("1")),
        ),
    ] {
        assert_eq!(check(&client, answer), Err(expected), "{answer:?}");
    }
    assert_eq!(
        check(&config(Compression::Off), &["permessage-deflate"]),
        Err(ExtensionError::NotOffered("permessage-deflate".to_owned()))
    );
}

fn any_config() -> impl Strategy<Value = DeflateConfig> {
    let mode = prop_oneof![
        any::<usize>().prop_map(|history| Compression::Shared { history, level: 6 }),
        (0_usize..5000).prop_map(|history| Compression::Shared { history, level: 6 }),
        any::<u8>().prop_map(|window_bits| Compression::Dedicated {
            window_bits,
            mem_level: 8,
            level: 6
        }),
    ];
    (mode, any::<bool>(), any::<bool>()).prop_map(|(mode, server, client)| {
        config(mode)
            .server_no_context_takeover(server)
            .client_no_context_takeover(client)
    })
}

proptest! {
    #[test]
    fn a_client_and_a_server_always_agree(client in any_config(), server in any_config()) {
        let offers = DeflateOffer::read([&client.offer().unwrap()]);
        let params = server.accept(&offers).unwrap();
        prop_assert_eq!(client.check([&params.to_header_value()]), Ok(Some(params)));
        let read_again: Vec<_> = offers.iter().map(|offer| offer.to_string()).collect();
        prop_assert_eq!(read_again.join(", "), offer(&client).unwrap());
    }

    #[test]
    fn no_header_panics(line in "[ -~]{0,60}", server in any_config()) {
        let line: HeaderValue = line.parse().unwrap();
        let params = server.accept(&DeflateOffer::read([&line]));
        prop_assert!(params.is_none() || line.to_str().unwrap().contains("permessage-deflate"));
        let _ = server.check([&line]);
    }
}

//! What proxies say about a client: any bytes as a header of the PROXY protocol, any lines as
//! `Forwarded` and `X-Forwarded-…`. Whatever a client has written in front of it, the word of a
//! trusted proxy stands; and what was written by the rules is read as it was meant.
#![no_main]

use http::header::{FORWARDED, HeaderName};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use newswire::server::TrustedProxies;
use newswire::server::proxy_protocol::{Header, parse};
use newswire_fuzz::script::Script;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V1_MAX: usize = 107;
const V2_MAX: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let mut script = Script(data);
    match script.choice(5) {
        0 => any_bytes(script.0),
        1 => a_line(script),
        2 => a_binary_header(script),
        3 => a_chain(script),
        _ => behind_an_invention(script),
    }
});

/// Errors are told in one line.
fn assert_told(error: &dyn Display) {
    let text = error.to_string();
    assert!(!text.is_empty() && text.len() < 1000, "{text}");
    assert!(!text.contains(char::is_control), "{text:?}");
}

// --- the PROXY protocol --------------------------------------------------------------------------

fn any_bytes(bytes: &[u8]) {
    // All places where a header may be cut, or the first ones of many.
    let cuts = || (0..bytes.len()).take(300);
    let longer = [bytes, b" \r\n\0more"].concat();
    match parse(bytes) {
        Ok(Some(header)) => {
            let most = if bytes.starts_with(SIGNATURE) {
                V2_MAX
            } else {
                V1_MAX
            };
            assert!(header.len <= bytes.len().min(most));
            assert_eq!(parse(&longer), Ok(Some(header.clone())));
            assert_eq!(parse(&bytes[..header.len]), Ok(Some(header.clone())));
            for cut in cuts().take_while(|cut| *cut < header.len) {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "cut at {cut}");
            }
            written_again(&header);
        }
        Ok(None) => {
            assert!(bytes.len() < V2_MAX);
            for cut in cuts() {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "cut at {cut}");
            }
        }
        Err(error) => {
            assert_told(&error);
            // More bytes make it no better, and fewer give no header.
            assert!(parse(&longer).is_err());
            let fewer = cuts().find(|cut| matches!(parse(&bytes[..*cut]), Ok(Some(_))));
            assert_eq!(fewer, None);
        }
    }
}

fn addresses(header: &Header) -> Option<(SocketAddr, SocketAddr)> {
    assert_eq!(header.source.is_some(), header.destination.is_some());
    Some((header.source?, header.destination?))
}

/// What was read can be written, in both versions.
fn written_again(header: &Header) {
    if let Some((source, destination)) = addresses(header) {
        let line = line(source, destination);
        assert!(line.len() <= V1_MAX);
        let read = parse(line.as_bytes())
            .expect("it is legal")
            .expect("it is whole");
        assert_eq!(
            (addresses(&read), read.len),
            (addresses(header), line.len())
        );
    }
    let bytes = binary(
        addresses(header),
        header.tls,
        header.authority.as_deref(),
        true,
    );
    if bytes.len() <= V2_MAX {
        let read = parse(&bytes).expect("it is legal").expect("it is whole");
        assert_same(&read, header, bytes.len());
    }
}

fn assert_same(read: &Header, meant: &Header, len: usize) {
    assert_eq!(read.len, len);
    assert_eq!(addresses(read), addresses(meant));
    assert_eq!((read.tls, &read.authority), (meant.tls, &meant.authority));
}

fn line(source: SocketAddr, destination: SocketAddr) -> String {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.port(), destination.port());
    format!(
        "PROXY {family} {} {} {from} {to}\r\n",
        source.ip(),
        destination.ip()
    )
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// A version 2 header. Without addresses it is of a client on a Unix socket.
fn binary(
    ends: Option<(SocketAddr, SocketAddr)>,
    tls: bool,
    authority: Option<&str>,
    summed: bool,
) -> Vec<u8> {
    let (family, mut block) = match ends {
        None => (0x31, vec![7; 216]),
        Some((source, destination)) => {
            let mut block = [octets(source.ip()), octets(destination.ip())].concat();
            block.extend(source.port().to_be_bytes());
            block.extend(destination.port().to_be_bytes());
            (if source.is_ipv4() { 0x11 } else { 0x21 }, block)
        }
    };
    let mut tlv = |kind: u8, value: &[u8]| {
        block.push(kind);
        block.extend((value.len() as u16).to_be_bytes());
        block.extend(value);
    };
    tlv(0x04, b"padding");
    tlv(0x20, &[u8::from(tls), 0, 0, 0, 0]);
    if let Some(authority) = authority {
        tlv(0x02, authority.as_bytes());
    }
    if summed {
        tlv(0x03, &[0; 4]);
    }
    let len = (block.len() as u16).to_be_bytes();
    let mut bytes = [SIGNATURE, &[0x21, family], &len, &block].concat();
    if summed {
        let sum = crc32c(&bytes).to_be_bytes();
        let at = bytes.len() - 4;
        bytes[at..].copy_from_slice(&sum);
    }
    bytes
}

/// The checksum as the polynomial division that it is: the message's bits, each byte's lowest one
/// first, divided from the highest power on.
fn crc32c(bytes: &[u8]) -> u32 {
    let bits = bytes
        .iter()
        .flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
    let rest = bits.fold(u32::MAX, |rest, bit| {
        let carries = (rest >> 31 == 1) != bit;
        rest << 1 ^ if carries { 0x1EDC_6F41 } else { 0 }
    });
    !rest.reverse_bits()
}

fn two_addresses(script: &mut Script<'_>) -> (SocketAddr, SocketAddr) {
    let (one, other) = if script.flag() {
        (ipv4(script), ipv4(script))
    } else {
        (ipv6(script), ipv6(script))
    };
    (
        SocketAddr::new(one, script.number()),
        SocketAddr::new(other, script.number()),
    )
}

fn ipv4(script: &mut Script<'_>) -> IpAddr {
    Ipv4Addr::from_octets(std::array::from_fn(|_| script.byte())).into()
}

fn ipv6(script: &mut Script<'_>) -> IpAddr {
    Ipv6Addr::from_segments(std::array::from_fn(|_| script.number())).into()
}

fn a_line(mut script: Script<'_>) {
    let (source, destination) = two_addresses(&mut script);
    let line = line(source, destination);
    let bytes = [line.as_bytes(), script.0].concat();
    let header = parse(&bytes).expect("it is legal").expect("it is whole");
    assert_eq!(addresses(&header), Some((source, destination)), "{line}");
    assert_eq!(
        (header.len, header.tls, &header.authority),
        (line.len(), false, &None)
    );
    any_bytes(&bytes);
}

fn a_binary_header(mut script: Script<'_>) {
    let ends = script.flag().then(|| two_addresses(&mut script));
    let (tls, summed) = (script.flag(), script.flag());
    let authority = script.flag().then(|| script.text());
    let mut bytes = binary(ends, tls, authority.as_deref(), summed);
    let len = bytes.len();
    let (place, change) = (usize::from(script.byte()), script.byte());
    bytes.extend(script.0);
    let header = parse(&bytes).expect("it is legal").expect("it is whole");
    assert_eq!((header.len, addresses(&header)), (len, ends));
    assert_eq!((header.tls, &header.authority), (tls, &authority));
    any_bytes(&bytes);
    // A changed address does not pass the checksum.
    let room = if ends.is_some_and(|(source, _)| source.is_ipv4()) {
        12
    } else {
        36
    };
    bytes[16 + place % room] ^= change;
    assert_eq!(parse(&bytes).is_err(), summed && change != 0);
}

// --- Forwarded -----------------------------------------------------------------------------------

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

fn trusted() -> TrustedProxies {
    TrustedProxies::new(["10.0.0.0/8", "fd00::/8"]).expect("they are networks")
}

/// An address as proxies write it, in `Forwarded` always within quotation marks.
fn node(address: IpAddr, form: u8) -> String {
    match (address, form) {
        (_, 0) => SocketAddr::new(address, 443).to_string(),
        (IpAddr::V6(address), 1) => format!("[{address}]"),
        (IpAddr::V6(address), _) => format!("[{address}]:_hidden"),
        (IpAddr::V4(address), 1) => address.to_string(),
        (IpAddr::V4(address), _) => format!("{address}:_hidden"),
    }
}

/// A chain of proxies, each of which names the one before: the client is the first that is not
/// trusted, seen from here.
fn a_chain(mut script: Script<'_>) {
    let (trusted, mut headers) = (trusted(), HeaderMap::new());
    let mut chain = Vec::new();
    for _ in 0..=script.choice(6) {
        let address = match script.choice(4) {
            0 => ipv4(&mut script),
            1 => ipv6(&mut script),
            2 => Ipv4Addr::new(10, script.byte(), script.byte(), 1).into(),
            _ => Ipv6Addr::new(0xFD00, 0, 0, 0, 0, 0, 0, script.number()).into(),
        };
        chain.push(address);
        let form = script.choice(3);
        let secure = if script.flag() { "https" } else { "http" };
        let element = format!("for=\"{}\";proto={secure}", node(address, form));
        let plain = node(address, form);
        // On a line of its own or behind others, in both headers alike.
        headers.append(FORWARDED, element.parse().expect("it is a value"));
        headers.append(X_FORWARDED_FOR, plain.parse().expect("it is a value"));
        headers.append(X_FORWARDED_PROTO, secure.parse().expect("it is a value"));
    }
    if script.flag() {
        for name in [FORWARDED, X_FORWARDED_FOR, X_FORWARDED_PROTO] {
            let lines: Vec<_> = headers
                .get_all(&name)
                .iter()
                .map(HeaderValue::as_bytes)
                .collect();
            let line = HeaderValue::from_bytes(&lines.join(&b", "[..])).expect("they were values");
            headers.insert(name, line);
        }
    }
    let from_here = || chain.iter().rev().map(IpAddr::to_canonical);
    let client = from_here().find(|address| !trusted.contains(*address));
    let client = client.or(from_here().last());
    for without in [None, Some(FORWARDED), Some(X_FORWARDED_FOR)] {
        let mut headers = headers.clone();
        without.map(|name| headers.remove(name));
        let found = trusted.resolve(Some(PROXY), &headers);
        assert_eq!(found.client, client, "{headers:?}");
        assert!(found.secure.is_some(), "{headers:?}");
        // Nobody else is believed.
        for stranger in [None, Some(Ipv4Addr::LOCALHOST.into())] {
            assert_eq!(trusted.resolve(stranger, &headers), Default::default());
        }
    }
}

/// Whatever stands in front of it, what the nearest proxy has written is what is believed.
fn behind_an_invention(mut script: Script<'_>) {
    let client: IpAddr = Ipv4Addr::new(198, 51, 100, 7).into();
    let (which, apart) = (script.choice(3), script.flag());
    let mut headers = HeaderMap::new();
    let mut add = |name: &HeaderName, words: &str| {
        let before = script.bytes();
        let separator: &[u8] = if script.flag() { b"," } else { b" , " };
        let line = [before, separator, words.as_bytes()].concat();
        match HeaderValue::from_bytes(&line) {
            Ok(line) if !apart => _ = headers.append(name, line),
            _ => {
                if let Ok(before) = HeaderValue::from_bytes(before) {
                    headers.append(name, before);
                }
                headers.append(name, words.parse().expect("it is a value"));
            }
        }
    };
    if which != 1 {
        add(
            &FORWARDED,
            "for=198.51.100.7;proto=https;host=\"example.org\"",
        );
    }
    if which != 0 {
        add(&X_FORWARDED_FOR, "198.51.100.7");
        add(&X_FORWARDED_PROTO, "https");
        add(&X_FORWARDED_HOST, "example.org");
    }
    let found = trusted().resolve(Some(PROXY), &headers);
    assert_eq!(found.client, Some(client), "{headers:?}");
    assert_eq!(found.secure, Some(true), "{headers:?}");
    assert_eq!(found.host.as_deref(), Some("example.org"), "{headers:?}");
    // And by itself what a client has invented is read as far as it goes.
    let text = script.text();
    if let Err(error) = TrustedProxies::new([&text]) {
        assert_told(&error);
    }
    if let Ok(line) = HeaderValue::from_bytes(script.0) {
        for name in [
            FORWARDED,
            X_FORWARDED_FOR,
            X_FORWARDED_HOST,
            X_FORWARDED_PROTO,
        ] {
            headers.insert(name, line.clone());
            let found = trusted().resolve(Some(PROXY), &headers);
            assert!(found.client.is_none_or(|it| it == it.to_canonical()));
            assert!(
                found
                    .host
                    .is_none_or(|host| host.len() <= script.0.len().max(11))
            );
        }
    }
}

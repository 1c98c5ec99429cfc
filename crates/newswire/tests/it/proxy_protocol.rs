//! The PROXY protocol: what is read of both versions, what is refused, and that no bytes are too
//! strange for it.

use newswire::server::proxy_protocol::{Header, ProxyProtocolError, parse};
use proptest::prelude::*;
use std::net::{Ipv6Addr, SocketAddr};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn complete(bytes: &[u8]) -> Header {
    parse(bytes).expect("it is legal").expect("it is complete")
}

fn addr(text: &str) -> Option<SocketAddr> {
    Some(text.parse().unwrap())
}

/// A version 2 header of these parts.
fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let len = u16::try_from(block.len()).unwrap();
    [
        SIGNATURE,
        &[0x20 | command, family],
        &len.to_be_bytes(),
        block,
    ]
    .concat()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).unwrap();
    [&[kind][..], &len.to_be_bytes(), value].concat()
}

/// From 192.0.2.7:56324 to 192.0.2.1:443.
const IPV4: &[u8] = &[192, 0, 2, 7, 192, 0, 2, 1, 0xDC, 0x04, 0x01, 0xBB];

#[test]
fn a_line_names_both_ends() {
    let bytes = b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\nGET / HTTP/1.1\r\n";
    let header = complete(bytes);
    assert_eq!(header.source, addr("192.0.2.7:56324"));
    assert_eq!(header.destination, addr("192.0.2.1:443"));
    assert_eq!(&bytes[header.len..], b"GET / HTTP/1.1\r\n");
    assert!(!header.tls);
    assert_eq!(header.authority, None);

    let header = complete(b"PROXY TCP6 2001:DB8::7 ::1 0 65535\r\n");
    assert_eq!(header.source, addr("[2001:db8::7]:0"));
    assert_eq!(header.destination, addr("[::1]:65535"));
}

#[test]
fn an_unknown_client_has_no_address_whatever_follows() {
    for line in [
        "PROXY UNKNOWN\r\n",
        "PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
        "PROXY UNKNOWN what ever\r\n",
    ] {
        let header = complete(line.as_bytes());
        assert_eq!((header.source, header.len), (None, line.len()), "{line:?}");
    }
}

#[test]
fn a_line_that_is_not_exactly_as_specified_is_refused() {
    let longest = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 91], b"\r\n".to_vec()].concat();
    assert_eq!(longest.len(), 107);
    assert_eq!(complete(&longest).len, 107);
    let too_long = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 92], b"\r\n".to_vec()].concat();
    assert!(parse(&too_long).is_err());

    for line in [
        "PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\n",
        "PROXY TCP4  192.0.2.7 192.0.2.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 56324 443 \r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 56324\r\n",
        "PROXY TCP4 192.0.2.07 192.0.2.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 056324 443\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 +56324 443\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 56324 65536\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.1 56324 443\r\n",
        "PROXY TCP4 2001:db8::7 2001:db8::1 56324 443\r\n",
        "PROXY TCP6 192.0.2.7 192.0.2.1 56324 443\r\n",
        "PROXY TCP5 192.0.2.7 192.0.2.1 56324 443\r\n",
        "PROXY tcp4 192.0.2.7 192.0.2.1 56324 443\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
        "PROXY TCP4 192.0.2.7\r192.0.2.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 56324 443é\r\n",
    ] {
        let error = parse(line.as_bytes()).expect_err(line);
        assert!(
            matches!(error, ProxyProtocolError::Line(_)),
            "{line:?}: {error}"
        );
    }
}

#[test]
fn what_begins_otherwise_is_refused_at_its_first_byte() {
    for bytes in [
        &b"G"[..],
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"PROXX",
        b"\r\n\r\nx",
        b"proxy TCP4",
    ] {
        assert_eq!(parse(bytes), Err(ProxyProtocolError::Missing), "{bytes:?}");
    }
    let text = ProxyProtocolError::Missing.to_string();
    assert!(text.contains("send-proxy"), "it says what to do: {text}");
}

#[test]
fn a_binary_header_names_both_ends_and_what_is_told_of_tls() {
    let tls = [&[0x01, 0, 0, 0, 0][..], &tlv(0x21, b"TLSv1.3")].concat();
    let block = [
        IPV4,
        &tlv(0x02, b"www.example.com"),
        &tlv(0x20, &tls),
        &tlv(0x04, b""),
    ]
    .concat();
    let mut bytes = binary(1, 0x11, &block);
    let len = bytes.len();
    bytes.extend_from_slice(b"GET /");
    let header = complete(&bytes);
    assert_eq!(header.source, addr("192.0.2.7:56324"));
    assert_eq!(header.destination, addr("192.0.2.1:443"));
    assert!(header.tls);
    assert_eq!(header.authority.as_deref(), Some("www.example.com"));
    assert_eq!(header.len, len);

    let client: Ipv6Addr = "2001:db8::7".parse().unwrap();
    let block = [&client.octets()[..], &[0; 16], &[0, 80, 0, 81]].concat();
    let header = complete(&binary(1, 0x21, &block));
    assert_eq!(header.source, addr("[2001:db8::7]:80"));
    assert_eq!(header.destination, addr("[::]:81"));
    assert!(!header.tls);

    let without_tls = [IPV4, &tlv(0x20, &[0, 0, 0, 0, 0])].concat();
    assert!(!complete(&binary(1, 0x11, &without_tls)).tls);
}

#[test]
fn a_proxy_that_speaks_for_itself_or_for_a_unix_socket_names_no_address() {
    for bytes in [
        binary(0, 0x00, b""),
        binary(0, 0x11, IPV4),
        binary(0, 0xEE, b"anything at all"),
        binary(1, 0x00, b"anything at all"),
        binary(1, 0x31, &[b'/'; 216]),
    ] {
        let header = complete(&bytes);
        assert_eq!((header.source, header.destination), (None, None));
        assert_eq!(header.len, bytes.len());
    }
}

#[test]
fn a_binary_header_that_is_wrong_is_refused() {
    let mut version_1 = binary(1, 0x11, IPV4);
    version_1[12] = 0x11;
    let two_sums = [IPV4, &tlv(0x03, &[0; 4]), &tlv(0x03, &[0; 4])].concat();
    for (what, bytes) in [
        ("its version is 1", version_1),
        ("a command that there is not", binary(2, 0x11, IPV4)),
        ("a family that there is not", binary(1, 0x41, IPV4)),
        ("a transport that there is not", binary(1, 0x13, IPV4)),
        ("no room for the ports", binary(1, 0x11, &IPV4[..11])),
        ("no room for IPv6", binary(1, 0x21, &[0; 35])),
        ("no room for the paths", binary(1, 0x31, &[0; 215])),
        (
            "a field without a length",
            binary(1, 0x11, &[IPV4, &[2, 0]].concat()),
        ),
        (
            "a field too long",
            binary(1, 0x11, &[IPV4, &[2, 0, 2, b'a']].concat()),
        ),
        (
            "a name in no UTF-8",
            binary(1, 0x11, &[IPV4, &tlv(2, &[0xFF])].concat()),
        ),
        (
            "a wrong sum",
            binary(1, 0x11, &[IPV4, &tlv(3, &[0; 4])].concat()),
        ),
        (
            "a short sum",
            binary(1, 0x11, &[IPV4, &tlv(3, &[0; 3])].concat()),
        ),
        ("two sums", binary(1, 0x11, &two_sums)),
    ] {
        let error = parse(&bytes).expect_err(what);
        assert!(
            matches!(error, ProxyProtocolError::Binary(_)),
            "{what}: {error}"
        );
    }
}

#[test]
fn a_binary_header_has_4096_bytes_at_most_and_is_not_awaited_beyond() {
    let block = [IPV4, &tlv(0xE0, &vec![7; 4096 - 16 - 12 - 3])].concat();
    assert_eq!(complete(&binary(1, 0x11, &block)).len, 4096);
    let start = &binary(1, 0x11, &vec![0; 4081])[..16];
    assert_eq!(parse(start), Err(ProxyProtocolError::TooLong(4097)));
}

#[test]
fn a_checksum_is_verified() {
    // CRC32c of "123456789" is 0xE3069283 (RFC 3720's polynomial); this one was worked out by
    // another implementation over the header with zeros in the place of the sum.
    let block = [IPV4, &tlv(0x03, &[0; 4])].concat();
    let mut bytes = binary(1, 0x11, &block);
    let sum = castagnoli(&bytes);
    let at = bytes.len() - 4;
    bytes[at..].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(complete(&bytes).source, addr("192.0.2.7:56324"));
    for index in 16..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 0x10;
        // The length of the sum's own field is not among its bytes' meaning.
        assert!(parse(&changed).is_err() || index == 28, "byte {index}");
    }
}

/// CRC32c by a table of remainders, from the polynomial in its usual direction.
fn castagnoli(bytes: &[u8]) -> u32 {
    assert_eq!(sum_by_division(b"123456789"), 0xE306_9283);
    sum_by_division(bytes)
}

/// Polynomial division, highest bit first, of the reflected bytes.
fn sum_by_division(bytes: &[u8]) -> u32 {
    let mut rest = u32::MAX;
    for byte in bytes {
        rest ^= u32::from(byte.reverse_bits()) << 24;
        for _ in 0..8 {
            let carry = rest >> 31 == 1;
            rest <<= 1;
            if carry {
                rest ^= 0x1EDC_6F41;
            }
        }
    }
    !rest.reverse_bits()
}

proptest! {
    #[test]
    fn any_bytes_are_a_header_or_incomplete_or_an_error(
        start in prop_oneof![
            Just(Vec::new()),
            Just(b"PROXY ".to_vec()),
            Just(b"PROXY TCP4 ".to_vec()),
            Just([SIGNATURE, &[0x21, 0x11, 0, 40]].concat()),
            Just([SIGNATURE, &[0x21, 0x21, 0, 60]].concat()),
            Just([SIGNATURE, &[0x21]].concat()),
        ],
        rest in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [start, rest].concat();
        if let Ok(Some(header)) = parse(&bytes) {
            prop_assert!(header.len <= bytes.len());
            // What comes behind it has no part in it.
            prop_assert_eq!(parse(&bytes[..header.len]), Ok(Some(header)));
        }
    }

    #[test]
    fn a_header_in_pieces_is_incomplete_until_its_last_byte(
        source in any::<SocketAddr>(),
        port in any::<u16>(),
        fields in proptest::collection::vec((4..32_u8, proptest::collection::vec(any::<u8>(), 0..40)), 0..5),
        as_text in any::<bool>(),
    ) {
        let (family, octets) = match source.ip() {
            std::net::IpAddr::V4(ip) => (0x11, ip.octets().to_vec()),
            std::net::IpAddr::V6(ip) => (0x21, ip.octets().to_vec()),
        };
        let ports = [source.port().to_be_bytes(), port.to_be_bytes()].concat();
        let fields = fields.iter().flat_map(|(kind, value)| tlv(*kind, value)).collect::<Vec<_>>();
        let bytes = if as_text {
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let ip = source.ip();
            format!("PROXY {family} {ip} {ip} {} {port}\r\n", source.port()).into_bytes()
        } else {
            binary(1, family, &[&octets[..], &octets, &ports, &fields].concat())
        };
        for cut in 0..bytes.len() {
            prop_assert_eq!(parse(&bytes[..cut]), Ok(None), "{} bytes", cut);
        }
        let header = complete(&bytes);
        prop_assert_eq!(header.source, Some(SocketAddr::new(source.ip(), source.port())));
        prop_assert_eq!(header.destination, Some(SocketAddr::new(source.ip(), port)));
        prop_assert_eq!(header.len, bytes.len());
    }
}

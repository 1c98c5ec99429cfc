//! `newswire bench` over TLS: what it trusts, and what it says when there is no TLS.

use crate::bench::{SHORT, bench};
use crate::support::serve;
use rcgen::generate_simple_self_signed;
use std::fs;

#[test]
fn messages_of_all_sizes_come_back_over_tls() {
    let server = serve(&["--tls-self-signed"]);
    let url = server.url("/echo").replacen("ws:", "wss:", 1);
    for flags in [
        &["-c", "4", "-d", "16"][..],
        &["-c", "3", "-d", "4", "--size", "16KiB", "--text"],
        &["-c", "2", "-d", "2", "--size", "1MiB"],
        &["-c", "2", "--compression"],
    ] {
        let (code, results, errors) =
            bench(&[&["echo", &url, "--insecure"], flags, &SHORT].concat());
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{flags:?}");
        assert!(results["messages"]["count"].as_u64() > Some(8), "{results}");
        assert_eq!(results["messages"]["lost"], 0);
    }
    for load in ["connect", "churn"] {
        let (code, results, errors) =
            bench(&[&[load, &url, "--insecure", "-c", "4"], &SHORT[..]].concat());
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{load}");
        assert!(
            results["handshakes"]["opened"].as_u64() > Some(4),
            "{results}"
        );
    }
}

#[test]
fn only_what_is_trusted_is_loaded() {
    let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = std::env::temp_dir().join(format!("newswire-bench-tls-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let file = |name: &str, text: String| {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let certificate = file("own.pem", made.cert.pem());
    let key = file("own.key", made.signing_key.serialize_pem());
    let server = serve(&["--tls-cert", &certificate, "--tls-key", &key]);
    let url = format!("wss://localhost:{}/echo", server.addr.port());
    let (code, _, errors) =
        bench(&[&["echo", &url, "--ca", &certificate, "-c", "2"], &SHORT[..]].concat());
    assert_eq!((code, errors.as_str()), (Some(0), ""));

    let strange = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let strange = file("strange.pem", strange.cert.pem());
    let (code, _, errors) = bench(&["echo", &url, "--ca", &strange, "-c", "1"]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("certificate"), "{errors}");

    // A server without TLS.
    let plain = serve(&[]);
    let url = format!("wss://localhost:{}/echo", plain.addr.port());
    let (code, _, errors) = bench(&["echo", &url, "--insecure", "-c", "1", "--timeout", "2s"]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("that was no TLS"), "{errors}");
    fs::remove_dir_all(&dir).unwrap();
}

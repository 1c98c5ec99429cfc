//! What may come on a connection before its request: a PROXY protocol header, and TLS. And who the
//! client is, as far as trusted proxies tell. What the request asks for is not known here.

use super::proxy_protocol;
use super::request::{Arrival, PeerAddr};
use super::{Service, log};
use crate::transport::Stream;
use http::HeaderMap;
use std::io;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout_at};

/// The signature of version 2, and the shortest that can tell the versions apart.
const SIGNATURE: usize = 12;

impl Service {
    /// Takes a connection to where its request begins; what fails on the way is logged.
    pub(super) async fn arrive(
        &self,
        mut stream: Stream,
        peer: PeerAddr,
        limit: Instant,
    ) -> Option<(Stream, Arrival)> {
        let mut arrival = Arrival::plain(peer);
        if self.proxy_protocol && self.trusted_proxies.trusts(peer.ip()) {
            let read = timeout_at(limit, read_header(&mut stream)).await;
            match read.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(header) => {
                    if let Some(source) = header.source {
                        arrival.connection = source.into();
                        arrival.client = source.into();
                    }
                    arrival.secure = header.tls;
                    // Not the authority: `Host` says the same, with the port that it lacks.
                }
                Err(error) => {
                    self.metrics.handshake_refused("PROXY protocol");
                    log::no_proxy_header(&peer.into(), &error);
                    return None;
                }
            }
        }
        #[cfg(feature = "rustls")]
        if let Some(tls) = &self.tls {
            // In a box, which a connection without TLS has no room for.
            let accepted = timeout_at(limit, Box::pin(tls.accept(stream))).await;
            match accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok((encrypted, details)) => {
                    stream = encrypted;
                    arrival.secure = true;
                    arrival.tls = Some(details.into());
                }
                Err(error) => {
                    self.metrics.handshake_refused("TLS");
                    log::tls_failed(&arrival.client.into(), &error);
                    return None;
                }
            }
        }
        Some((stream, arrival))
    }

    /// What a trusted proxy says of the client in the request's headers.
    pub(super) fn look_through_proxies(&self, arrival: &mut Arrival, headers: &HeaderMap) {
        if self.trusted_proxies.is_empty() {
            return;
        }
        let found = self
            .trusted_proxies
            .resolve(arrival.connection.ip(), headers);
        if let Some(client) = found.client
            && Some(client) != arrival.connection.ip()
        {
            arrival.client = PeerAddr::Ip(client);
        }
        arrival.secure = found.secure.unwrap_or(arrival.secure);
        if let Some(host) = found.host {
            arrival.host = Some(host.into());
        }
    }
}

/// Reads a PROXY protocol header, and nothing behind it: what follows may be for TLS.
async fn read_header(stream: &mut Stream) -> io::Result<proxy_protocol::Header> {
    let mut bytes = Vec::with_capacity(128);
    loop {
        let wanted = missing(&bytes);
        let from = bytes.len();
        bytes.resize(from + wanted, 0);
        stream.read_exact(&mut bytes[from..]).await?;
        match proxy_protocol::parse(&bytes) {
            Ok(Some(header)) => return Ok(header),
            Ok(None) => {}
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

/// How many bytes of an incomplete header are certain to follow, at least one.
fn missing(bytes: &[u8]) -> usize {
    if bytes.len() < SIGNATURE {
        return SIGNATURE - bytes.len();
    }
    if bytes.first() == Some(&b'\r') {
        // Version 2: 16 bytes, of which the last two tell how many follow.
        return match bytes.get(14..16) {
            None => 16 - bytes.len(),
            Some(len) => {
                let whole = 16 + usize::from(u16::from_be_bytes([len[0], len[1]]));
                whole.saturating_sub(bytes.len()).max(1)
            }
        };
    }
    // Version 1 ends with CR LF.
    if bytes.last() == Some(&b'\r') { 1 } else { 2 }
}

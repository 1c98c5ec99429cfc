//! The addresses that connections come from, where those that the kernel chooses do not suffice: one address has about
//! 28000 ports for one server, and an ended connection keeps its port for a minute. Loopback has many addresses.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use socket2::{Domain, Protocol, Socket, Type};

use crate::Result;

/// The ports of each address: those that servers seldom have. They are named, because the kernel is very slow at finding
/// a free one to bind to once some thousands of an address are taken.
const FIRST_PORT: u16 = 10_000;
const PORTS: usize = 50_000;
const HOSTS: usize = 250;
/// How many ports in a row may be in use before that is an error.
const ATTEMPTS: usize = 100;

/// Addresses and ports of loopback, each once before any comes again.
#[derive(Debug)]
pub struct Sources {
    network: u8,
    next: usize,
}

impl Sources {
    /// Those of 127.1.0.0/24 for 0, of 127.2.0.0/24 for 1, and so on: two that load at the same time need one each.
    pub fn new(number: u8) -> Self {
        Self {
            network: number.saturating_add(1),
            next: 0,
        }
    }

    fn next(&mut self) -> SocketAddrV4 {
        let (host, port) = (self.next / PORTS, self.next % PORTS);
        self.next = (self.next + 1) % (PORTS * HOSTS);
        SocketAddrV4::new(
            Ipv4Addr::new(127, self.network, 0, 1 + host as u8),
            FIRST_PORT + port as u16,
        )
    }

    /// A socket that is bound to the next one that is free.
    fn bound(&mut self) -> Result<Socket> {
        let socket = plain()?;
        // A port whose last connection has only just ended may be taken again.
        socket.set_reuse_address(true)?;
        for _ in 0..ATTEMPTS {
            match socket.bind(&self.next().into()) {
                Ok(()) => return Ok(socket),
                // Somebody listens on that port of all addresses.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(format!(
            "no port was free among {ATTEMPTS}, the last {:?}",
            self.next()
        )
        .into())
    }
}

/// A socket with `TCP_NODELAY`, bound to the next of `sources` if there are any.
pub(crate) fn socket(sources: Option<&mut Sources>) -> Result<Socket> {
    let socket = sources.map_or_else(plain, Sources::bound)?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

fn plain() -> Result<Socket> {
    Ok(Socket::new(
        Domain::IPV4,
        Type::STREAM,
        Some(Protocol::TCP),
    )?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn no_address_and_port_comes_twice_among_a_hundred_thousand() {
        let mut sources = Sources::new(0);
        let all: HashSet<_> = (0..100_000).map(|_| sources.next()).collect();
        assert_eq!(all.len(), 100_000);
        assert!(
            all.iter()
                .all(|source| source.ip().octets()[..2] == [127, 1])
        );
    }

    #[test]
    fn a_port_on_which_somebody_listens_is_passed_over() {
        let mut sources = Sources::new(200);
        let taken = sources.next();
        let _listener = TcpListener::bind(taken).unwrap();
        sources.next = 0;
        let socket = socket(Some(&mut sources)).unwrap();
        let bound = socket.local_addr().unwrap().as_socket_ipv4().unwrap();
        assert_eq!(bound.ip().octets()[..2], [127, 201]);
        assert_ne!(bound, taken);
    }
}

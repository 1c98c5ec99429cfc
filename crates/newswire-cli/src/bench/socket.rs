//! Sockets that connect: from which address, and in words what kept one from it. No bytes are sent
//! or read here.

use super::plan::Plan;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Begins to connect to the plan's server, from this address if there is one.
pub(super) fn connect(plan: &Plan, source: Option<IpAddr>) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(plan.address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source {
        bind(&socket, source)?;
    }
    match socket.connect(&plan.address.into()) {
        Err(error) if !in_progress(&error) => Err(error),
        _ => Ok(socket),
    }
}

/// Gives a socket its address; which port it has is found out when it connects.
fn bind(socket: &Socket, source: IpAddr) -> io::Result<()> {
    // Otherwise Linux looks now for a port that is free whatever the destination, and takes the
    // longer the more connections the address has: some thousands of them nearly stop it.
    #[cfg(target_os = "linux")]
    {
        use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
        setsockopt(socket, IpBindAddressNoPort, &true)?;
    }
    socket.bind(&SocketAddr::new(source, 0).into())
}

/// What the operating system said to a connection, and what to do about it.
pub(super) fn cannot_connect(plan: &Plan, error: &io::Error) -> String {
    let address = plan.address;
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("{address} refuses connections: is the server running there?")
        }
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => {
            let example = "--source 127.0.0.2-127.0.0.9";
            if plan.sources.is_empty() {
                format!(
                    "no free port for another connection to {address}: give source addresses, such as {example}"
                )
            } else {
                format!(
                    "no free port on a source address, or it is not this machine's: check --source ({error})"
                )
            }
        }
        _ => format!("cannot connect to {address}: {error}"),
    }
}

fn in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) {
        return true;
    }
    error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_socket_with_a_source_address_has_no_port_before_it_connects() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        bind(&socket, "127.0.0.2".parse().unwrap()).unwrap();
        let address = || socket.local_addr().unwrap().as_socket().unwrap();
        assert_eq!(address().to_string(), "127.0.0.2:0");
        socket
            .connect(&listener.local_addr().unwrap().into())
            .unwrap();
        assert_eq!(address().ip().to_string(), "127.0.0.2");
        assert_ne!(address().port(), 0);
    }
}

//! Connecting a socket to a host: its addresses are tried as RFC 8305 (Happy Eyeballs) says. What
//! is spoken on the socket is not known here.

use super::deadline::Deadline;
use super::error::{ConnectError, Step};
use super::resolve::Resolver;
use crate::transport::Stream;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep};

/// How long an attempt is alone, as RFC 8305 §5 recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How sockets are connected.
#[derive(Clone, Debug, Default)]
pub(super) struct Dial {
    pub(super) resolver: Resolver,
    pub(super) local_address: Option<IpAddr>,
    pub(super) connect_timeout: Option<Duration>,
    /// Where all connections go to, whatever their URL says.
    #[cfg(unix)]
    pub(super) unix: Option<PathBuf>,
}

impl Dial {
    /// Whether the host of a URL is not what is connected to.
    pub(super) fn is_elsewhere(&self) -> bool {
        #[cfg(unix)]
        return self.unix.is_some();
        #[cfg(not(unix))]
        return false;
    }

    /// Connects to a host.
    pub(super) async fn connect(
        &self,
        host: &str,
        port: u16,
        deadline: Deadline,
    ) -> Result<Stream, ConnectError> {
        let deadline = match self.connect_timeout {
            Some(timeout) => deadline.or_after(timeout),
            None => deadline,
        };
        #[cfg(unix)]
        if let Some(path) = &self.unix {
            let connecting = UnixStream::connect(path);
            let connected = deadline.wait(connecting).await;
            let stream = connected.ok_or(ConnectError::Timeout(Step::Tcp))?;
            return stream
                .map(Stream::from)
                .map_err(|error| ConnectError::Unix {
                    path: path.clone(),
                    error,
                });
        }
        let addresses = self.addresses(host, port, deadline).await?;
        let usable = |address: &SocketAddr| match self.local_address {
            Some(local) => local.is_ipv4() == address.is_ipv4(),
            None => true,
        };
        let addresses = interleaved(addresses.into_iter().filter(usable));
        let racing = race(addresses, |address| open(address, self.local_address));
        deadline
            .within(Step::Tcp, async {
                let connected = racing.await;
                connected.map(Stream::from).map_err(|attempts| {
                    let host = host.to_owned();
                    ConnectError::Tcp { host, attempts }
                })
            })
            .await
    }

    /// The addresses of a host, which may be one itself.
    pub(super) async fn addresses(
        &self,
        host: &str,
        port: u16,
        deadline: Deadline,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        deadline
            .within(Step::Dns, async {
                let resolved = self.resolver.resolve(host, port).await;
                resolved.map_err(|error| ConnectError::Dns {
                    host: host.to_owned(),
                    error,
                })
            })
            .await
    }
}

async fn open(address: SocketAddr, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let Some(local) = local else {
        return TcpStream::connect(address).await;
    };
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(SocketAddr::new(local, 0))?;
    socket.connect(address).await
}

/// The addresses in the order in which they are tried, each once: the families take turns, and
/// the resolver's first choice stays first (RFC 8305 §4).
fn interleaved(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut families: [Vec<SocketAddr>; 2] = Default::default();
    let mut first_is_ipv4 = None;
    for address in addresses {
        let first = *first_is_ipv4.get_or_insert(address.is_ipv4());
        let family = &mut families[usize::from(address.is_ipv4() != first)];
        if !family.contains(&address) {
            family.push(address);
        }
    }
    let [first, second] = families;
    let longer = first.len().max(second.len());
    (0..longer)
        .flat_map(|at| [first.get(at), second.get(at)])
        .flatten()
        .copied()
        .collect()
}

/// Connects to the address that answers first. The next one is tried when one has failed, or none
/// has answered for a while; the others' attempts are given up when one has succeeded.
async fn race<S, F: Future<Output = io::Result<S>>>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<S, Vec<(SocketAddr, io::Error)>> {
    let mut left = addresses.into_iter();
    let mut running: Vec<(SocketAddr, Pin<Box<F>>)> = Vec::new();
    let mut failed = Vec::new();
    let mut delay = pin!(sleep(ATTEMPT_DELAY));
    let mut start_next = true;
    poll_fn(|cx| {
        loop {
            if start_next && let Some(address) = left.next() {
                running.push((address, Box::pin(connect(address))));
                delay.as_mut().reset(Instant::now() + ATTEMPT_DELAY);
            }
            start_next = false;
            let mut at = 0;
            while let Some((address, attempt)) = running.get_mut(at) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        failed.push((*address, error));
                        drop(running.remove(at));
                        start_next = true;
                    }
                    Poll::Pending => at += 1,
                }
            }
            if running.is_empty() && left.len() == 0 {
                return Poll::Ready(Err(std::mem::take(&mut failed)));
            }
            start_next |= left.len() > 0 && delay.as_mut().poll(cx).is_ready();
            if !start_next || left.len() == 0 {
                return Poll::Pending;
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::{ATTEMPT_DELAY, interleaved, race};
    use std::future::pending;
    use std::io;
    use std::net::SocketAddr;
    use std::sync::Mutex;
    use std::time::Duration;
    use tokio::time::{Instant, sleep};

    fn addresses<const N: usize>(addresses: [&str; N]) -> Vec<SocketAddr> {
        addresses
            .map(|address| address.parse().expect("an address"))
            .into()
    }

    #[test]
    fn families_take_turns_and_the_resolvers_first_choice_stays_first() {
        let found = addresses(["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "[::1]:1"]);
        let wanted = addresses(["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]);
        assert_eq!(interleaved(found), wanted);
        let found = addresses(["1.1.1.1:1", "2.2.2.2:1", "[::1]:1"]);
        let wanted = addresses(["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"]);
        assert_eq!(interleaved(found), wanted);
        assert_eq!(interleaved([]), []);
    }

    /// A race in which each address does as its port says: 0 fails at once, 9999 never answers,
    /// others answer after so many milliseconds. When each was tried, and who won.
    async fn run(found: Vec<SocketAddr>) -> (Vec<u128>, Result<u16, usize>) {
        let begun = Instant::now();
        let tried = Mutex::new(Vec::new());
        let winner = race(found, |address| {
            let elapsed = begun.elapsed().as_millis();
            tried.lock().expect("nobody panicked").push(elapsed);
            async move {
                match address.port() {
                    0 => Err(io::ErrorKind::ConnectionRefused.into()),
                    9999 => pending().await,
                    ms => {
                        sleep(Duration::from_millis(ms.into())).await;
                        Ok(ms)
                    }
                }
            }
        });
        let winner = winner.await.map_err(|failed| failed.len());
        (tried.into_inner().expect("nobody panicked"), winner)
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_refuses_costs_no_time_and_a_silent_one_a_quarter_of_a_second() {
        let delay = ATTEMPT_DELAY.as_millis();
        let found = addresses(["[::1]:0", "1.1.1.1:0", "[::2]:5"]);
        assert_eq!(run(found).await, (vec![0, 0, 0], Ok(5)));
        let found = addresses(["[::1]:9999", "1.1.1.1:9999", "[::2]:5", "[::3]:1"]);
        assert_eq!(run(found).await, (vec![0, delay, 2 * delay], Ok(5)));
        // The slow one answers while the second is being tried.
        let found = addresses(["[::1]:300", "1.1.1.1:9999", "[::2]:1"]);
        assert_eq!(run(found).await, (vec![0, delay], Ok(300)));
    }

    #[tokio::test(start_paused = true)]
    async fn it_has_failed_when_all_have() {
        assert_eq!(run(Vec::new()).await, (Vec::new(), Err(0)));
        let found = addresses(["[::1]:0", "1.1.1.1:0"]);
        assert_eq!(run(found).await, (vec![0, 0], Err(2)));
    }
}

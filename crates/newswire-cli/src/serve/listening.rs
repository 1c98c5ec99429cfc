//! Where the server is reached: an address, a Unix socket, or what systemd has opened. Errors are
//! the one line that the user reads.

use super::options::ListeningOptions;
use newswire::Server;
use std::io;
use std::net::SocketAddr;

/// A server that listens, and what to say of where.
pub(super) struct Listening {
    pub(super) server: Server,
    /// In the order in which they were opened.
    pub(super) places: Vec<Place>,
    /// Gone when the server has ended.
    #[cfg(unix)]
    pub(super) file: Option<unix::SocketFile>,
}

/// Something to connect to.
pub(super) enum Place {
    Address(SocketAddr),
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

/// The sockets that systemd has opened for this process.
#[derive(Default)]
pub(super) struct Inherited {
    #[cfg(unix)]
    sockets: Vec<unix::Socket>,
}

impl Inherited {
    /// Takes them out of the environment, so this comes before there are threads.
    ///
    /// # Errors
    /// One line: one of them is of another kind.
    #[cfg(unix)]
    pub(super) fn take() -> Result<Self, String> {
        let sockets = unix::inherited()?;
        Ok(Self { sockets })
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "the same shape as on Unix")]
    pub(super) fn take() -> Result<Self, String> {
        Ok(Self {})
    }
}

/// Listens on what was inherited, or else where the options say.
///
/// # Errors
/// One line on why it cannot, and what to do.
#[cfg_attr(not(unix), expect(unused_variables, reason = "nothing is inherited"))]
pub(super) async fn listen(
    options: &ListeningOptions,
    inherited: Inherited,
) -> Result<Listening, String> {
    #[cfg(unix)]
    {
        if !inherited.sockets.is_empty() {
            return unix::serve_on(inherited.sockets);
        }
        if let Some(path) = &options.unix {
            return unix::listen(path, options.unix_mode);
        }
    }
    let ListeningOptions { host, port, .. } = options;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let server = Server::bind((bare, *port)).await;
    let server = server.map_err(|error| cannot_listen(host, *port, &error))?;
    Ok(Listening {
        places: vec![Place::Address(server.local_addr())],
        server,
        #[cfg(unix)]
        file: None,
    })
}

fn cannot_listen(host: &str, port: u16, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is taken; choose another with --port, or --port 0 for a free one"
        }
        io::ErrorKind::PermissionDenied => {
            "not allowed; ports below 1024 usually need privileges, choose another with --port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; try --host 127.0.0.1"
        }
        _ => return format!("cannot listen on {host}:{port}: {error}; see --host and --port"),
    };
    format!("cannot listen on {host}:{port}: {advice}")
}

#[cfg(unix)]
mod unix {
    use super::super::values::Mode;
    use super::{Listening, Place};
    use newswire::{Listener, Server};
    use rustix::process::umask;
    use std::fs::{self, Permissions};
    use std::io::{self, ErrorKind};
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
    use std::os::unix::net::UnixStream;
    use std::path::{Path, PathBuf};
    use tokio::net::{TcpListener, UnixListener};

    /// Listens on a Unix socket; one that a server has left there is taken over.
    pub(super) fn listen(path: &Path, Mode(mode): Mode) -> Result<Listening, String> {
        let cannot = |error: io::Error| {
            let path = path.display();
            let advice = match error.kind() {
                ErrorKind::AddrInUse => "somebody listens there; choose another with --unix".into(),
                ErrorKind::AlreadyExists => "there is a file, and it is no socket".into(),
                _ => format!("{error}; see --unix"),
            };
            format!("cannot listen on {path}: {advice}")
        };
        remove_stale(path).map_err(cannot)?;
        // Nobody can connect before the mode is right.
        let before = umask(rustix::fs::Mode::from_raw_mode(0o777));
        let listener = UnixListener::bind(path);
        umask(before);
        let listener = listener.map_err(cannot)?;
        let file = SocketFile::new(path).map_err(cannot)?;
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(cannot)?;
        Ok(Listening {
            server: Server::from_listener(listener).map_err(cannot)?,
            places: vec![Place::Unix(path.to_owned())],
            file: Some(file),
        })
    }

    /// Removes a socket that nobody listens on.
    fn remove_stale(path: &Path) -> io::Result<()> {
        let found = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        if !found.file_type().is_socket() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        match UnixStream::connect(path) {
            Ok(_) => Err(ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
            Err(error) => Err(error),
        }
    }

    /// The file of a socket, removed with this, unless another has taken its place.
    pub(crate) struct SocketFile {
        path: PathBuf,
        inode: (u64, u64),
    }

    impl SocketFile {
        fn new(path: &Path) -> io::Result<Self> {
            Ok(Self {
                path: path.to_owned(),
                inode: inode(path)?,
            })
        }
    }

    impl Drop for SocketFile {
        fn drop(&mut self) {
            if inode(&self.path).is_ok_and(|inode| inode == self.inode) {
                // That it is gone already is as good.
                let _ = fs::remove_file(&self.path);
            }
        }
    }

    fn inode(path: &Path) -> io::Result<(u64, u64)> {
        let metadata = fs::symlink_metadata(path)?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// A socket that was inherited, where it is, and what to listen on it with.
    pub(super) struct Socket {
        place: Place,
        listener: Listens,
    }

    enum Listens {
        Tcp(std::net::TcpListener),
        Unix(std::os::unix::net::UnixListener),
    }

    /// The sockets that systemd has opened.
    pub(super) fn inherited() -> Result<Vec<Socket>, String> {
        let mut given = listenfd::ListenFd::from_env();
        let sockets = (0..given.len()).map(|number| {
            take(&mut given, number).map_err(|error| {
                format!(
                    "socket {} of systemd's cannot be listened on: {error}; only streams over TCP and Unix sockets can",
                    number + 1
                )
            })
        });
        sockets.collect()
    }

    fn take(given: &mut listenfd::ListenFd, number: usize) -> io::Result<Socket> {
        let taken = || io::Error::from(ErrorKind::NotFound);
        if let Ok(listener) = given.take_tcp_listener(number) {
            let listener = listener.ok_or_else(taken)?;
            listener.set_nonblocking(true)?;
            return Ok(Socket {
                place: Place::Address(listener.local_addr()?),
                listener: Listens::Tcp(listener),
            });
        }
        let listener = given.take_unix_listener(number)?.ok_or_else(taken)?;
        listener.set_nonblocking(true)?;
        let path = listener.local_addr()?.as_pathname().map(Path::to_owned);
        Ok(Socket {
            place: Place::Unix(path.unwrap_or_default()),
            listener: Listens::Unix(listener),
        })
    }

    /// One server on all of them, at least one.
    pub(super) fn serve_on(sockets: Vec<Socket>) -> Result<Listening, String> {
        let cannot = |error: io::Error| format!("cannot listen on systemd's sockets: {error}");
        let mut server: Option<Server> = None;
        let mut places = Vec::new();
        for Socket { place, listener } in sockets {
            let listener: Listener = match listener {
                Listens::Tcp(listener) => TcpListener::from_std(listener).map_err(cannot)?.into(),
                Listens::Unix(listener) => UnixListener::from_std(listener).map_err(cannot)?.into(),
            };
            let with = match server {
                Some(server) => server.also_on(listener),
                None => Server::from_listener(listener),
            };
            server = Some(with.map_err(cannot)?);
            places.push(place);
        }
        let server = server.ok_or_else(|| cannot(ErrorKind::NotFound.into()))?;
        Ok(Listening {
            server,
            places,
            // It is systemd's.
            file: None,
        })
    }
}

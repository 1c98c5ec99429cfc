//! `--root`: the files of a directory, and never one outside of it. Names, ranges and conditions of
//! requests are tower-http's to know; here is which files it may open.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Response};
use axum::{Router, middleware};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use tokio::task::spawn_blocking;
use tower_http::services::ServeDir;
use tower_http::services::fs as serving;

/// A directory whose files are served.
#[derive(Clone, Debug)]
pub(super) struct Root {
    directory: Arc<Directory>,
}

#[derive(Debug)]
struct Directory {
    /// Without links, so that what lies within begins with it.
    path: PathBuf,
    /// Whether names that begin with a dot are served.
    hidden: bool,
}

impl Root {
    /// # Errors
    /// When there is no such directory, or it may not be read.
    pub(super) fn open(path: &Path, hidden: bool) -> io::Result<Self> {
        let path = path.canonicalize()?;
        // That it can be listed is asked of the system before anybody asks for a file.
        fs::read_dir(&path)?;
        let directory = Arc::new(Directory { path, hidden });
        Ok(Self { directory })
    }

    /// Answers every path with the file of that name.
    pub(super) fn router(self) -> Router {
        let path = self.directory.path.clone();
        Router::new()
            .fallback_service(ServeDir::with_backend(path, self))
            .layer(middleware::map_response(with_charset))
    }
}

/// Text is UTF-8, and a file is what its name says.
async fn with_charset(mut answer: Response<Body>) -> Response<Body> {
    let headers = answer.headers_mut();
    if let Some(kind) = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        && kind.starts_with("text/")
        && !kind.contains(';')
        && let Ok(kind) = HeaderValue::try_from(format!("{kind}; charset=utf-8"))
    {
        headers.insert(CONTENT_TYPE, kind);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

impl Directory {
    /// Where `path` leads, links followed, when that is in the directory and not hidden.
    fn find(&self, path: &Path) -> io::Result<PathBuf> {
        let asked = path.strip_prefix(&self.path).map_err(|_| missing())?;
        if !self.hidden && asked.components().any(is_hidden) {
            return Err(missing());
        }
        // Whatever the system says of a name that leads nowhere.
        let found = path.canonicalize().map_err(|_| missing())?;
        if found.starts_with(&self.path) {
            Ok(found)
        } else {
            Err(missing())
        }
    }

    /// Opens a file, and nothing else that can be opened.
    fn open(&self, path: &Path) -> io::Result<File> {
        let found = self.find(path)?;
        if !fs::symlink_metadata(&found)?.is_file() {
            return Err(missing());
        }
        let file = open(&found)?;
        // It may be another by now.
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(missing())
        }
    }

    /// What is known of a file or a directory, and of nothing else.
    fn metadata(&self, path: &Path) -> io::Result<fs::Metadata> {
        let metadata = fs::symlink_metadata(self.find(path)?)?;
        if metadata.is_file() || metadata.is_dir() {
            Ok(metadata)
        } else {
            Err(missing())
        }
    }
}

/// Opens what was found, unless a link has been put in its way since.
#[cfg(unix)]
fn open(found: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    // A pipe that nobody writes to must not be waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, ResolveFlags, openat2};
        use rustix::io::Errno;
        match openat2(CWD, found, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            // An old kernel, or a sandbox that does not know the call.
            Err(Errno::NOSYS | Errno::PERM) => {}
            opened => return Ok(opened?.into()),
        }
    }
    Ok(rustix::fs::open(found, flags, Mode::empty())?.into())
}

#[cfg(not(unix))]
fn open(found: &Path) -> io::Result<File> {
    File::open(found)
}

/// What is not served is not there.
fn missing() -> io::Error {
    ErrorKind::NotFound.into()
}

/// RFC 8615 §3 puts what anybody may read into `/.well-known/`.
fn is_hidden(component: Component<'_>) -> bool {
    let name = component.as_os_str();
    name.as_encoded_bytes().starts_with(b".") && name != OsStr::new(".well-known")
}

type Opening<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// Runs what waits for the disk where waiting harms nobody.
fn off_the_loop<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Opening<T> {
    Box::pin(async move { spawn_blocking(work).await.map_err(io::Error::other)? })
}

impl serving::Backend for Root {
    type File = Served;
    type Metadata = fs::Metadata;
    type OpenFuture = Opening<Served>;
    type MetadataFuture = Opening<fs::Metadata>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        let directory = Arc::clone(&self.directory);
        off_the_loop(move || {
            let file = directory.open(&path)?;
            Ok(Served(tokio::fs::File::from_std(file)))
        })
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        let directory = Arc::clone(&self.directory);
        off_the_loop(move || directory.metadata(&path))
    }
}

/// An open file of the directory.
#[derive(Debug)]
pub(super) struct Served(tokio::fs::File);

impl serving::File for Served {
    type Metadata = fs::Metadata;
    type MetadataFuture<'a> = Pin<Box<dyn Future<Output = io::Result<fs::Metadata>> + Send + 'a>>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        Box::pin(self.0.metadata())
    }
}

impl AsyncRead for Served {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncSeek for Served {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.0).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.0).poll_complete(cx)
    }
}

//! Which route a path leads to, and what its parameters are. What a route does is not known here.

use super::request::Params;
use super::route::{Bound, IntoRoute};
use newswire_proto::handshake::Rejection;
use percent_encoding::percent_decode_str;
use std::fmt;

/// Paths and the routes that they lead to, with a state that all their handlers share.
///
/// A path may have parameters: `{name}` matches one segment, `{*name}` at the end
/// all that is left. [`Request::param`](super::Request::param) gives their values. A path without
/// parameters is preferred to one with. Paths are compared as they are sent, without a query; a
/// slash at the end makes another path.
///
/// ```
/// use newswire::{Request, Router, WebSocket};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// async fn visit(ws: WebSocket, request: Request<Arc<AtomicU64>>) -> newswire::Result {
///     let visits = request.state().fetch_add(1, Ordering::Relaxed) + 1;
///     let page = request.param("page").unwrap_or_default();
///     ws.send(format!("visit {visits}, to {page}")).await?;
///     Ok(())
/// }
///
/// let visits = Arc::new(AtomicU64::new(0));
/// let router = Router::with_state(visits).route("/visit/{page}", visit);
/// ```
pub struct Router<S = ()> {
    state: S,
    paths: Paths,
}

impl Router {
    /// A router without routes and without a state.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::with_state(())
    }
}

impl<S: Clone + Send + Sync + 'static> Router<S> {
    /// A router whose handlers share `state`. Each request gets a clone: an [`Arc`](std::sync::Arc)
    /// or something as cheap.
    #[must_use]
    pub fn with_state(state: S) -> Self {
        Self {
            state,
            paths: Paths::default(),
        }
    }

    /// Handles connections to `path` with `route`: a handler, or a [`Route`](super::Route) where it
    /// has rules of its own.
    ///
    /// # Panics
    /// When `path` does not begin with a slash, its braces do not match, or it matches the same
    /// requests as a path that is there already.
    #[must_use]
    pub fn route<A>(mut self, path: &str, route: impl IntoRoute<S, A>) -> Self {
        let route = route.into_route().bind(self.state.clone());
        self.paths.insert(path, route);
        self
    }

    pub(super) fn into_paths(self) -> Paths {
        self.paths
    }
}

impl<S> fmt::Debug for Router<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}

/// The routes of a router, whatever their state.
#[derive(Default)]
pub(super) struct Paths(matchit::Router<Box<dyn Bound>>);

/// A route, and the parameters of the path that led to it.
pub(super) struct Found<'a> {
    pub(super) route: &'a dyn Bound,
    pub(super) params: Params,
}

impl Paths {
    pub(super) fn insert(&mut self, path: &str, route: Box<dyn Bound>) {
        assert!(
            path.starts_with('/'),
            "a path begins with a slash: {path:?}"
        );
        if let Err(error) = self.0.insert(path, route) {
            panic!("no route can be at {path:?}: {error}");
        }
    }

    /// The route of a path.
    ///
    /// # Errors
    /// 404 when there is none, 400 when a parameter is not UTF-8.
    pub(super) fn find(&self, path: &str) -> Result<Found<'_>, Rejection> {
        let Ok(found) = self.0.at(path) else {
            return Err(Rejection::not_found());
        };
        let params = found.params.iter().map(|(name, value)| {
            let value = percent_decode_str(value).decode_utf8().map_err(|_| {
                Rejection::bad_request(format!(
                    "the {name} in the path is not UTF-8 when it is percent-decoded"
                ))
            })?;
            Ok((name.into(), value.into()))
        });
        Ok(Found {
            route: &**found.value,
            params: params.collect::<Result<_, Rejection>>()?,
        })
    }
}

impl fmt::Debug for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Paths")
    }
}

#[cfg(test)]
mod tests {
    use super::Router;
    use crate::{Request, WebSocket};

    async fn handler(_: WebSocket, _: Request) {}

    fn params(path: &str) -> Result<Vec<(String, String)>, u16> {
        let paths = Router::new()
            .route("/", handler)
            .route("/rooms/{room}", handler)
            .route("/rooms/lobby", handler)
            .route("/files/{*path}", handler)
            .into_paths();
        let found = paths
            .find(path)
            .map_err(|rejection| rejection.status().as_u16())?;
        let params = found.params.iter();
        Ok(params
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect())
    }

    fn one(name: &str, value: &str) -> Result<Vec<(String, String)>, u16> {
        Ok(vec![(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn a_parameter_is_a_segment_decoded() {
        assert_eq!(params("/rooms/blue"), one("room", "blue"));
        assert_eq!(params("/rooms/a%20b%2Fc"), one("room", "a b/c"));
        assert_eq!(params("/rooms/b%C3%A4r"), one("room", "bär"));
        assert_eq!(params("/files/a/b.txt"), one("path", "a/b.txt"));
        assert_eq!(params("/rooms/lobby"), Ok(Vec::new()));
    }

    #[test]
    fn what_leads_nowhere_is_a_404_and_what_is_not_utf_8_a_400() {
        for path in ["/rooms", "/rooms/", "/rooms/a/b", "/other", ""] {
            assert_eq!(params(path), Err(404), "{path}");
        }
        assert_eq!(params("/rooms/%FF"), Err(400));
    }

    #[test]
    #[should_panic(expected = "a path begins with a slash")]
    fn a_path_without_a_slash_is_a_mistake() {
        let _ = Router::new().route("rooms", handler);
    }

    #[test]
    #[should_panic(expected = "no route can be at \"/rooms/{name}\"")]
    fn two_routes_for_the_same_requests_are_a_mistake() {
        let _ = Router::new()
            .route("/rooms/{room}", handler)
            .route("/rooms/{name}", handler);
    }
}

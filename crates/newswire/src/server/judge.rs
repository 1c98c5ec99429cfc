//! What becomes of a request for a WebSocket: the rules of its route, one after the other. Nothing
//! is read or written here.

use super::Service;
use super::handler::{Next, Opened, Stage};
use super::handshake::{Undecided, too_slow};
use super::origin::Origins;
use super::request::{Arrival, Parts};
use super::route::{Bound, BoxFuture, Identity};
use super::router::Found;
use crate::config::Config;
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Request, StatusCode};
use newswire_proto::handshake::{Accepted, Rejection, Upgrade};
use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use tokio::time::{Instant, timeout_at};

/// What becomes of a request that the rules let in.
pub(super) enum Verdict<'a> {
    /// It is accepted, and then given to the handler.
    Accept(
        Accepted,
        &'a Config,
        Box<dyn FnOnce(Opened) -> Stage + Send>,
    ),
    /// Its handler decides.
    Decide(
        Upgrade,
        Found<'a>,
        Box<dyn FnOnce(Undecided) -> Stage + Send>,
    ),
}

/// A request that may be let in: what is left to ask is who it is, and then its handler.
pub(super) struct Judged<'a> {
    found: Found<'a>,
    upgrade: Upgrade,
    /// Where somebody wants to see them.
    parts: Option<Arc<Parts>>,
}

/// Takes a request through the first of the rules: path, handshake, origin.
pub(super) fn judge(
    service: &Service,
    request: Request<()>,
    arrival: Arrival,
) -> Result<Judged<'_>, Rejection> {
    let mut found = service.paths.find(request.uri().path())?;
    // Whether it asks for an upgrade is judged here, with a reason that helps.
    let upgrade = Upgrade::from_request(&request)?;
    let route = found.route;
    let rules = route.rules();
    check_origin(
        &rules.origins,
        request.headers(),
        arrival.host.as_deref(),
        arrival.secure,
    )?;
    let parts = route.sees_requests().then(|| {
        Arc::new(Parts {
            head: request,
            params: std::mem::take(&mut found.params),
            subprotocols: upgrade.subprotocols().to_vec(),
            arrival,
            identity: OnceLock::new(),
        })
    });
    Ok(Judged {
        found,
        upgrade,
        parts,
    })
}

/// Asks the route's hook, if it has one, then the handler, and chooses the subprotocol.
pub(super) async fn verdict<'a>(
    service: &'a Service,
    judged: Result<Judged<'a>, Rejection>,
    limit: Instant,
) -> Result<Verdict<'a>, Rejection> {
    let Judged {
        found,
        upgrade,
        parts,
    } = judged?;
    let (route, rules) = (found.route, found.route.rules());
    if let Some(parts) = &parts
        && let Some(asking) = authenticate(route, parts)?
    {
        // In a box, for which those who are not asked need no room.
        let identity = Box::pin(answer_within(limit, asking)).await?;
        // The request is new, and so nobody else has set it.
        let _ = parts.identity.set(identity);
    }
    let config = rules.config.as_ref().unwrap_or(&service.config);
    match route.handler(parts).0 {
        Next::Accept(start) => {
            let subprotocol = rules.subprotocols.choose(upgrade.subprotocols())?;
            let accepted = accepted(&upgrade, subprotocol.as_deref(), config)?;
            Ok(Verdict::Accept(accepted, config, start))
        }
        Next::Decide(decide) => Ok(Verdict::Decide(upgrade, found, decide)),
    }
}

/// Whether a page may connect: `host` is what a trusted proxy was asked for, if one says so.
pub(super) fn check_origin(
    origins: &Origins,
    headers: &HeaderMap,
    host: Option<&str>,
    secure: bool,
) -> Result<(), Rejection> {
    let mut found = headers.get_all(ORIGIN).iter();
    let origin = found.next();
    if found.next().is_some() {
        return Err(Rejection::bad_request(
            "there is more than one Origin header",
        ));
    }
    let origin = match origin.map(|origin| origin.to_str()) {
        None => None,
        Some(Ok(origin)) => Some(origin),
        Some(Err(_)) => return Err(Rejection::bad_request("the Origin header is not text")),
    };
    let host = host.or_else(|| headers.get(HOST)?.to_str().ok());
    origins.check(origin, host, secure)
}

type Asking = BoxFuture<Result<Identity, Rejection>>;

/// Asks the route's hook, if it has one.
fn authenticate(route: &dyn Bound, parts: &Arc<Parts>) -> Result<Option<Asking>, Rejection> {
    catch_unwind(AssertUnwindSafe(|| route.authenticate(parts))).map_err(broken)
}

/// Its answer, if there is one in time.
async fn answer_within(limit: Instant, mut asking: Asking) -> Result<Identity, Rejection> {
    let answer = poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| asking.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        },
    );
    let identity = timeout_at(limit, answer).await.map_err(|_| too_slow())?;
    identity.map_err(broken)?
}

/// The answer when the hook has panicked.
fn broken(_: Box<dyn Any + Send>) -> Rejection {
    Rejection::new(StatusCode::INTERNAL_SERVER_ERROR, "authentication failed")
}

/// The answer that accepts a request: with this subprotocol, and with compression as both want it.
#[cfg_attr(
    not(feature = "deflate"),
    expect(unused_variables, reason = "nothing else is agreed on")
)]
pub(super) fn accepted(
    upgrade: &Upgrade,
    subprotocol: Option<&str>,
    config: &Config,
) -> Result<Accepted, Rejection> {
    let accepted = upgrade
        .accept(subprotocol)
        .map_err(|misuse| Rejection::bad_request(misuse.to_string()))?;
    #[cfg(feature = "deflate")]
    let accepted = match config.deflate.accept(upgrade.deflate_offers()) {
        Some(params) => accepted.with_deflate(params),
        None => accepted,
    };
    Ok(accepted)
}

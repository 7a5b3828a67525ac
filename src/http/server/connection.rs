//! One connection, from its handshake to its end: HTTP/1.1 or HTTP/2, whichever the client speaks.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use hyper::{
    Method, Response, Version,
    body::Incoming,
    header::{self, HeaderValue},
    service::service_fn,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    Stage, Timeouts, Tls,
    activity::{Activity, InFlight},
    held::Held,
    limits::{self, Admission},
    listener::Accepted,
    outflow::Outflow,
    protocol::Http,
    room::Room,
    socket::{Duplex, Socket},
    streams::{Pace, Streams, Watched},
    wire::Wire,
};
use crate::base::ErrorCode;
use crate::http::{
    App, Problem,
    app::{Client, Connection, Door, Peer},
    body::Body,
    observe::Active,
};

/// How long one who is only told that there are too many may take for that.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(5);
/// What the connections of one listener share.
pub(super) struct Shared {
    pub app: Arc<App>,
    pub timeouts: Timeouts,
    pub tls: Option<Tls>,
    pub held: Held,
}

/// Serves a connection to its end.
pub(super) async fn serve(
    accepted: Accepted,
    admission: Admission,
    door: Door,
    shared: Arc<Shared>,
    mut stage: watch::Receiver<Stage>,
) {
    let Accepted { connected, peer } = accepted;
    let timeouts = timeouts(&shared.timeouts, &admission);
    // Whoever opens a socket file is on this machine.
    let tls = shared.tls.as_ref().filter(|_| peer != Peer::Unix);
    let outflow = Outflow::default();
    let socket = Socket::new(Box::new(connected.clone()), outflow.clone(), timeouts.write);
    let io: Box<dyn Duplex> = match tls {
        None => Box::new(socket),
        Some(tls) => tokio::select! {
            shaken = timeout(timeouts.handshake, tls.acceptor().accept(socket)) => match shaken {
                Ok(Ok(stream)) => Box::new(stream),
                Ok(Err(error)) => return tracing::debug!(%error, "no TLS"),
                Err(_) => return tracing::debug!("the TLS handshake took too long"),
            },
            _ = stage.wait_for(|stage| *stage == Stage::Cut) => return,
        },
    };
    let connection =
        Connection { peer, client: Arc::new(Client::new(peer)), flow: connected, is_secure: tls.is_some(), door };
    tracing::trace!(peer = ?connection.peer, is_secure = connection.is_secure, "a connection");
    let streams = Streams::new(timeouts.write, outflow, shared.held.begin());
    let speaking = speak(io, connection, streams, &admission, timeouts, &shared.app, stage);
    if admission.is_served {
        speaking.await;
    } else {
        // Told, and gone: room that is made later is for those who come again.
        let _told = timeout(2 * REFUSED_TIMEOUT, speaking).await;
    }
}

/// The times of one that is served, or refused.
fn timeouts(timeouts: &Timeouts, admission: &Admission) -> Timeouts {
    let limit = if admission.is_served { Duration::MAX } else { REFUSED_TIMEOUT };
    Timeouts {
        handshake: timeouts.handshake.min(limit),
        headers: timeouts.headers.min(limit),
        idle: timeouts.idle.min(limit),
        write: timeouts.write.min(limit),
    }
}

/// Speaks HTTP, and watches the clock.
async fn speak(
    io: Box<dyn Duplex>,
    connection: Connection,
    streams: Streams,
    admission: &Admission,
    timeouts: Timeouts,
    app: &Arc<App>,
    mut stage: watch::Receiver<Stage>,
) {
    let _counted = Active::connection();
    // What was told during the handshake is told again.
    stage.mark_changed();
    let activity = Activity::new();
    let is_served = admission.is_served;
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let in_flight = activity.begin(request.version());
        let room = || Room::new(connection.flow.clone(), timeouts.write);
        let pace = match request.version() {
            Version::HTTP_2 => streams.announce(),
            Version::HTTP_11 => Pace::Connection(room()),
            _ => Pace::UntilClose(room()),
        };
        answer(Arc::clone(app), request, connection.clone(), is_served, in_flight, pace)
    });
    let mut http = Http::new(Wire::new(io, activity.clone()), service, streams.clone(), timeouts.write);
    // No time begins between two looks that ends before the second.
    let look_interval = timeouts.headers.min(timeouts.idle);
    let mut look = pin!(sleep(look_interval));
    let mut leaving: Option<Instant> = None;
    loop {
        tokio::select! {
            outcome = &mut http => {
                return if let Err(error) = outcome {
                    tracing::debug!(%error, "a connection ended early");
                };
            }
            changed = stage.changed() => match (changed, *stage.borrow_and_update()) {
                (Ok(()), Stage::Serving) => {}
                (Ok(()), Stage::Draining) => http.graceful_shutdown(),
                (Ok(()), Stage::Cut) | (Err(_), _) => return,
            },
            () = streams.is_too_much() => {
                let peer = &connection.peer;
                return tracing::info!(?peer, "all who speak HTTP/2 leave too much untaken: who leaves most is cut");
            }
            () = look.as_mut() => {
                let now = Instant::now();
                let next = match (activity.deadline(&timeouts), leaving) {
                    (None, _) => {
                        leaving = None;
                        now + look_interval
                    }
                    (Some(deadline), _) if deadline > now => deadline.min(now + look_interval),
                    (Some(_), Some(at)) if at <= now => return,
                    (Some(_), Some(at)) => at,
                    (Some(_), None) => {
                        tracing::debug!("a client took too long for its request");
                        http.graceful_shutdown();
                        *leaving.insert(now + activity.goodbye(&timeouts))
                    }
                };
                look.as_mut().reset(next);
            }
        }
    }
}

async fn answer(
    app: Arc<App>,
    request: hyper::Request<Incoming>,
    connection: Connection,
    is_served: bool,
    in_flight: InFlight,
    pace: Pace,
) -> Result<Response<Watched>, Infallible> {
    // hyper asks whether a stream was given up only while its answer is waited for, and so it is, once, before any work:
    // who gives up in the same breath costs nothing more (CVE-2023-44487). Nor is anything done for one who does not read.
    if let Pace::Stream(_, outflow, _) = &pace {
        tokio::task::yield_now().await;
        outflow.flows().await;
    }
    let (is_head, is_last) = (request.method() == Method::HEAD, limits::is_last(&request));
    let admitted = match limits::check(&request) {
        // Whoever asks whether the process lives hears that it does.
        Ok(()) if !is_served && request.uri().path() != "/livez" => Err(Problem::new(ErrorCode::Overloaded)),
        checked => checked,
    };
    let mut response = match admitted {
        Ok(()) => app.observed(request, connection).await?,
        Err(problem) => {
            let mut refusal = limits::refuse(&problem, &request);
            // A page of another origin is told, too.
            app.cors.mark(request.headers(), refusal.headers_mut());
            refusal
        }
    };
    if is_head {
        response = without_body(response);
    }
    if is_last {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Watched::new(body, in_flight, pace)))
}

/// The answer to a HEAD: what the one to a GET says, and not a byte of it (RFC 9110, section 9.3.2). Over HTTP/2 nobody
/// below takes the body away.
fn without_body(mut response: Response<Body>) -> Response<Body> {
    let body = std::mem::replace(response.body_mut(), Body::empty());
    if let (Body::Full(Some(bytes)), headers) = (body, response.headers_mut()) {
        headers.entry(header::CONTENT_LENGTH).or_insert_with(|| bytes.len().into());
    }
    response
}

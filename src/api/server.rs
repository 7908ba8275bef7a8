//! The HTTP server: the API on `POST /`, and beside it `/healthz` (alive), `/readyz` (can work), `/metrics`
//! (Prometheus).

use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{self, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::ServerHandle as Inner;
use actix_web::http::StatusCode;
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use tokio_rustls::server::TlsStream;

use crate::engine::EngineHandle;
use crate::telemetry::{Metrics, fields};

use super::auth::Keys;
use super::bodies::Bodies;
use super::bulk;
use super::connections;
use super::context::Context;
use super::error::ApiError;
use super::faces::SharedApi;
use super::front::{self, HasConsole, closing};
use super::hosts::{Hosts, Visitor};
use super::options::Options;
use super::page::Pages;
use super::protocol::{Answer, Api, CONTENT_TYPE, Incoming};
use super::tls::Current;

/// The time for the head of a request to arrive. It is generous because the client's machine may be busy too.
const SLOW_REQUEST: Duration = Duration::from_secs(30);
/// The time for a TLS handshake.
const SLOW_HANDSHAKE: Duration = Duration::from_secs(10);
/// How long an idle connection is kept. It is longer than clients keep an unused connection: a request on a connection
/// that the server is closing gets no answer.
const IDLE_CONNECTION: Duration = Duration::from_secs(75);
/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1_024;

/// Reasons why the server cannot start. Each names the setting to look at.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("{0}")]
    Settings(String),
    #[error("api.listen: cannot listen on {listen}: {source}")]
    Listen { listen: String, source: std::io::Error },
}

/// A server that listens. It answers no request before [`Server::run`].
pub struct Server {
    /// The address on which it listens. For port 0 it holds the chosen port.
    pub addr: SocketAddr,
    inner: actix_web::dev::Server,
    certificate: Option<Arc<Current>>,
    context: Context,
    draining: Arc<Draining>,
    drain: Duration,
}

/// Stops a running server. Cheap to clone.
#[derive(Clone)]
pub struct ServerHandle {
    inner: Inner,
    draining: Arc<Draining>,
    drain: Duration,
}

impl ServerHandle {
    /// Says at `/readyz` that the server stops and goes on to answer for [`Options::drain`]. Then it takes no new
    /// requests and lets open ones finish, for at most [`Options::shutdown_seconds`].
    ///
    /// A connection that still waits to be accepted when the port closes is reset. With the drain a load balancer opens
    /// none by then.
    pub async fn stop(&self) {
        self.draining.begin();
        tokio::time::sleep(self.drain).await;
        self.inner.stop(true).await;
    }
}

/// Whether the server stops. Each answer closes its connection from then on.
#[derive(Debug, Default)]
pub(super) struct Draining(AtomicBool);

impl Draining {
    fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Server {
    /// Listens. `secret` is any secret that all nodes of this installation share; page tokens are signed with a key
    /// derived from it. `listener`: a port that listens already. `also` adds routes of other interfaces (the console)
    /// to the same server.
    pub fn bind(
        options: &Options,
        engine: EngineHandle,
        metrics: Metrics,
        secret: &[u8],
        listener: Option<TcpListener>,
        also: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    ) -> Result<Self, BindError> {
        let mut context = Context::new(engine, Pages::new(secret), Duration::from_secs(options.activity_poll_seconds));
        (context.kms, context.any_region) = (options.kms, options.any_region);
        context.settings = options.settings.clone().into();
        let keys = Keys::new(options.access_keys.clone());
        Self::serve(options, Api::new(context, keys, metrics), listener, also)
    }

    fn serve(
        options: &Options,
        api: Api,
        listener: Option<TcpListener>,
        also: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    ) -> Result<Self, BindError> {
        options.check().map_err(BindError::Settings)?;
        let certificate = options.tls.as_ref().map(Current::load).transpose().map_err(BindError::Settings)?;
        let listener = listener.map_or_else(|| listen(options), Ok)?;
        let failed = |source| BindError::Listen { listen: options.listen.clone(), source };
        let addr = listener.local_addr().map_err(failed)?;
        if options.access_keys.is_empty() {
            tracing::warn!(
                { fields::API_ADDRESS } = %addr,
                "there are no access keys: any client that reaches the API may do everything"
            );
        }

        let context = api.context().clone();
        let api = web::Data::new(api);
        let within = Duration::from_secs(options.body_seconds);
        let bodies = web::Data::new(Bodies::new(options.body_bytes_max, options.bodies_bytes_max, within));
        let hosts = web::Data::new(Hosts::new(&options.hosts, addr.ip()));
        let shared = web::Data::new(SharedApi::new(api.clone(), hosts.clone()));
        let console = web::Data::new(HasConsole(options.console));
        let draining = Arc::new(Draining::default());
        let drains = web::Data::from(Arc::clone(&draining));
        let connections = connections::bound(options.connections_max);
        let builder = HttpServer::new(move || {
            App::new()
                .app_data(api.clone())
                .app_data(bodies.clone())
                .app_data(hosts.clone())
                .app_data(shared.clone())
                .app_data(console.clone())
                .app_data(drains.clone())
                .configure(front::routes)
                .configure(also.clone())
                .default_service(web::to(aws_json))
        })
        .workers(options.workers)
        .backlog(BACKLOG)
        .max_connections((connections / options.workers).max(1))
        .on_connect(|stream, data| {
            let plain = stream.downcast_ref::<TcpStream>();
            let secured = || stream.downcast_ref::<TlsStream<TcpStream>>().map(|stream| stream.get_ref().0);
            if let Some(Ok(local)) = plain.or_else(secured).map(TcpStream::local_addr) {
                data.insert(Local(local.ip()));
            }
        })
        // A poller that goes away is noticed at once, and its task is offered to the next. No AWS client half-closes a
        // connection.
        .h1_allow_half_closed(false)
        .client_request_timeout(SLOW_REQUEST)
        .tls_handshake_timeout(SLOW_HANDSHAKE)
        .keep_alive(IDLE_CONNECTION)
        .shutdown_timeout(options.shutdown_seconds)
        .disable_signals();
        let listening = match &certificate {
            Some(current) => builder.listen_rustls_0_23(listener, current.config().map_err(BindError::Settings)?),
            None => builder.listen(listener),
        };
        let inner = listening.map_err(failed)?.run();
        Ok(Self { addr, inner, certificate, context, draining, drain: options.drain })
    }

    pub fn handle(&self) -> ServerHandle {
        ServerHandle { inner: self.inner.handle(), draining: Arc::clone(&self.draining), drain: self.drain }
    }

    /// Answers requests until [`ServerHandle::stop`].
    pub async fn run(self) -> std::io::Result<()> {
        let Self { inner, certificate, context, .. } = self;
        let follow = async {
            match certificate {
                Some(certificate) => certificate.follow().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            done = inner => done,
            () = follow => Ok(()),
            () = bulk::keep(context) => Ok(()),
        }
    }
}

/// The local address of a connection.
#[derive(Clone, Copy)]
struct Local(IpAddr);

/// Opens the listener. Without keys only loopback addresses are allowed, unless the settings say otherwise.
pub(super) fn listen(options: &Options) -> Result<TcpListener, BindError> {
    let failed = |source| BindError::Listen { listen: options.listen.clone(), source };
    let addrs: Vec<SocketAddr> = options.listen.to_socket_addrs().map_err(failed)?.collect();
    if options.access_keys.is_empty() && !options.allow_unsigned && addrs.iter().any(|addr| !addr.ip().is_loopback()) {
        return Err(BindError::Settings(format!(
            "api.listen is {}, which other machines can reach, and api.keys is empty: add keys, listen on 127.0.0.1, \
             or set api.allow_unsigned = true",
            options.listen
        )));
    }
    TcpListener::bind(&addrs[..]).map_err(failed)
}

/// The API itself: every request without another route.
async fn aws_json(
    request: HttpRequest,
    mut payload: web::Payload,
    api: web::Data<Api>,
    bodies: web::Data<Bodies>,
    hosts: web::Data<Hosts>,
    draining: web::Data<Draining>,
) -> HttpResponse {
    let answer = match is_for_us(&request, &hosts) {
        Ok(()) => {
            let incoming = Incoming {
                method: request.method().as_str(),
                path: request.path(),
                query: request.query_string(),
                headers: request.headers(),
            };
            let length = request.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
            api.answer(incoming, bodies.take(&mut payload, length)).await
        }
        Err(error) => api.refuse(error),
    };
    let keeps = answer.is_let_in && !draining.is_on();
    respond(answer, payload, keeps)
}

pub(super) fn is_for_us(request: &HttpRequest, hosts: &Hosts) -> Result<(), ApiError> {
    let authority = request.uri().authority().map(actix_web::http::uri::Authority::as_str);
    let local = request.conn_data::<Local>().map(|local| local.0);
    hosts.check(&Visitor { headers: request.headers(), authority, local })
}

/// `keeps`: the connection stays open for the next request.
fn respond(answer: Answer, payload: web::Payload, keeps: bool) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let begun = HttpResponse::build(status);
    let mut response = if keeps { begun } else { closing(begun) };
    response
        .insert_header(("x-amzn-RequestId", answer.request_id.to_string()))
        .content_type(CONTENT_TYPE)
        .body(BoxBody::new(Whole { answer: answer.body.into(), _payload: payload }))
}

/// An answer that keeps the request's body until it is sent. The server library then closes the connection if the body
/// was not read to its end. Without this it would read the rest of a chunked body, however long that is.
struct Whole {
    answer: web::Bytes,
    _payload: web::Payload,
}

impl MessageBody for Whole {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.answer.len() as u64)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<Option<Result<web::Bytes, Self::Error>>> {
        let answer = std::mem::take(&mut self.get_mut().answer);
        Poll::Ready(Some(answer).filter(|answer| !answer.is_empty()).map(Ok))
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;

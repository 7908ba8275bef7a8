//! The HTTP server: the API on `POST /`, and beside it `/healthz` (alive), `/readyz` (can work), `/metrics`
//! (Prometheus).

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

use actix_web::dev::ServerHandle as Inner;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::json;

use crate::engine::EngineHandle;
use crate::telemetry::{Metrics, fields};

use super::auth::Keys;
use super::context::Context;
use super::error::ApiError;
use super::options::Options;
use super::page::Pages;
use super::protocol::{Answer, Api, CONTENT_TYPE, Incoming};

/// A request's head must be there within this time: the client's machine may be busy too.
const SLOW_REQUEST: Duration = Duration::from_secs(30);
/// Longer than clients keep a connection that they do not use: who sends on one that the server closes just then gets
/// no answer.
const IDLE_CONNECTION: Duration = Duration::from_secs(75);
/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1_024;

/// Why the server cannot start. Each names the setting to look at.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("{0}")]
    Settings(String),
    #[error("api.listen: cannot listen on {listen}: {source}")]
    Listen { listen: String, source: std::io::Error },
}

/// A server that listens. Nothing is answered before [`Server::run`].
pub struct Server {
    /// Where it listens; tells the port that was taken for port 0.
    pub addr: SocketAddr,
    inner: actix_web::dev::Server,
}

/// Stops a running server. Cheap to clone.
#[derive(Clone)]
pub struct ServerHandle(Inner);

impl ServerHandle {
    /// Takes no new requests and lets open ones finish, for at most `api.shutdown_seconds`.
    pub async fn stop(&self) {
        self.0.stop(true).await;
    }
}

impl Server {
    /// Listens. `secret`: any secret that all nodes of this installation share (page tokens are signed with a key
    /// derived from it). `also` adds routes of other faces (the console) to the same server.
    pub fn bind(
        options: &Options,
        engine: EngineHandle,
        metrics: Metrics,
        secret: &[u8],
        also: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    ) -> Result<Self, BindError> {
        let context = Context::new(engine, Pages::new(secret), Duration::from_secs(options.activity_poll_seconds));
        let keys = Keys::new(options.access_keys.clone());
        Self::serve(options, Api::new(context, keys, metrics), also)
    }

    fn serve(
        options: &Options,
        api: Api,
        also: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    ) -> Result<Self, BindError> {
        options.check().map_err(BindError::Settings)?;
        let listener = listen(options)?;
        let failed = |source| BindError::Listen { listen: options.listen.clone(), source };
        let addr = listener.local_addr().map_err(failed)?;
        if options.access_keys.is_empty() {
            tracing::warn!({ fields::API_ADDRESS } = %addr, "there are no access keys: whoever reaches the API may do everything");
        }

        let api = web::Data::new(api);
        let body_bytes_max = options.body_bytes_max;
        let inner = HttpServer::new(move || {
            App::new()
                .app_data(api.clone())
                .app_data(web::PayloadConfig::new(body_bytes_max))
                .app_data(BodyLimit(body_bytes_max))
                .route("/healthz", web::get().to(healthz))
                .route("/readyz", web::get().to(readyz))
                .route("/metrics", web::get().to(metrics_text))
                .configure(also.clone())
                .default_service(web::to(aws_json))
        })
        .workers(options.workers)
        .backlog(BACKLOG)
        // A poller that goes away is noticed at once, and what it was about to get is offered to the next. No client of
        // AWS's half-closes.
        .h1_allow_half_closed(false)
        .client_request_timeout(SLOW_REQUEST)
        .keep_alive(IDLE_CONNECTION)
        .shutdown_timeout(options.shutdown_seconds)
        .disable_signals()
        .listen(listener)
        .map_err(failed)?
        .run();
        Ok(Self { addr, inner })
    }

    pub fn handle(&self) -> ServerHandle {
        ServerHandle(self.inner.handle())
    }

    /// Answers requests until [`ServerHandle::stop`].
    pub async fn run(self) -> std::io::Result<()> {
        self.inner.await
    }
}

/// The bound of request bodies, for the error that names it.
#[derive(Clone, Copy)]
struct BodyLimit(usize);

/// Without keys only loopback addresses, unless the settings say otherwise.
fn listen(options: &Options) -> Result<TcpListener, BindError> {
    let failed = |source| BindError::Listen { listen: options.listen.clone(), source };
    let addrs: Vec<SocketAddr> = options.listen.to_socket_addrs().map_err(failed)?.collect();
    if options.access_keys.is_empty() && !options.allow_unsigned && addrs.iter().any(|addr| !addr.ip().is_loopback()) {
        return Err(BindError::Settings(format!(
            "api.listen is {}, which other machines can reach, and there are no api.access_keys: add keys, listen on 127.0.0.1, \
             or set api.allow_unsigned = true",
            options.listen
        )));
    }
    TcpListener::bind(&addrs[..]).map_err(failed)
}

/// Everything that is no other route: the API itself.
async fn aws_json(
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
    api: web::Data<Api>,
) -> HttpResponse {
    let limit = request.app_data::<BodyLimit>().map_or(usize::MAX, |limit| limit.0);
    let body = match &body {
        Ok(bytes) => Ok(bytes.as_ref()),
        Err(error) if error.as_response_error().status_code() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(ApiError::body_too_large(limit))
        }
        Err(error) => Err(ApiError::serialization(format!("The body of the request did not arrive whole: {error}"))),
    };
    let incoming = Incoming {
        method: request.method().as_str(),
        path: request.path(),
        query: request.query_string(),
        headers: request.headers(),
        body,
    };
    respond(api.answer(incoming).await)
}

fn respond(answer: Answer) -> HttpResponse {
    HttpResponse::build(StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .insert_header(("x-amzn-RequestId", answer.request_id.to_string()))
        .content_type(CONTENT_TYPE)
        .body(answer.body)
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "alive"}))
}

async fn readyz(api: web::Data<Api>) -> HttpResponse {
    match api.context().engine().ready().await {
        Ok(()) => HttpResponse::Ok().json(json!({"status": "ready"})),
        Err(missing) => HttpResponse::ServiceUnavailable().json(json!({"status": "not ready", "missing": missing})),
    }
}

async fn metrics_text(api: web::Data<Api>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(api.context().engine().metrics())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix_web::web::ServiceConfig;

    use crate::clock::SystemClock;
    use crate::store::memory::Memory;

    use super::*;

    fn api() -> Api {
        let store = Memory::new();
        let context = Context::without_engine(Arc::new(store.clone()), Arc::new(store), Arc::new(SystemClock));
        Api::new(context, Keys::default(), Metrics::new())
    }

    fn nothing(_: &mut ServiceConfig) {}

    fn options(listen: &str) -> Options {
        Options { listen: listen.into(), workers: 1, body_bytes_max: 1_000, ..Options::default() }
    }

    #[test]
    fn without_keys_only_loopback_is_served_unless_told() {
        let refused = Server::serve(&options("0.0.0.0:0"), api(), nothing).err().unwrap().to_string();
        assert!(refused.starts_with("api.listen is 0.0.0.0:0, which other machines can reach"), "{refused}");
        let refused = Server::serve(&options("nonsense"), api(), nothing).err().unwrap().to_string();
        assert!(refused.starts_with("api.listen: cannot listen on nonsense"), "{refused}");
        assert!(listen(&Options { allow_unsigned: true, ..options("0.0.0.0:0") }).is_ok());
    }

    /// Status, content type, request id and body of an answer.
    fn post(url: &str, target: &str, body: &str) -> (u16, String, String, String) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.post(url).header("content-type", CONTENT_TYPE).header("x-amz-target", target);
        let mut answer = request.send(body).unwrap();
        let header = |name: &str| answer.headers().get(name).unwrap().to_str().unwrap().to_owned();
        let (kind, id) = (header("content-type"), header("x-amzn-requestid"));
        (answer.status().as_u16(), kind, id, answer.body_mut().read_to_string().unwrap())
    }

    #[actix_web::test]
    async fn it_answers_over_http_and_stops() {
        let server = Server::serve(&options("127.0.0.1:0"), api(), nothing).unwrap();
        let (url, handle) = (format!("http://{}", server.addr), server.handle());
        let running = actix_web::rt::spawn(server.run());
        let asked = actix_web::rt::task::spawn_blocking(move || {
            let target = "AWSStepFunctions.ListActivities";
            let (status, kind, id, body) = post(&url, target, "{}");
            assert_eq!((status, kind.as_str(), body.as_str()), (200, CONTENT_TYPE, r#"{"activities":[]}"#));
            assert_eq!(id.len(), 36);
            let (status, _, _, body) = post(&url, target, &" ".repeat(1_001));
            assert_eq!(status, 413);
            assert!(body.contains("RequestEntityTooLargeException") && body.contains("1000 bytes"), "{body}");
            assert_eq!(post(&format!("{url}/elsewhere"), target, "{}").0, 404);
            assert_eq!(ureq::get(format!("{url}/healthz")).call().unwrap().status(), 200);
        });
        asked.await.unwrap();
        handle.stop().await;
        running.await.unwrap().unwrap();
    }

    /// What a connection is told that sends these bytes and then no more; the first line, empty where it is just
    /// closed.
    fn told(addr: SocketAddr, bytes: &[u8]) -> String {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        // It may close before it has read everything.
        let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
    }

    #[actix_web::test]
    async fn bytes_that_are_no_request_end_their_connection_and_nothing_else() {
        let server = Server::serve(&options("127.0.0.1:0"), api(), nothing).unwrap();
        let (addr, handle) = (server.addr, server.handle());
        let running = actix_web::rt::spawn(server.run());
        let asked = actix_web::rt::task::spawn_blocking(move || {
            let head = format!(
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {CONTENT_TYPE}\r\nX-Amz-Target: AWSStepFunctions.ListActivities\r\n"
            );
            let long = format!("{head}X: {}\r\n\r\n", "x".repeat(1_000_000)).into_bytes();
            let many = format!("{head}{}\r\n", "X: y\r\n".repeat(10_000)).into_bytes();
            let garbage: Vec<u8> =
                (0..100_000_u32).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap()).collect();
            let table: [(&str, Vec<u8>); 11] = [
                ("nothing", Vec::new()),
                ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00".to_vec()),
                ("garbage", garbage),
                ("half a line", b"POST / HT".to_vec()),
                ("a version that is none", b"POST / HTTP/9.9\r\n\r\n".to_vec()),
                ("a length that is none", format!("{head}Content-Length: many\r\n\r\n").into_bytes()),
                ("two lengths", format!("{head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}").into_bytes()),
                ("a body that stops", format!("{head}Content-Length: 100\r\n\r\n{{}}").into_bytes()),
                ("chunks that are none", format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n").into_bytes()),
                ("a header without end", long),
                ("headers without end", many),
            ];
            for (what, bytes) in table {
                let told = told(addr, &bytes);
                assert!(told.is_empty() || told.starts_with("HTTP/1.1 4"), "{what}: {told}");
            }
            let whole = format!("{head}Connection: close\r\nContent-Length: 2\r\n\r\n{{}}");
            assert_eq!(told(addr, whole.as_bytes()), "HTTP/1.1 200 OK");
        });
        asked.await.unwrap();
        handle.stop().await;
        running.await.unwrap().unwrap();
    }
}

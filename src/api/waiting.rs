//! The port of a server whose start waits for its store: it lives, and it is not ready. Probes of orchestrators and
//! load balancers get an answer, and everything else is told to come back.

use std::net::{SocketAddr, TcpListener};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::json;
use tokio::sync::watch;

use super::front::{closing, healthz};
use super::options::Options;
use super::server::{BindError, listen};
use super::tls::Current;

/// Open requests of a start that waits no more. Each is answered at once.
const ENDS_WITHIN_SECONDS: u64 = 1;

/// A listening port, for a server that is to come.
pub struct Waiting {
    pub addr: SocketAddr,
    listener: TcpListener,
    handle: ServerHandle,
}

type Why = watch::Receiver<Option<String>>;

impl Waiting {
    /// Listens and answers. `why`: the store's failure, in words. Call it inside an actix system.
    pub fn open(options: &Options, why: Why) -> Result<Self, BindError> {
        options.check().map_err(BindError::Settings)?;
        let listener = listen(options)?;
        let failed = |source| BindError::Listen { listen: options.listen.clone(), source };
        let (addr, own) = (listener.local_addr().map_err(failed)?, listener.try_clone().map_err(failed)?);
        let why = web::Data::new(why);
        let builder = HttpServer::new(move || {
            App::new()
                .app_data(why.clone())
                .route("/healthz", web::get().to(healthz))
                .route("/healthz", web::head().to(healthz))
                .default_service(web::to(not_ready))
        })
        .workers(1)
        .shutdown_timeout(ENDS_WITHIN_SECONDS)
        .disable_signals();
        let certificate = options.tls.as_ref().map(Current::load).transpose().map_err(BindError::Settings)?;
        let listening = match certificate {
            Some(current) => builder.listen_rustls_0_23(own, current.config().map_err(BindError::Settings)?),
            None => builder.listen(own),
        };
        let server = listening.map_err(failed)?.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Ok(Self { addr, listener, handle })
    }

    /// Answers no more. The port listens on: the next server goes on with it.
    pub async fn end(self) -> TcpListener {
        self.handle.stop(true).await;
        self.listener
    }
}

async fn not_ready(why: web::Data<Why>) -> HttpResponse {
    let why = why.borrow().clone().unwrap_or_else(|| "the server starts".to_owned());
    let missing = [format!("store: {why}")];
    closing(HttpResponse::ServiceUnavailable()).json(json!({"status": "not ready", "missing": missing}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn a_server_that_waits_lives_is_not_ready_and_leaves_its_port_to_the_next() {
        let (away, why) = watch::channel(Some("nothing listens there".to_owned()));
        let options = Options { listen: "127.0.0.1:0".into(), ..Options::default() };
        let waiting = Waiting::open(&options, why).unwrap();
        let addr = waiting.addr;
        let asked = actix_web::web::block(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            ["/healthz", "/readyz", "/"].map(|path| {
                let mut answer = agent.get(format!("http://{addr}{path}")).call().unwrap();
                (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
            })
        });
        let [health, ready, front] = asked.await.unwrap();
        assert_eq!(health, (200, r#"{"status":"alive"}"#.to_owned()));
        assert_eq!(ready, (503, r#"{"status":"not ready","missing":["store: nothing listens there"]}"#.to_owned()));
        assert_eq!(front.0, 503);
        drop(away);
        let listener = waiting.end().await;
        assert_eq!(listener.local_addr().unwrap(), addr);
        let client = std::net::TcpStream::connect(addr).unwrap();
        listener.set_nonblocking(false).unwrap();
        assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap(), "nothing else takes its connections");
    }
}

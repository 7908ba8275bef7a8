//! The server over sockets.

use std::sync::Arc;

use actix_web::web::ServiceConfig;

use crate::api::options::AccessKey;
use crate::api::tls::Files;
use crate::clock::SystemClock;
use crate::engine::support::idle;
use crate::store::memory::Memory;

use super::*;

fn api() -> Api {
    with_keys(Vec::new())
}

fn with_keys(keys: Vec<AccessKey>) -> Api {
    let store = Memory::new();
    let context = Context::for_test(idle(&store, Arc::new(SystemClock)));
    Api::new(context, Keys::new(keys), Metrics::new())
}

fn nothing(_: &mut ServiceConfig) {}

fn options(listen: &str) -> Options {
    Options { listen: listen.into(), workers: 1, body_bytes_max: 1_000, ..Options::default() }
}

#[test]
fn without_keys_only_loopback_is_served_unless_told() {
    let refused = Server::serve(&options("0.0.0.0:0"), api(), None, nothing).err().unwrap().to_string();
    assert!(refused.starts_with("api.listen is 0.0.0.0:0, which other machines can reach"), "{refused}");
    let refused = Server::serve(&options("nonsense"), api(), None, nothing).err().unwrap().to_string();
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
    let server = Server::serve(&options("127.0.0.1:0"), api(), None, nothing).unwrap();
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

#[actix_web::test]
async fn probes_may_use_head_and_a_person_learns_which_server_this_is() {
    served(Options { console: true, ..options("127.0.0.1:0") }, api(), |addr| {
        let ask = |line: &str, accept: &str| {
            let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n");
            let answer = told_and_closed(addr, request.as_bytes());
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            (head.to_owned(), body.to_owned())
        };
        for path in ["/", "/healthz", "/readyz", "/metrics"] {
            let (head, body) = ask(&format!("HEAD {path}"), "*/*");
            let known = ["200", "503"].iter().any(|status| head.starts_with(&format!("HTTP/1.1 {status}")));
            assert!(known && body.is_empty(), "{path}: {head} {body}");
        }
        let (head, body) = ask("GET /", "text/html,*/*;q=0.8");
        assert!(head.contains("text/html") && body.contains("href=\"/console\""), "{head} {body}");
        let (head, body) = ask("GET /", "*/*");
        assert!(head.contains("application/json") && body.contains("\"server\":\"reveille\""), "{head} {body}");
        let foreign = "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";
        assert!(told_and_closed(addr, foreign.as_bytes()).starts_with("HTTP/1.1 403"));
        // Other methods are the API's, which tells the expected method.
        assert!(ask("PUT /healthz", "*/*").0.starts_with("HTTP/1.1 404"));
    })
    .await;
    served(options("127.0.0.1:0"), api(), |addr| {
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n";
        assert!(!told_and_closed(addr, request.as_bytes()).contains("/console"), "there is none");
    })
    .await;
}

/// The first line of the answer to a connection that sends these bytes and then no more; empty where it is just closed.
fn told(addr: SocketAddr, bytes: &[u8]) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = connect(addr);
    // It may close before it has read everything.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

fn connect(addr: SocketAddr) -> std::net::TcpStream {
    let stream = std::net::TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream
}

/// The whole answer to a connection that sends these bytes and stays, up to the end at which the server closes it.
fn told_and_closed(addr: SocketAddr, bytes: &[u8]) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = connect(addr);
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("not closed: {error}"),
        _ => String::from_utf8_lossy(&answer).into_owned(),
    }
}

/// Serves while `ask` runs.
async fn served(options: Options, api: Api, ask: impl FnOnce(SocketAddr) + Send + 'static) {
    let server = Server::serve(&options, api, None, nothing).unwrap();
    let (addr, handle) = (server.addr, server.handle());
    let running = actix_web::rt::spawn(server.run());
    actix_web::rt::task::spawn_blocking(move || ask(addr)).await.unwrap();
    handle.stop().await;
    running.await.unwrap().unwrap();
}

/// A head, with its end.
fn head(host: &str, more: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: {CONTENT_TYPE}\r\n\
         X-Amz-Target: AWSStepFunctions.ListActivities\r\n{more}\r\n"
    )
}

#[actix_web::test]
async fn only_requests_to_this_server_and_of_no_other_page_are_answered() {
    served(options("127.0.0.1:0"), api(), |addr| {
        let post = |host: &str, more: &str| {
            told(addr, format!("{}{{}}", head(host, &format!("Content-Length: 2\r\n{more}"))).as_bytes())
        };
        let (ok, forbidden) = ("HTTP/1.1 200 OK", "HTTP/1.1 403 Forbidden");
        for (host, more, expected) in [
            ("localhost", "", ok),
            ("127.0.0.1:8083", "Sec-Fetch-Site: same-origin\r\nOrigin: http://127.0.0.1:8083\r\n", ok),
            ("sync-localhost:1", "", ok),
            ("evil.example:8083", "", forbidden),
            ("evil.example", "Origin: http://evil.example\r\nSec-Fetch-Site: same-origin\r\n", forbidden),
            ("localhost", "Origin: http://evil.example\r\n", forbidden),
            ("localhost", "Sec-Fetch-Site: cross-site\r\n", forbidden),
            ("localhost", "Host: localhost\r\n", "HTTP/1.1 400 Bad Request"),
        ] {
            assert_eq!(post(host, more), expected, "{host} {more}");
        }
        let get = |path: &str, host: &str| told(addr, format!("GET {path} HTTP/1.0\r\n{host}\r\n").as_bytes());
        for path in ["/metrics", "/", "/other"] {
            assert_eq!(get(path, "Host: evil.example\r\n"), forbidden.replace("1.1", "1.0"), "{path}");
        }
        // Probes need no name: HAProxy's has none.
        for host in ["", "Host: 10.9.8.7:8083\r\n"] {
            assert_eq!(get("/healthz", host), ok.replace("1.1", "1.0"), "{host}");
        }
    })
    .await;
}

#[actix_web::test]
async fn a_body_of_a_stranger_is_not_waited_for() {
    let key = AccessKey::all("AK".into(), "secret".into());
    let patient = Options { body_seconds: 3_600, body_bytes_max: 2_000_000, ..options("127.0.0.1:0") };
    served(patient, with_keys(vec![key]), |addr| {
        let now = crate::clock::Clock::now(&SystemClock).to_jiff();
        let (time, day) = (now.strftime("%Y%m%dT%H%M%SZ").to_string(), now.strftime("%Y%m%d").to_string());
        let signed = |id: &str, day: &str, region: &str, names: &str| {
            format!(
                "X-Amz-Date: {time}\r\nAuthorization: AWS4-HMAC-SHA256 Credential={id}/{day}/{region}/states/aws4_request, \
                 SignedHeaders={names}, Signature=00\r\n"
            )
        };
        let all = "host;x-amz-date;x-amz-target";
        let heads = [
            (String::new(), "MissingAuthenticationTokenException"),
            ("Authorization: Bearer x\r\n".to_owned(), "IncompleteSignatureException"),
            (signed("STRANGER", &day, "us-east-1", all), "UnrecognizedClientException"),
            (signed("AK", "20200101", "us-east-1", all), "Date in Credential scope"),
            (signed("AK", &day, "eu-west-1", all), "this server's is 'us-east-1'"),
            (signed("AK", &day, "us-east-1", "host;x-amz-date"), "'x-amz-target' must be a 'SignedHeader'"),
        ];
        for (more, expected) in heads {
            // The server lingers for a second on each, so only one is sent in chunks.
            let chunks = more.is_empty().then_some("Transfer-Encoding: chunked\r\n");
            for framing in ["Content-Length: 1000000\r\n"].into_iter().chain(chunks) {
                let asked = format!("{}5\r\n{{    \r\n", head("localhost", &format!("{more}{framing}")));
                let told = told_and_closed(addr, asked.as_bytes());
                assert!(told.starts_with("HTTP/1.1 400") && told.contains(expected), "{more}{framing}: {told}");
            }
        }
    })
    .await;
}

#[actix_web::test]
async fn a_body_that_does_not_come_to_its_end_ends_its_connection() {
    let brief = Options { body_seconds: 1, ..options("127.0.0.1:0") };
    served(brief, api(), |addr| {
        for framing in ["Content-Length: 100\r\n\r\n{ ", "Transfer-Encoding: chunked\r\n\r\n2\r\n{ \r\n"] {
            let asked = head("localhost", framing);
            let told = told_and_closed(addr, asked.trim_end_matches("\r\n").as_bytes());
            assert!(told.starts_with("HTTP/1.1 408") && told.contains("api.body_seconds"), "{framing}: {told}");
        }
        let long = head("localhost", "Content-Length: 1001\r\n");
        assert!(told_and_closed(addr, long.as_bytes()).starts_with("HTTP/1.1 413"));
    })
    .await;
}

#[actix_web::test]
async fn a_connection_is_kept_for_requests_that_were_let_in() {
    use std::io::{Read as _, Write as _};
    served(options("127.0.0.1:0"), api(), |addr| {
        let mut stream = connect(addr);
        for _ in 0..3 {
            stream.write_all(format!("{}{{}}", head("localhost", "Content-Length: 2\r\n")).as_bytes()).unwrap();
            let mut begun = [0; 15];
            stream.read_exact(&mut begun).unwrap();
            assert_eq!(&begun, b"HTTP/1.1 200 OK");
            let mut rest = Vec::new();
            while !rest.ends_with(br#"{"activities":[]}"#) {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                rest.push(byte[0]);
            }
        }
        let asked = head("evil.example", "Content-Length: 0\r\n");
        assert!(told_and_closed(addr, asked.as_bytes()).starts_with("HTTP/1.1 403"));
        let health = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        assert!(told_and_closed(addr, health.as_bytes()).starts_with("HTTP/1.1 200"));
    })
    .await;
}

#[actix_web::test]
async fn bytes_that_are_no_request_end_their_connection_and_nothing_else() {
    let server = Server::serve(&options("127.0.0.1:0"), api(), None, nothing).unwrap();
    let (addr, handle) = (server.addr, server.handle());
    let running = actix_web::rt::spawn(server.run());
    let asked = actix_web::rt::task::spawn_blocking(move || {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: {CONTENT_TYPE}\r\nX-Amz-Target: AWSStepFunctions.ListActivities\r\n"
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

#[actix_web::test]
async fn a_server_that_stops_says_so_and_answers_until_it_has_drained() {
    let slow = Options { drain: Duration::from_hours(1), ..options("127.0.0.1:0") };
    let server = Server::serve(&slow, api(), None, nothing).unwrap();
    let (addr, handle) = (server.addr, server.handle());
    let running = actix_web::rt::spawn(server.run());
    let list = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: {CONTENT_TYPE}\r\n\
         X-Amz-Target: AWSStepFunctions.ListActivities\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    let ready = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let before = actix_web::rt::task::spawn_blocking(move || told_and_closed(addr, ready.as_bytes())).await.unwrap();
    assert!(!before.contains("the server stops"), "{before}");
    let stopping = actix_web::rt::spawn(async move { handle.stop().await });
    let asked = actix_web::rt::task::spawn_blocking(move || {
        while !told_and_closed(addr, ready.as_bytes()).contains(r#""missing":["the server stops"]"#) {}
        let answer = told_and_closed(addr, list.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200") && answer.to_lowercase().contains("connection: close"), "{answer}");
    });
    asked.await.unwrap();
    assert!(!stopping.is_finished() && !running.is_finished());
}

/// The chain of a server's certificate is the client's business alone; the rest is as without TLS.
#[actix_web::test]
async fn with_a_certificate_only_tls_is_spoken() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let files = Files { certificate: folder.path().join("c.pem"), key: folder.path().join("k.pem") };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let secured = Options { tls: Some(files.clone()), ..options("127.0.0.1:0") };
    let root = ureq::tls::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    served(secured, api(), move |addr| {
        let tls = ureq::tls::TlsConfig::builder();
        let tls = tls.root_certs(ureq::tls::RootCerts::new_with_certs(&[root])).build();
        let agent: ureq::Agent =
            ureq::Agent::config_builder().tls_config(tls).http_status_as_error(false).build().into();
        let ask = |host: &str| {
            let request =
                agent.post(format!("https://localhost:{}/", addr.port())).header("content-type", CONTENT_TYPE);
            let request = request.header("x-amz-target", "AWSStepFunctions.ListActivities").header("host", host);
            request.send("{}").unwrap().status().as_u16()
        };
        assert_eq!(ask("localhost"), 200);
        assert_eq!(ask("evil.example"), 403);
        let trusts_others: ureq::Agent = ureq::Agent::config_builder().build().into();
        assert!(trusts_others.get(format!("https://localhost:{}/healthz", addr.port())).call().is_err());
        let plain = told(addr, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(!plain.starts_with("HTTP/1.1 200"), "{plain}");
    })
    .await;
    std::fs::write(&files.key, "no key").unwrap();
    let refused = Server::serve(&Options { tls: Some(files), ..options("127.0.0.1:0") }, api(), None, nothing);
    assert!(refused.err().unwrap().to_string().starts_with("api.tls.key names"));
}

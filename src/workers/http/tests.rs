//! Calls to a server in this process.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::bus::embedded::EmbeddedBus;

/// The requests to the server, as text.
type Heard = Arc<Mutex<Vec<String>>>;

struct Server {
    address: String,
    heard: Heard,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let heard = Heard::default();
        let told = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&told)));
            }
        });
        Self { address, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, heard: Heard) {
    let mut bytes = Vec::new();
    let text = loop {
        let mut piece = [0; 4_096];
        let length = stream.read(&mut piece).await.unwrap_or(0);
        bytes.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if length == 0 {
                return;
            }
            continue;
        };
        let wanted = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.trim().parse().ok())
            .unwrap_or(0);
        if body.len() >= wanted {
            break text;
        }
    };
    let path = text.split_whitespace().nth(1).unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
    heard.lock().unwrap().push(text.clone());
    let json = |body: &str| (200, "application/json; charset=utf-8", body.as_bytes().to_vec());
    let (status, kind, body) = match path.as_str() {
        "/json" => json(r#"{"ok": true}"#),
        "/problem" => (200, "application/problem+json", b"[1]".to_vec()),
        "/broken" => json("{"),
        "/text" => (200, "text/plain", "grün".as_bytes().to_vec()),
        "/bytes" => (200, "application/octet-stream", vec![0xff, 0xfe]),
        "/latin" => (200, "text/plain", vec![0xff, 0xfe]),
        "/large" => (200, "text/plain", vec![b'x'; crate::limits::PAYLOAD_BYTES_MAX + 1]),
        "/empty" => (204, "text/plain", Vec::new()),
        "/moved" => (302, "text/plain", Vec::new()),
        "/gone" => (410, "application/json", br#"{"error": "gone"}"#.to_vec()),
        "/busy" => (503, "text/plain", Vec::new()),
        "/token" => {
            let count = heard.lock().unwrap().iter().filter(|text| text.starts_with("POST /token")).count();
            json(&format!(r#"{{"access_token": "token-{count}", "expires_in": 3600}}"#))
        }
        "/second" if text.contains("Bearer token-2") => json("2"),
        "/second" => (401, "text/plain", Vec::new()),
        "/silent" => return std::future::pending().await,
        _ => (404, "text/plain", b"no such page".to_vec()),
    };
    let mut head = format!("HTTP/1.1 {status} R\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
    head.push_str("X-Twice: a\r\nX-Twice: b\r\nLocation: /json\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&body).await;
    let _ = stream.shutdown().await;
}

fn options(hosts: &[&str]) -> Options {
    Options {
        private_hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        connections: Vec::new(),
        timeout: Duration::from_mins(1),
        region: "us-east-1".to_owned(),
    }
}

fn client() -> HttpClient {
    HttpClient::new(options(&["127.0.0.1"])).unwrap()
}

fn get(server: &Server, path: &str) -> Value {
    json!({ "ApiEndpoint": format!("{}{path}", server.address), "Method": "GET" })
}

async fn failed(client: &HttpClient, parameters: &Value) -> (String, String) {
    let Failed { error, cause } = client.call(parameters, false).await.outcome.unwrap_err();
    (error, cause)
}

#[tokio::test]
async fn an_answer_becomes_a_result_of_aws_form() {
    let (server, client) = (Server::start().await, client());
    let mut parameters = get(&server, "/json");
    parameters["QueryParameters"] = json!({ "a": ["1", 2], "b": "ä &" });
    parameters["Headers"] = json!({ "X-One": "1", "X-Many": ["a", "b"] });
    let result = client.call(&parameters, false).await.outcome.unwrap();
    assert_eq!(
        (&result["ResponseBody"], &result["StatusCode"], &result["StatusText"]),
        (&json!({ "ok": true }), &json!(200), &json!("OK"))
    );
    assert_eq!(result["Headers"]["x-twice"], json!(["a", "b"]));
    let heard = &server.heard()[0];
    assert!(heard.starts_with("GET /json?a=1&a=2&b=%C3%A4+%26 HTTP/1.1"), "{heard}");
    for line in [
        "x-one: 1",
        "x-many: a",
        "x-many: b",
        "range: bytes=0-262144",
        "user-agent: Amazon|StepFunctions|HttpInvoke|us-east-1",
    ] {
        assert!(heard.contains(line), "{line}: {heard}");
    }
    for (path, body) in
        [("/problem", json!([1])), ("/broken", json!("{")), ("/text", json!("grün")), ("/empty", json!(""))]
    {
        let result = client.call(&get(&server, path), false).await.outcome.unwrap();
        assert_eq!(result["ResponseBody"], body, "{path}");
    }
}

#[tokio::test]
async fn a_body_is_json_a_text_or_a_form() {
    let (server, client) = (Server::start().await, client());
    let form = json!({ "RequestBodyEncoding": "URL_ENCODED", "RequestEncodingOptions": { "ArrayFormat": "BRACKETS" } });
    for (body, transform, kind, sent) in [
        (json!({ "a": [1] }), Value::Null, "application/json; charset=UTF-8", r#"{"a":[1]}"#),
        (json!("plain"), json!({ "RequestBodyEncoding": "NONE" }), "text/plain; charset=utf-8", "plain"),
        (json!({ "a": [1, 2] }), form, "application/x-www-form-urlencoded", "a%5B%5D=1&a%5B%5D=2"),
    ] {
        let mut parameters = get(&server, "/json");
        parameters["Method"] = json!("POST");
        parameters["RequestBody"] = body;
        if !transform.is_null() {
            parameters["Transform"] = transform;
        }
        client.call(&parameters, false).await.outcome.unwrap();
        let heard = server.heard().pop().unwrap();
        assert!(heard.contains(&format!("content-type: {kind}\r\n")) && heard.ends_with(sent), "{heard}");
    }
}

#[tokio::test]
async fn what_goes_wrong_has_an_error_name() {
    let (server, client) = (Server::start().await, client());
    for (path, error, cause) in [
        ("/nowhere", "States.Http.StatusCode.404", "no such page"),
        ("/gone", "States.Http.StatusCode.410", r#"{"error": "gone"}"#),
        ("/busy", "States.Http.StatusCode.503", "Service Unavailable"),
        // A redirect is not followed.
        ("/moved", "States.Http.StatusCode.302", "Found"),
        ("/bytes", "States.Runtime", "application/octet-stream is not supported"),
        ("/latin", "States.Runtime", "not UTF-8"),
        ("/large", "States.DataLimitExceeded", "maximum number of bytes"),
    ] {
        let (name, why) = failed(&client, &get(&server, path)).await;
        assert!(name == error && why.contains(cause), "{path}: {name}: {why}");
    }
    assert!(!server.heard().iter().any(|text| text.starts_with("GET /json")));

    let hasty = HttpClient::new(Options { timeout: Duration::from_millis(200), ..options(&["127.0.0.1"]) }).unwrap();
    let late = failed(&hasty, &get(&server, "/silent")).await;
    assert_eq!(late, ("States.Http.Socket".to_owned(), "the call took too long".to_owned()));

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (name, why) = failed(&client, &json!({ "ApiEndpoint": format!("http://{closed}/"), "Method": "GET" })).await;
    assert!(name == "States.Http.Socket" && why.contains("refused"), "{why}");
}

#[tokio::test]
async fn what_is_no_request_is_told_before_anything_is_sent() {
    let (server, client) = (Server::start().await, client());
    let with = |name: &str, value: Value| {
        let mut parameters = get(&server, "/json");
        parameters[name] = value;
        parameters
    };
    let form = |body: Value, encoding: &str, arrays: &str| {
        let mut parameters = with("RequestBody", body);
        parameters["Transform"] =
            json!({ "RequestBodyEncoding": encoding, "RequestEncodingOptions": { "ArrayFormat": arrays } });
        parameters
    };
    for (parameters, told) in [
        (json!([]), "must be an object"),
        (json!({ "Method": "GET" }), "'ApiEndpoint' is required"),
        (json!({ "ApiEndpoint": "https://example.com" }), "'Method' is required"),
        (with("Method", json!("BREW")), "'BREW' is not supported"),
        (with("Method", json!(1)), "'Method' must be a string"),
        (with("ApiEndpoint", json!("example.com")), "cannot be called"),
        (with("ApiEndpoint", json!("ftp://127.0.0.1/")), "must begin with https://"),
        (with("ApiEndpoint", json!("http://example.com/")), "must begin with https://"),
        (with("ApiEndpoint", json!("https://me:secret@example.com/")), "holds a user"),
        (with("Endpoint", json!("x")), "'Endpoint' is not supported"),
        (with("Headers", json!("x")), "'Headers' must be an object"),
        (with("Headers", json!({ "Host": "x" })), "'Host' cannot be set"),
        (with("Headers", json!({ "X-Amz-Date": "x" })), "'X-Amz-Date' cannot be set"),
        (with("Headers", json!({ "If-Match": "x" })), "'If-Match' cannot be set"),
        (with("Headers", json!({ "A b": "x" })), "'A b' cannot be sent"),
        (with("Headers", json!({ "A": "x\r\nB: y" })), "'A' cannot be sent"),
        (with("Headers", json!({ "A": {} })), "'A' cannot be sent"),
        (with("Headers", json!({ "Authorization": "x" })), "'Authorization' cannot be set"),
        (with("QueryParameters", json!(1)), "'QueryParameters' must be a text"),
        (with("QueryParameters", json!({ "q": {} })), "'q' must be a text or an array"),
        (form(json!([1]), "URL_ENCODED", "INDICES"), "must be an object"),
        (form(json!({}), "GZIP", "INDICES"), "'GZIP' is not supported"),
        (form(json!({}), "URL_ENCODED", "PIPES"), "'PIPES' is not supported"),
        (with("Authentication", json!({})), "must have a ConnectionArn"),
    ] {
        let (error, cause) = failed(&client, &parameters).await;
        assert!(error == "States.Runtime" && cause.contains(told), "{parameters}: {error}: {cause}");
    }
    let (error, cause) = failed(&client, &with("Authentication", json!({ "ConnectionArn": "none" }))).await;
    assert!(error == "Events.ConnectionResource.ResourceNotFound" && cause.contains("'none' does not exist"));
    assert!(server.heard().is_empty());
    for (given, sent) in [
        (json!("?a=1&b=%20"), "/json?a=1&b=+ "),
        (json!([{ "a": 1 }, "b=2"]), "/json?a=1&b=2 "),
        (json!([]), "/json "),
        (json!({}), "/json "),
    ] {
        client.call(&with("QueryParameters", given), false).await.outcome.unwrap();
        let heard = server.heard().pop().unwrap();
        assert!(heard.starts_with(&format!("GET {sent}")), "{heard}");
    }
}

#[tokio::test]
async fn data_of_a_connection_win_over_those_of_the_definition() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let rows = json!([{
        "name": "all", "type": "api_key", "header": "ApiKey", "value_file": file("key", "key_value"),
        "headers": { "Header-Param": "of-connection" },
        "query": { "QueryParam": { "file": file("query", "of-connection\n") } },
        "body": { "BodyParam": "of-connection" },
    }]);
    let connections: Vec<Connection> = serde_json::from_value(rows).unwrap();
    Connection::check(&connections).unwrap();
    let client = HttpClient::new(Options { connections, ..options(&["127.0.0.1"]) }).unwrap();
    let asked = |body: Value| {
        let mut parameters = get(&server, "/json");
        parameters["Method"] = json!("POST");
        parameters["Authentication"] = json!({ "ConnectionArn": "all" });
        parameters["Headers"] = json!({ "Request-Id": "mine", "Header-Param": "mine" });
        parameters["QueryParameters"] = json!({ "QueryParam": ["mine", "too"], "Other": "o" });
        if !body.is_null() {
            parameters["RequestBody"] = body;
        }
        parameters
    };
    let hidden = client.call(&asked(json!({ "Job": "j", "BodyParam": "mine" })), false).await;
    hidden.outcome.unwrap();
    let heard = server.heard().pop().unwrap();
    assert!(heard.starts_with("POST /json?Other=o&QueryParam=of-connection HTTP/1.1"), "{heard}");
    for line in ["apikey: key_value", "header-param: of-connection", "request-id: mine"] {
        assert!(heard.contains(line), "{line}: {heard}");
    }
    assert!(heard.ends_with(r#"{"Job":"j","BodyParam":"of-connection"}"#), "{heard}");
    let request = hidden.request.unwrap();
    assert!(!format!("{request:?}").contains("of-connection"), "{request:?}");
    // Without a body there is one of the connection's fields.
    client.call(&asked(Value::Null), false).await.outcome.unwrap();
    let heard = server.heard().pop().unwrap();
    assert!(heard.contains("content-type: application/json") && heard.ends_with(r#"{"BodyParam":"of-connection"}"#));
    for body in [json!("text"), json!([1])] {
        let (error, cause) = failed(&client, &asked(body)).await;
        assert!(error == "States.Runtime" && cause.contains("must be an object"), "{error}: {cause}");
    }
}

#[tokio::test]
async fn private_addresses_are_refused_by_number_and_by_name() {
    let client = HttpClient::new(options(&[])).unwrap();
    for endpoint in [
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        // Other ways to write 127.0.0.1.
        "https://2130706433/",
        "https://0x7f.1/",
        // Its name is looked up.
        "https://localhost/",
    ] {
        let (error, cause) = failed(&client, &json!({ "ApiEndpoint": endpoint, "Method": "GET" })).await;
        assert!(error == "States.Http.Socket" && cause.contains("no public address"), "{endpoint}: {error}: {cause}");
    }
}

#[tokio::test]
async fn connections_authorize_and_their_secrets_are_not_shown() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let rows = json!([
        { "name": "shop", "type": "basic", "username": "me", "password_file": secret("a", "pass\n"), "hosts": ["127.0.0.1"] },
        { "name": "other", "type": "basic", "username": "me", "password_file": secret("d", "p"), "hosts": ["a.example"] },
        { "name": "key", "type": "api_key", "header": "X-Api-Key", "value_file": secret("b", "k-1") },
        { "name": "crm", "type": "oauth", "token_url": format!("{}/token", server.address), "client_id": "me",
          "client_secret_file": secret("c", "s&t"), "scope": "all" },
    ]);
    let connections: Vec<Connection> = serde_json::from_value(rows).unwrap();
    Connection::check(&connections).unwrap();
    let client = HttpClient::new(Options { connections, ..options(&["127.0.0.1"]) }).unwrap();
    let with = |name: &str, path: &str| {
        let mut parameters = get(&server, path);
        let arn = format!("arn:aws:events:us-east-1:123456789012:connection/{name}/0b1c");
        parameters["Authentication"] = json!({ "ConnectionArn": arn });
        parameters
    };
    for (name, sent) in [
        ("shop", "authorization: Basic bWU6cGFzcw=="),
        ("key", "x-api-key: k-1"),
        ("crm", "authorization: Bearer token-1"),
    ] {
        let hidden = client.call(&with(name, "/json"), false).await;
        hidden.outcome.unwrap();
        assert!(server.heard().pop().unwrap().contains(sent), "{name}");
        let value = sent.rsplit(' ').next().unwrap();
        assert!(!hidden.request.unwrap().headers.contains(value), "{name}");
        let shown = client.call(&with(name, "/json"), true).await;
        assert!(shown.request.unwrap().headers.contains(value), "{name}");
    }
    let asked: Vec<String> = server.heard().into_iter().filter(|text| text.starts_with("POST /token")).collect();
    assert_eq!(asked.len(), 1, "one token for two calls");
    assert!(asked[0].ends_with("grant_type=client_credentials&client_id=me&client_secret=s%26t&scope=all"));
    // The first token is refused: a second one is fetched, once.
    let result = client.call(&with("crm", "/second"), false).await.outcome.unwrap();
    assert_eq!(result["ResponseBody"], json!(2));
    let (error, cause) = failed(&client, &with("other", "/json")).await;
    assert!(error.ends_with("AccessDenied") && cause.contains("not for the host '127.0.0.1'"), "{cause}");
    // A new secret counts at once.
    secret("b", "k-2");
    client.call(&with("key", "/json"), false).await.outcome.unwrap();
    assert!(server.heard().pop().unwrap().contains("x-api-key: k-2"));
}

#[test]
fn a_row_that_is_no_connection_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "s").unwrap();
    for (row, told) in [
        (json!({ "name": "a", "type": "digest" }), "the type 'digest'"),
        (json!({ "name": "a", "type": "basic", "username": "me" }), "needs password_file"),
        (json!({ "name": "a", "type": "basic", "username": "me", "password": "x" }), "unknown field `password`"),
        (
            json!({ "name": "a", "type": "api_key", "header": "X", "value_file": file, "username": "me" }),
            "a key of another type",
        ),
    ] {
        let why = serde_json::from_value::<Connection>(row.clone()).unwrap_err().to_string();
        assert!(why.contains(told), "{row}: {why}");
    }
    let key = |name: &str, header: &str, file: &std::path::Path| {
        let row = json!({ "name": name, "type": "api_key", "header": header, "value_file": file });
        serde_json::from_value::<Connection>(row).unwrap()
    };
    let missing = folder.path().join("missing");
    for (rows, told) in [
        (vec![key("", "X", &file)], "empty"),
        (vec![key("a", "X", &file), key("a", "X", &file)], "a second time"),
        (vec![key("a", "X y", &file)], "no name of a header"),
        (vec![key("a", "X", &missing)], "cannot be read"),
    ] {
        let why = Connection::check(&rows).unwrap_err();
        assert!(why.row == rows.len() - 1 && why.why.contains(told), "{why:?}");
    }
}

#[tokio::test]
async fn a_task_in_the_queue_is_answered_with_its_token() {
    let server = Server::start().await;
    let bus = EmbeddedBus::new();
    let shared: Arc<dyn TaskBus> = Arc::new(bus.clone());
    tokio::spawn(run(shared, client(), QueueKind::Classic));
    let mut answers = bus.worker("answers", 10);
    for (path, status, told) in
        [("/json", "success", r#""StatusCode":200"#), ("/gone", "failure", r#""error":"States.Http.StatusCode.410""#)]
    {
        let properties = Properties {
            reply_to: Some("answers".into()),
            correlation_id: Some("the-token".into()),
            ..Properties::default()
        };
        let message = Message { body: get(&server, path).to_string().into_bytes(), properties };
        let to = Address { exchange: String::new(), routing_key: HTTP_TASKS.to_owned() };
        bus.publish(to, message).await.unwrap();
        let answer = answers.next().await.unwrap();
        let said = &answer.message.properties;
        assert_eq!(said.correlation_id.as_deref(), Some("the-token"));
        assert_eq!(said.headers.get("task-status").and_then(HeaderValue::as_text), Some(status));
        let body = String::from_utf8(answer.message.body.clone()).unwrap();
        assert!(body.contains(told), "{body}");
        answer.settle(Settlement::Ack);
    }
}

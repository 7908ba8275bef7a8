//! Connections: what authorizes a call, by name, from the settings. Secrets are read from their files at each use, so
//! that a new one counts at once.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::Failed;
use super::client;
use super::form::escape;
use super::request::Request;

/// A token is renewed so long before it ends: it is on its way for a while.
const BEFORE_ITS_END: Duration = Duration::from_secs(30);
/// Life of a token whose server does not tell it.
const UNTOLD_LIFE: Duration = Duration::from_mins(5);

/// One row `[[connections]]` of the settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Row")]
pub struct Connection {
    pub name: String,
    /// The hosts that it is for; empty: any.
    pub hosts: Vec<String>,
    pub authorization: Authorization,
    pub adds: Adds,
}

/// The parameters that a connection adds to each request beside its authorization (AWS: `InvocationHttpParameters`).
/// Its values win over those of the definition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adds {
    pub headers: BTreeMap<String, Given>,
    pub query: BTreeMap<String, Given>,
    /// Fields of the body.
    pub body: BTreeMap<String, Given>,
}

/// A value as it is, or a file with a secret one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Given {
    Text(String),
    File { file: PathBuf },
}

impl Adds {
    fn all(&self) -> impl Iterator<Item = &Given> {
        self.headers.values().chain(self.query.values()).chain(self.body.values())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorization {
    Basic {
        username: String,
        password_file: PathBuf,
    },
    /// A header with a secret value.
    ApiKey {
        header: String,
        value_file: PathBuf,
    },
    /// OAuth 2.0, client credentials.
    OAuth {
        token_url: String,
        client_id: String,
        client_secret_file: PathBuf,
        scope: String,
    },
}

/// As it is written: each type has its own keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    hosts: Vec<String>,
    username: Option<String>,
    password_file: Option<PathBuf>,
    header: Option<String>,
    value_file: Option<PathBuf>,
    token_url: Option<String>,
    client_id: Option<String>,
    client_secret_file: Option<PathBuf>,
    scope: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Given>,
    #[serde(default)]
    query: BTreeMap<String, Given>,
    #[serde(default)]
    body: BTreeMap<String, Given>,
}

impl TryFrom<Row> for Connection {
    type Error = String;

    fn try_from(mut row: Row) -> Result<Self, String> {
        let kind = row.kind.clone();
        let lacks = |key: &str| format!("a connection of type {kind} needs {key}");
        let authorization = match kind.as_str() {
            "basic" => Authorization::Basic {
                username: row.username.take().ok_or_else(|| lacks("username"))?,
                password_file: row.password_file.take().ok_or_else(|| lacks("password_file"))?,
            },
            "api_key" => Authorization::ApiKey {
                header: row.header.take().ok_or_else(|| lacks("header"))?,
                value_file: row.value_file.take().ok_or_else(|| lacks("value_file"))?,
            },
            "oauth" => Authorization::OAuth {
                token_url: row.token_url.take().ok_or_else(|| lacks("token_url"))?,
                client_id: row.client_id.take().ok_or_else(|| lacks("client_id"))?,
                client_secret_file: row.client_secret_file.take().ok_or_else(|| lacks("client_secret_file"))?,
                scope: row.scope.take().unwrap_or_default(),
            },
            other => return Err(format!("a connection has the type '{other}'; there are: basic, api_key, oauth")),
        };
        let Row {
            username, password_file, header, value_file, token_url, client_id, client_secret_file, scope, ..
        } = row;
        let texts = [username, header, token_url, client_id, scope];
        let files = [password_file, value_file, client_secret_file];
        if texts.iter().any(Option::is_some) || files.iter().any(Option::is_some) {
            return Err(format!("a connection of type {kind} has a key of another type"));
        }
        let adds = Adds { headers: row.headers, query: row.query, body: row.body };
        Ok(Self { name: row.name, hosts: row.hosts, authorization, adds })
    }
}

/// A fault of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionError {
    pub row: usize,
    pub why: String,
}

impl Connection {
    /// Looks whether a list of rows can be used.
    ///
    /// # Errors
    /// The first row that cannot.
    pub fn check(rows: &[Self]) -> Result<(), ConnectionError> {
        for (row, connection) in rows.iter().enumerate() {
            let wrong = |why: String| ConnectionError { row, why };
            if connection.name.is_empty() || connection.name.contains(['/', ':']) {
                return Err(wrong("has a name that is empty or holds / or :".to_owned()));
            }
            if rows[..row].iter().any(|other| other.name == connection.name) {
                return Err(wrong(format!("has the name '{}' a second time", connection.name)));
            }
            match &connection.authorization {
                Authorization::ApiKey { header, .. } if HeaderName::from_bytes(header.as_bytes()).is_err() => {
                    return Err(wrong(format!("has a header '{header}' that is no name of a header")));
                }
                Authorization::OAuth { token_url, .. } if reqwest::Url::parse(token_url).is_err() => {
                    return Err(wrong("has a token_url that is no URL".to_owned()));
                }
                _ => {}
            }
            if let Some(header) = connection.adds.headers.keys().find(|h| HeaderName::from_bytes(h.as_bytes()).is_err())
            {
                return Err(wrong(format!("has a header '{header}' that is no name of a header")));
            }
            let added = connection.adds.all().filter_map(|given| match given {
                Given::File { file } => Some(file),
                Given::Text(_) => None,
            });
            for file in std::iter::once(connection.authorization.secret_file()).chain(added) {
                std::fs::read_to_string(file)
                    .map_err(|why| wrong(format!("names {}, which cannot be read: {why}", file.display())))?;
            }
        }
        Ok(())
    }
}

impl Authorization {
    fn secret_file(&self) -> &PathBuf {
        match self {
            Self::Basic { password_file: file, .. }
            | Self::ApiKey { value_file: file, .. }
            | Self::OAuth { client_secret_file: file, .. } => file,
        }
    }
}

/// All connections, and the tokens that they have.
pub(super) struct Connections {
    all: HashMap<String, Connection>,
    /// One of each connection at most.
    tokens: Mutex<HashMap<String, (String, Instant)>>,
}

impl Connections {
    pub(super) fn new(rows: Vec<Connection>) -> Self {
        let all = rows.into_iter().map(|row| (row.name.clone(), row)).collect();
        Self { all, tokens: Mutex::default() }
    }

    /// True where another token may help a request that was refused.
    pub(super) fn renews(&self, request: &Request) -> bool {
        let of = request.connection.as_ref().and_then(|name| self.all.get(name));
        matches!(of, Some(Connection { authorization: Authorization::OAuth { .. }, .. }))
    }

    /// The request with what its connection adds; `anew`: with another token than the last.
    pub(super) async fn authorize(
        &self,
        request: &Request,
        client: &reqwest::Client,
        anew: bool,
    ) -> Result<Request, Failed> {
        let mut request = request.clone();
        let Some(name) = request.connection.clone() else { return Ok(request) };
        let Some(Connection { hosts, authorization, adds, .. }) = self.all.get(&name) else {
            let why = format!("The connection '{name}' does not exist; the settings have [[connections]]");
            return Err(Failed::connection("ResourceNotFound", why));
        };
        let host = request.url.host_str().unwrap_or_default();
        if !hosts.is_empty() && !hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)) {
            let why = format!("The connection '{name}' is not for the host '{host}'");
            return Err(Failed::connection("AccessDenied", why));
        }
        self.add(&mut request, &name, adds).await?;
        let secret = &secret(&name, authorization.secret_file()).await?;
        let (header, value) = match authorization {
            Authorization::Basic { username, .. } => (AUTHORIZATION, basic(username, secret)),
            Authorization::ApiKey { header, .. } => {
                let header =
                    HeaderName::from_bytes(header.as_bytes()).map_err(|e| Failed::parameters(e.to_string()))?;
                (header, secret.to_owned())
            }
            Authorization::OAuth { token_url, client_id, scope, .. } => {
                let mut form = format!(
                    "grant_type=client_credentials&client_id={}&client_secret={}",
                    escape(client_id),
                    escape(secret)
                );
                if !scope.is_empty() {
                    form = format!("{form}&scope={}", escape(scope));
                }
                let token = self.token(&name, token_url, form, client, anew).await?;
                (AUTHORIZATION, format!("Bearer {token}"))
            }
        };
        request.headers.insert(header, header_value(&name, &value)?);
        Ok(request)
    }

    async fn add(&self, request: &mut Request, name: &str, adds: &Adds) -> Result<(), Failed> {
        for (header, given) in &adds.headers {
            let key = HeaderName::from_bytes(header.as_bytes()).map_err(|e| Failed::parameters(e.to_string()))?;
            request.headers.insert(key, header_value(name, &given.value(name).await?)?);
        }
        for (parameter, given) in &adds.query {
            request.set_query(parameter, &given.value(name).await?);
        }
        for (field, given) in &adds.body {
            request.set_field(field, &given.value(name).await?)?;
        }
        Ok(())
    }

    async fn token(
        &self,
        name: &str,
        url: &str,
        form: String,
        client: &reqwest::Client,
        anew: bool,
    ) -> Result<String, Failed> {
        // Held while a token is fetched: calls at the same time share it.
        let mut tokens = self.tokens.lock().await;
        if let Some((token, until)) = tokens.get(name).filter(|_| !anew)
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let failed = |why: String| {
            Failed::connection("InvalidConnectionState", format!("The connection '{name}' got no token: {why}"))
        };
        let answer = client::post_form(client, url, form).await.map_err(failed)?;
        let Some(token) = answer.get("access_token").and_then(Value::as_str) else {
            return Err(failed("the answer has no access_token".to_owned()));
        };
        let told = answer.get("expires_in").and_then(|n| n.as_u64().or_else(|| n.as_str()?.parse().ok()));
        let life = told.map_or(UNTOLD_LIFE, |seconds| Duration::from_secs(seconds.min(86_400)));
        tokens.insert(name.to_owned(), (token.to_owned(), Instant::now() + life.saturating_sub(BEFORE_ITS_END)));
        Ok(token.to_owned())
    }
}

impl Given {
    async fn value(&self, connection: &str) -> Result<String, Failed> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File { file } => secret(connection, file).await,
        }
    }
}

/// A secret is read at each use, so that a new one counts at once.
async fn secret(connection: &str, file: &Path) -> Result<String, Failed> {
    let text = tokio::fs::read_to_string(file).await.map_err(|why| {
        tracing::warn!(
            event = "connection.unusable",
            connection = %connection,
            error = %why,
            "the secret of a connection cannot be read"
        );
        Failed::connection("InternalError", format!("The secret of the connection '{connection}' cannot be read"))
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Never shown in a log.
fn header_value(connection: &str, text: &str) -> Result<HeaderValue, Failed> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Failed::parameters(format!("A value of the connection '{connection}' is no text for a header")))?;
    value.set_sensitive(true);
    Ok(value)
}

fn basic(username: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(format!("{username}:{password}")))
}

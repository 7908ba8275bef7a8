//! Requests of the console: each is guarded, routed and answered here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::{Method, StatusCode, header};
use actix_web::{FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder, web};
use maud::Markup;

use crate::api::{Class, SharedApi, sign_in};
use crate::engine::EngineHandle;
use crate::interpreter::event::By;
use crate::telemetry::fields;

use super::gzip::Body;
use super::pages::layout::{self, Frame, Tab, Who};
use super::pages::sign_in as sign_in_page;
use super::proxy::{Options, Proxy};
use super::read::stories::Stories;
use super::read::{self, Asking};
use super::sessions::Sessions;
use super::shown::{Made, Shown};
use super::{act, assets, guard, link, live};

/// The console of one server.
pub struct Console {
    pub(super) engine: EngineHandle,
    pub(super) sessions: Sessions,
    pub(super) hub: Arc<live::Hub>,
    pub(super) looks: read::Looks,
    pub(super) proxy: Option<Proxy>,
    pub(super) stories: Stories,
    pub(super) shown: Shown,
}

/// The fields of a form, in order.
pub(super) type Fields = Vec<(String, String)>;

/// A form holds an output of 256 KiB, and each of its bytes may be written as three.
const FORM_BYTES_MAX: usize = 1_048_576;
const HTML: &str = "text/html; charset=utf-8";
/// A wrong try is answered after so long.
const WRONG_TAKES: Duration = Duration::from_millis(500);

impl Console {
    /// # Errors
    /// The setting of the proxy that cannot be used.
    pub fn new(engine: EngineHandle, options: &Options) -> Result<web::Data<Self>, String> {
        let proxy = Proxy::new(options)?;
        let hub = live::Hub::new(engine.clone(), options.viewers_max);
        let (sessions, looks, stories) = (Sessions::default(), read::Looks::default(), Stories::default());
        let shown = Shown::default();
        Ok(web::Data::new(Self { engine, sessions, hub, looks, proxy, stories, shown }))
    }

    /// Ends the live streams, so that a stop need not wait for them.
    pub fn close(&self) {
        self.hub.close();
    }

    /// The routes, for the API's server.
    pub fn routes(console: &web::Data<Self>) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static + use<> {
        let console = console.clone();
        move |config: &mut web::ServiceConfig| {
            config
                .app_data(console.clone())
                .app_data(web::FormConfig::default().limit(FORM_BYTES_MAX))
                .service(web::resource("/a").to(link::serve))
                .service(web::resource(["/console", "/console/{rest:.*}"]).to(serve));
        }
    }
}

/// An answer of the console.
pub(super) enum Reply {
    /// With the status, title and tab of the page.
    Page(Page),
    /// A page as text.
    Made(Body),
    /// To an address relative to this one.
    Moved(String),
    Other(HttpResponse),
}

pub(super) struct Page {
    pub status: StatusCode,
    pub title: String,
    pub tab: Tab,
    pub topics: String,
    pub every: u32,
    pub content: Markup,
}

impl Page {
    pub fn new(title: impl Into<String>, tab: Tab, content: Markup) -> Self {
        Self { status: StatusCode::OK, title: title.into(), tab, topics: String::new(), every: 0, content }
    }

    pub fn live(self, topics: impl Into<String>, every: u32) -> Self {
        Self { topics: topics.into(), every, ..self }
    }

    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }
}

impl Reply {
    pub fn trouble(status: StatusCode, title: &str, text: &str) -> Self {
        Self::Page(Page::new(title, Tab::Nowhere, layout::trouble(title, text)).with_status(status))
    }

    pub fn missing(what: &str) -> Self {
        Self::trouble(StatusCode::NOT_FOUND, "Not found", what)
    }
}

/// Every request below `/console`.
async fn serve(
    request: HttpRequest,
    payload: web::Payload,
    api: web::Data<SharedApi>,
    console: web::Data<Console>,
) -> HttpResponse {
    let rest = request.match_info().get("rest").unwrap_or_default().to_owned();
    let path: Vec<&str> = rest.split('/').collect();
    if let ["assets", name] = path[..]
        && let Some(asset) = assets::find(name)
    {
        let mut response = asset.body.answer(&request, typed(StatusCode::OK, asset.content_type));
        guard::protect(&mut response, true);
        return response;
    }
    let (reply, who) = match api.check_host(&request) {
        Err(why) => (Reply::trouble(StatusCode::MISDIRECTED_REQUEST, "Not here", &why), Who::default()),
        Ok(()) => guarded(&request, payload, &api, &console, &path).await,
    };
    let mut response = match reply {
        Reply::Other(response) => response,
        Reply::Moved(to) => HttpResponse::SeeOther().insert_header((header::LOCATION, to)).finish(),
        Reply::Made(html) => html.answer(&request, typed(StatusCode::OK, HTML)),
        Reply::Page(page) => {
            let html = Body::new(framed(&console, &path, &who, &page).await);
            html.answer(&request, typed(page.status, HTML))
        }
    };
    guard::protect(&mut response, false);
    response
}

fn typed(status: StatusCode, content_type: &str) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.content_type(content_type);
    response
}

/// A page with everything around it.
async fn framed(console: &Console, path: &[&str], who: &Who, page: &Page) -> String {
    let up = "../".repeat(path.len().saturating_sub(1));
    let waiting = if page.tab == Tab::Nowhere { None } else { read::waiting(console).await };
    let Page { title, tab, topics, every, .. } = page;
    let frame = Frame { title, tab: *tab, up: &up, who, waiting, topics, every: *every };
    layout::page(&frame, &page.content).into_string()
}

/// A page that was asked for, made once for all who look at the same.
async fn shown(asking: &Asking<'_>, path: &[&str]) -> Reply {
    let console = asking.console;
    let address = asking.request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let place = console.shown.place(&address, asking.who);
    let mut made = place.lock().await;
    if let Some(made) = made.as_ref().filter(|made| made.is_good(&console.hub)) {
        return Reply::Made(made.html.clone());
    }
    *made = None;
    let number = console.hub.now();
    match get(asking, path).await {
        Reply::Page(page) if page.status == StatusCode::OK && !page.topics.is_empty() => {
            let html = Body::new(framed(console, path, asking.who, &page).await);
            *made = Some(Made::new(html.clone(), page.topics, number));
            Reply::Made(html)
        }
        other => other,
    }
}

async fn guarded(
    request: &HttpRequest,
    payload: web::Payload,
    api: &web::Data<SharedApi>,
    console: &web::Data<Console>,
    path: &[&str],
) -> (Reply, Who) {
    if let Some(why) = guard::closed_to(request, api, console) {
        return (Reply::trouble(StatusCode::FORBIDDEN, "Not from here", why), Who::default());
    }
    let is_post = request.method() == Method::POST;
    if !is_post && !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (
            Reply::trouble(StatusCode::METHOD_NOT_ALLOWED, "Not so", "The console takes GET and POST."),
            Who::default(),
        );
    }
    if is_post && !guard::comes_from_our_page(request) {
        let text = "This form does not come from a page of this server.";
        return (Reply::trouble(StatusCode::FORBIDDEN, "Refused", text), Who::default());
    }
    if *path == ["sign-in"] && api.has_keys() {
        return (signing_in(request, payload, api, console).await, Who::default());
    }
    let Some(who) = guard::who(request, api, console) else {
        if !api.has_keys() {
            let text = "The proxy in front of this server names nobody, or a person without the right to read.";
            return (Reply::trouble(StatusCode::FORBIDDEN, "Not for you", text), Who::default());
        }
        let root = "../".repeat(path.len().saturating_sub(1));
        let to = if request.uri().path().ends_with("/console") {
            "console/sign-in".to_owned()
        } else {
            format!("{root}sign-in")
        };
        let reply = if *path == ["live"] || is_post {
            Reply::trouble(StatusCode::FORBIDDEN, "Signed out", "Sign in again; nothing was done.")
        } else {
            Reply::Moved(to)
        };
        return (reply, Who::default());
    };
    let reply = if is_post {
        match fields(request, payload).await {
            Ok(form) => {
                let reply = act::post(&Asking { request, api, console, who: &who }, path, &form).await;
                // Not everything that a form changes is in the live stream.
                console.shown.forget();
                reply
            }
            Err(reply) => reply,
        }
    } else if *path == ["live"] {
        stream(&Asking { request, api, console, who: &who })
    } else {
        shown(&Asking { request, api, console, who: &who }, path).await
    };
    (reply, who)
}

/// The fields of a form, within the bound.
pub(super) async fn fields(request: &HttpRequest, payload: web::Payload) -> Result<Fields, Reply> {
    let form = web::Form::<Fields>::from_request(request, &mut payload.into_inner()).await;
    form.map(web::Form::into_inner).map_err(|_| {
        Reply::trouble(
            StatusCode::BAD_REQUEST,
            "Not readable",
            "This form is no form of the console's, or holds more than 1 MB.",
        )
    })
}

pub(super) fn field<'f>(form: &'f Fields, name: &str) -> &'f str {
    form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

async fn get(asking: &Asking<'_>, path: &[&str]) -> Reply {
    let done = match path {
        [""] => {
            let bare = asking.request.uri().path().ends_with("/console");
            return Reply::Moved(if bare { "console/executions".to_owned() } else { "executions".to_owned() });
        }
        ["executions"] => read::executions::list(asking).await,
        ["executions", id] => read::execution::one(asking, id).await,
        ["executions", id, "runs", run] => read::map_run::show(asking, id, run).await,
        ["executions", id, "fork"] => read::fork::form(asking, id, None).await,
        ["bulk"] => read::bulk::list(asking).await,
        ["bulk", "new"] => {
            let action = read::bulk::action(&asking.query("action"));
            read::bulk::plan(asking, action, &asking.query("q"), None).await
        }
        ["bulk", id] => read::bulk::one(asking, id).await,
        ["inbox"] => read::inbox::list(asking, None).await,
        ["inbox", "answered"] => read::inbox::answered(asking).await,
        ["inbox", task] => read::inbox::list(asking, Some((task, None))).await,
        ["machines"] => read::machines::list(asking).await,
        ["machines", name] => read::machines::one(asking, name, None).await,
        ["machines", name, "edit"] => read::editor::machine(asking, name, None).await,
        ["machines", name, "diff"] => read::editor::difference(asking, name).await,
        ["new-machine"] => return read::editor::new(asking, None),
        ["queues"] => read::queues::list(asking).await,
        ["parked"] => read::parked::list(asking).await,
        ["parked", id] => read::parked::one(asking, id, None).await,
        ["system"] => read::system::show(asking).await,
        _ => return Reply::missing("The console has no such page."),
    };
    done.unwrap_or_else(|error| {
        tracing::warn!(%error, "a page of the console could not be made");
        Reply::trouble(StatusCode::SERVICE_UNAVAILABLE, "Not now", &error.to_string())
    })
}

fn stream(asking: &Asking<'_>) -> Reply {
    let topics = asking.query("topics");
    let response = match asking.console.hub.view(&topics) {
        Some(events) => HttpResponse::Ok().content_type("text/event-stream").streaming(events),
        None => HttpResponse::ServiceUnavailable().insert_header((header::RETRY_AFTER, "30")).finish(),
    };
    Reply::Other(response)
}

async fn signing_in(
    request: &HttpRequest,
    payload: web::Payload,
    api: &web::Data<SharedApi>,
    console: &web::Data<Console>,
) -> Reply {
    let form = |why: Option<&str>| Page::new("Sign in", Tab::Nowhere, sign_in_page::form(why));
    if request.method() != Method::POST {
        return Reply::Page(form(None));
    }
    let given = match fields(request, payload).await {
        Ok(given) => given,
        Err(reply) => return reply,
    };
    let now = Instant::now();
    if console.sessions.is_shut(now) {
        let why = "There were too many wrong tries. Wait a minute.";
        return Reply::Page(form(Some(why)).with_status(StatusCode::TOO_MANY_REQUESTS));
    }
    let code = field(&given, "code").trim();
    let key = if code.is_empty() {
        Some(field(&given, "key").to_owned()).filter(|key| api.is_secret_of(key, field(&given, "secret")))
    } else {
        // A key that was taken away since then has no rights any more.
        let taken = sign_in::take(&**console.engine.catalog(), code, console.engine.clock().now()).await;
        taken.ok().flatten().filter(|key| api.key_may(key, Class::Read))
    };
    let Some(key) = key else {
        console.sessions.wrong(now);
        tokio::time::sleep(WRONG_TAKES).await;
        tracing::warn!({ fields::EVENT } = "console.denied", "a sign-in to the console with a wrong key or secret");
        let why = if code.is_empty() {
            "This key and secret do not belong together."
        } else {
            "This code was used already, or is older than two minutes. Run reveille console once more."
        };
        return Reply::Page(form(Some(why)).with_status(StatusCode::FORBIDDEN));
    };
    let session = console.sessions.begin(&key, now);
    let by = By::Person(key.as_str().into());
    tracing::info!(
        { fields::EVENT } = "console.signed_in",
        { fields::TASK_BY } = %by,
        "a person signed in to the console"
    );
    let response = HttpResponse::SeeOther()
        .insert_header((header::LOCATION, "executions"))
        .insert_header((header::SET_COOKIE, guard::cookie(request, &session)))
        .finish();
    Reply::Other(response)
}

pub(super) fn sign_out(asking: &Asking<'_>) -> Reply {
    if let Some(session) = guard::session(asking.request) {
        asking.console.sessions.end(&session);
    }
    let response = HttpResponse::SeeOther()
        .insert_header((header::LOCATION, "sign-in"))
        .insert_header((header::SET_COOKIE, guard::cookie(asking.request, "")))
        .finish();
    Reply::Other(response)
}

//! The page of an approval link, at `/a`. The address of a link has its code in the fragment, which no browser sends: a
//! GET cannot act and shows the same page to all. The page sends the code with a form, sees what the
//! task is about, and acts with a button.

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use crate::api::{SharedApi, forms, links};
use crate::clock::Timestamp;
use crate::engine::{AskedTask, EngineError, Link};
use crate::forms::Form;
use crate::interpreter::event::By;
use crate::telemetry::fields;

use super::pages::form::Entered;
use super::pages::layout::{self, Frame, Tab, Who};
use super::pages::link as page;
use super::serve::{Console, Fields, Page, Reply, field, fields as read_form};
use super::{answers, guard, read, task_forms};

/// Every request for `/a`.
pub async fn serve(
    request: HttpRequest,
    payload: web::Payload,
    api: web::Data<SharedApi>,
    console: web::Data<Console>,
) -> HttpResponse {
    let reply = match api.check_host(&request) {
        Err(why) => Reply::trouble(StatusCode::MISDIRECTED_REQUEST, "Not here", &why),
        Ok(()) => guarded(&request, payload, &api, &console).await,
    };
    let mut response = match reply {
        Reply::Other(response) => response,
        Reply::Made(html) => html.answer(&request, HttpResponse::Ok()),
        Reply::Moved(to) => HttpResponse::SeeOther().insert_header((header::LOCATION, to)).finish(),
        Reply::Page(page) => {
            let who = Who::default();
            let frame = Frame {
                title: &page.title,
                tab: Tab::Nowhere,
                up: "console/",
                who: &who,
                waiting: None,
                topics: "",
                every: 0,
            };
            let html = layout::page(&frame, &page.content).into_string();
            HttpResponse::build(page.status).content_type("text/html; charset=utf-8").body(html)
        }
    };
    guard::protect(&mut response, false);
    response
}

fn plain(title: &str, status: StatusCode, content: maud::Markup) -> Reply {
    Reply::Page(Page::new(title, Tab::Nowhere, content).with_status(status))
}

fn said(status: StatusCode, title: &str, text: &str) -> Reply {
    plain(title, status, page::said(title, text))
}

async fn guarded(
    request: &HttpRequest,
    payload: web::Payload,
    api: &web::Data<SharedApi>,
    console: &web::Data<Console>,
) -> Reply {
    if let Some(why) = guard::closed_to(request, api, console) {
        return said(StatusCode::FORBIDDEN, "Not from here", why);
    }
    match *request.method() {
        Method::GET | Method::HEAD => return plain("Your answer", StatusCode::OK, page::code(None)),
        Method::POST => {}
        _ => return said(StatusCode::METHOD_NOT_ALLOWED, "Not so", "This page takes GET and POST."),
    }
    if !guard::comes_from_our_page(request) {
        return said(StatusCode::FORBIDDEN, "Refused", "This form does not come from a page of this server.");
    }
    let given = match read_form(request, payload).await {
        Ok(given) => given,
        Err(reply) => return reply,
    };
    opened(request, api, console, &given).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the page of an approval link could not be made");
        let text = "The server cannot answer now. Nothing was done; try again in a minute.";
        said(StatusCode::SERVICE_UNAVAILABLE, "Not now", text)
    })
}

/// A link whose code is genuine and was not withdrawn.
struct Opened {
    code: String,
    id: String,
    link: Link,
}

async fn opened(
    request: &HttpRequest,
    api: &web::Data<SharedApi>,
    console: &web::Data<Console>,
    given: &Fields,
) -> Result<Reply, EngineError> {
    let engine = &console.engine;
    // A person may paste the whole address.
    let code = field(given, "code").trim();
    let code = code.rsplit('#').next().unwrap_or_default().to_owned();
    let Ok(link) = engine.open_link(&code) else {
        let why = "This link is not one of this server's, or a part of it is missing. Copy the whole address.";
        return Ok(plain("Your answer", StatusCode::BAD_REQUEST, page::code(Some(why))));
    };
    let id = engine.link_id(&code);
    if links::is_withdrawn(engine, &id).await? {
        let text = format!("It was withdrawn. Ask {} for another one.", link.maker);
        return Ok(said(StatusCode::GONE, "This link does nothing any more", &text));
    }
    let opened = Opened { code, id, link };
    let Some(asked) = engine.asked(opened.link.task).await? else { return over(console, &opened.link).await };
    if engine.clock().now().millis() >= opened.link.until {
        let until = Timestamp::from_millis(opened.link.until).to_jiff().strftime("%Y-%m-%d %H:%M UTC").to_string();
        let text = format!("It was good until {until}. Ask {} for another one.", opened.link.maker);
        return Ok(said(StatusCode::GONE, "This link does nothing any more", &text));
    }
    let Ok(Some(form)) = forms::of(&**engine.catalog(), &asked).await? else {
        let text = "The task has no form that can be shown. Ask the person who sent you the link.";
        return Ok(said(StatusCode::NOT_FOUND, "Nothing to show", text));
    };
    let signed_in = if form.sign_in { guard::who(request, api, console) } else { None };
    if form.sign_in && !signed_in.as_ref().is_some_and(|who| who.complete) {
        return Ok(plain("Sign in", StatusCode::FORBIDDEN, page::sign_in_first(signed_in.is_some())));
    }
    if field(given, "kind") == "form" {
        let by = signed_in.map_or_else(|| of_link(&opened.link), |who| who.by());
        return act(api, console, &opened, (asked, by), &form, given).await;
    }
    tracing::info!(
        { fields::EVENT } = "link.opened",
        { fields::LINK_ID } = opened.id,
        { fields::LINK_FOR } = opened.link.audience,
        "an approval link was opened"
    );
    Ok(shown(&opened, &asked, &form, None, None))
}

fn shown(opened: &Opened, asked: &AskedTask, form: &Form, entered: Option<&Entered>, why: Option<&str>) -> Reply {
    let content = page::task(&page::Asked {
        form,
        state: &asked.task.wait.state,
        code: &opened.code,
        link: &opened.link,
        entered,
        why,
    });
    plain(form.title.as_deref().unwrap_or(&asked.task.wait.state), StatusCode::OK, content)
}

/// A person who holds a link, and is known by nothing else.
fn of_link(link: &Link) -> By {
    By::Link { audience: link.audience.as_str().into(), maker: link.maker.as_str().into() }
}

async fn act(
    api: &web::Data<SharedApi>,
    console: &web::Data<Console>,
    opened: &Opened,
    (asked, by): (AskedTask, By),
    form: &Form,
    given: &Fields,
) -> Result<Reply, EngineError> {
    let n = field(given, "action").parse::<usize>().unwrap_or(usize::MAX);
    let allowed = n < 16 && opened.link.actions & (1 << n) != 0;
    let Some(action) = form.actions.get(n).filter(|_| allowed) else {
        return Ok(shown(opened, &asked, form, None, Some("Choose one of the buttons.")));
    };
    let entered = |wrong| Entered { fields: given.clone(), wrong };
    let (operation, mut input, _) = match task_forms::ended(form, given) {
        Ok(ended) => ended,
        Err(wrong) => return Ok(shown(opened, &asked, form, Some(&entered(wrong)), None)),
    };
    input.insert("taskToken".to_owned(), json!(asked.task.token));
    let done = api.complete_by_link(operation, input, by.clone()).await;
    tracing::info!(
        { fields::EVENT } = "link.used",
        { fields::LINK_ID } = opened.id,
        { fields::LINK_FOR } = opened.link.audience,
        { fields::ERROR_NAME } = done.as_ref().err().map(|error| error.kind),
        "a person answered by an approval link"
    );
    match done {
        Ok(_) => {
            let (state, said_by) = (asked.task.wait.state.clone(), by.to_string());
            answers::keep(&console.engine, &asked.row, opened.link.task, &state, said_by, &action.label).await;
            Ok(plain("Thank you", StatusCode::OK, page::thanks(&action.label)))
        }
        // Another one was first.
        Err(error) if matches!(error.kind, "TaskTimedOut" | "TaskDoesNotExist") => over(console, &opened.link).await,
        Err(error) => Ok(shown(opened, &asked, form, Some(&entered(Vec::new())), Some(&error.message))),
    }
}

/// The task does not wait any more: who was first, or what else became of it.
async fn over(console: &web::Data<Console>, link: &Link) -> Result<Reply, EngineError> {
    let title = "This question is closed";
    let Some(row) = console.engine.journal().execution(link.task.execution).await? else {
        let text = "It was asked long ago, and is not kept any more. There is nothing to do.";
        return Ok(said(StatusCode::GONE, title, text));
    };
    let told = read::execution::told(console, &row).await?;
    let visit = told.story.visit_of(link.task.scheduled);
    let attempt = visit.and_then(|visit| visit.attempts.iter().find(|a| a.scheduled == link.task.scheduled));
    let Some((visit, attempt)) = visit.zip(attempt) else {
        return Ok(said(StatusCode::GONE, title, "There is nothing to do."));
    };
    let form = visit.task.as_ref().and_then(|(_, parameters)| Form::read(parameters.get("Form")?).ok());
    let verdict = task_forms::verdict(form.as_ref(), attempt);
    let again = visit.attempts.last().is_some_and(|last| last.scheduled != attempt.scheduled && last.ended.is_none());
    Ok(plain(title, StatusCode::CONFLICT, page::over(title, attempt, verdict.as_deref(), again, told.now)))
}

/// Whether all members of `part` are in `whole` with the same values.
pub(super) fn holds(whole: &Value, part: &serde_json::Map<String, Value>) -> bool {
    !part.is_empty() && part.iter().all(|(name, value)| whole.get(name) == Some(value))
}

//! Answers beside the API: probes of load balancers, metrics, and a word for a person who opens the address.

use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Route, guard, web};
use serde_json::json;

use super::hosts::Hosts;
use super::protocol::{Api, CONTENT_TYPE};
use super::server::{Draining, is_for_us};

/// Whether this server has the console.
#[derive(Debug, Clone, Copy)]
pub(super) struct HasConsole(pub bool);

/// The routes. Some load balancers probe with HEAD.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    let look = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    let at = |path: &str, route: Route| {
        // Other methods go on to the API, which tells the expected method.
        web::resource(path.to_owned()).guard(guard::Any(guard::Get()).or(guard::Head())).route(route)
    };
    config
        .service(at("/", look().to(front)))
        .service(at("/healthz", look().to(healthz)))
        .service(at("/readyz", look().to(readyz)))
        .service(at("/metrics", look().to(metrics)));
}

/// Says which server this is. It tells nothing of what the server holds.
async fn front(
    request: HttpRequest,
    api: web::Data<Api>,
    hosts: web::Data<Hosts>,
    console: web::Data<HasConsole>,
) -> HttpResponse {
    if let Err(error) = is_for_us(&request, &hosts) {
        return closing(HttpResponse::Forbidden()).content_type(CONTENT_TYPE).body(api.refuse(error).body);
    }
    let pages: &[(&str, &str)] = &[
        ("/console", "pages for people"),
        ("/readyz", "whether it can do its work"),
        ("/healthz", "whether it lives"),
        ("/metrics", "figures for Prometheus"),
    ];
    let pages = if console.0 { pages } else { &pages[1..] };
    let version = env!("CARGO_PKG_VERSION");
    let wants_html =
        request.headers().get_all(ACCEPT).any(|kinds| kinds.to_str().is_ok_and(|k| k.contains("text/html")));
    if !wants_html {
        let also: serde_json::Map<String, serde_json::Value> =
            pages.iter().map(|(path, what)| ((*path).to_owned(), json!(what))).collect();
        return closing(HttpResponse::Ok())
            .json(json!({"server": "reveille", "version": version, "api": API, "also": also}));
    }
    let page = maud::html! {
        (maud::DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { "Reveille" } meta name="viewport" content="width=device-width"; }
            body {
                h1 { "Reveille " (version) }
                p { (API) }
                ul { @for (path, what) in pages { li { a href=(path) { (path) } ": " (what) } } }
            }
        }
    };
    closing(HttpResponse::Ok())
        .content_type("text/html; charset=utf-8")
        .insert_header(("content-security-policy", "default-src 'none'; frame-ancestors 'none'"))
        .insert_header(("x-content-type-options", "nosniff"))
        .body(page.into_string())
}

const API: &str = "The API of AWS Step Functions is at POST / of this address: aws stepfunctions … --endpoint-url, or \
    the reveille command.";

/// Answers probes of load balancers. They may use any host name or none, and the answer is of no use to a web page.
pub(super) async fn healthz() -> HttpResponse {
    closing(HttpResponse::Ok()).json(json!({"status": "alive"}))
}

async fn readyz(api: web::Data<Api>, draining: web::Data<Draining>) -> HttpResponse {
    if draining.is_on() {
        let missing = ["the server stops"];
        return closing(HttpResponse::ServiceUnavailable()).json(json!({"status": "not ready", "missing": missing}));
    }
    match api.context().engine().ready().await {
        Ok(doubts) if doubts.is_empty() => closing(HttpResponse::Ok()).json(json!({"status": "ready"})),
        Ok(doubts) => closing(HttpResponse::Ok()).json(json!({"status": "ready", "doubts": doubts})),
        Err(missing) => {
            closing(HttpResponse::ServiceUnavailable()).json(json!({"status": "not ready", "missing": missing}))
        }
    }
}

async fn metrics(request: HttpRequest, api: web::Data<Api>, hosts: web::Data<Hosts>) -> HttpResponse {
    if let Err(error) = is_for_us(&request, &hosts) {
        return closing(HttpResponse::Forbidden()).content_type(CONTENT_TYPE).body(api.refuse(error).body);
    }
    closing(HttpResponse::Ok())
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(api.context().engine().metrics().await)
}

/// Closes the connection after an answer to an unknown sender: the next request on it would have no time limit for its
/// head.
pub(super) fn closing(mut response: HttpResponseBuilder) -> HttpResponseBuilder {
    response.force_close();
    response
}

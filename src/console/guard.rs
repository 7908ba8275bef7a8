//! Rights of callers: the host of a request, the site that a form comes from, the session; and the headers that
//! every answer of the console has.

use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpResponse, web};

use crate::api::{Class, SharedApi};

use super::pages::layout::Who;
use super::serve::Console;

/// No script, style, image or connection of another site, none inside of a page, and no text that becomes markup but by
/// the policy of `live.js`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src \
    'self'; \
     worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for \
     'script'; trusted-types reveille";

/// Sets the headers that protect a page.
pub fn protect(response: &mut HttpResponse, forever: bool) {
    let fixed = [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", if forever { "public, max-age=31536000, immutable" } else { "no-store" }),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

/// A form must come from a page of this server: the browser says so, or the `Origin` is ours (the host check has seen
/// it). A request with neither comes from no browser.
pub fn comes_from_our_page(request: &HttpRequest) -> bool {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    match header("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => header("origin").is_some(),
    }
}

/// Why this request cannot be let in at all, from any caller.
pub fn closed_to(request: &HttpRequest, api: &SharedApi, console: &Console) -> Option<&'static str> {
    // A trusted proxy has met the browser itself.
    if is_private(request) || console.proxy.as_ref().is_some_and(|proxy| proxy.trusts(request)) {
        return None;
    }
    Some(if api.has_keys() {
        "This connection is not encrypted: a secret or a session would be readable on its way. Use TLS \
         (api.tls.certificate), or a proxy on this machine that has it."
    } else {
        "This server has no access keys (api.keys), so its console answers to this machine only."
    })
}

/// True where no third party can read along.
fn is_private(request: &HttpRequest) -> bool {
    let here = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    here || request.app_config().secure()
}

fn cookie_name(request: &HttpRequest) -> &'static str {
    if request.app_config().secure() { "__Host-reveille" } else { "reveille" }
}

/// The value of `Set-Cookie` for a session; an empty one ends it.
pub fn cookie(request: &HttpRequest, session: &str) -> String {
    let name = cookie_name(request);
    let secure = if request.app_config().secure() { "; Secure" } else { "" };
    let ends = if session.is_empty() { "; Max-Age=0" } else { "" };
    format!("{name}={session}; Path=/; HttpOnly; SameSite=Strict{secure}{ends}")
}

pub fn session(request: &HttpRequest) -> Option<String> {
    let cookies = request.headers().get_all("cookie").filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == cookie_name(request)).map(|(_, value)| value.to_owned())
}

/// The caller of a request; `None`: there are keys, and no caller is signed in.
pub fn who(request: &HttpRequest, api: &SharedApi, console: &web::Data<Console>) -> Option<Who> {
    if let Some(proxy) = console.proxy.as_ref().filter(|proxy| proxy.trusts(request)) {
        // Without keys its word alone counts; with keys a person whom it does not name may sign in.
        let who = proxy.who(request);
        if who.is_some() || !api.has_keys() {
            return who;
        }
    }
    if !api.has_keys() {
        return Some(Who { key: None, start: true, complete: true, admin: true, payload: true, by_proxy: false });
    }
    // A session ends with its key.
    let key = console.sessions.key(&session(request)?, Instant::now())?;
    let may = |class| api.key_may(&key, class);
    may(Class::Read).then(|| Who {
        start: may(Class::Start),
        complete: may(Class::Complete),
        admin: may(Class::Admin),
        payload: may(Class::Payload),
        key: Some(key.clone()),
        by_proxy: false,
    })
}

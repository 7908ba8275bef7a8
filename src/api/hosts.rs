//! Refuses requests that a web page may have made a browser send (docs/decisions/0024-who-may-speak-to-the-api.md).
//!
//! Any web page can make a browser send requests to this server, with a host name that points at a loopback address
//! (DNS rebinding) or directly across sites. So the `Host` of a request must be a name of this server, and its `Origin`
//! the same.

use std::net::IpAddr;

use actix_web::http::header::{HeaderMap, ORIGIN};

use super::error::ApiError;

/// The prefix of the host name in AWS clients' requests for `StartSyncExecution` and `TestState`.
const HOST_PREFIX: &str = "sync-";
/// Characters of a foreign name that an error repeats.
const SHOWN_MAX: usize = 100;

/// The names that this server answers to.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    names: Vec<String>,
    listen: Option<IpAddr>,
}

/// The parts of a request that are checked.
pub struct Visitor<'a> {
    pub headers: &'a HeaderMap,
    /// The authority of the request's own URL, if it has one (`POST http://name/`).
    pub authority: Option<&'a str>,
    /// The local address of the connection.
    pub local: Option<IpAddr>,
}

impl Hosts {
    /// `names`: those of the settings. `listen`: the address that the server listens on.
    pub fn new(names: &[String], listen: IpAddr) -> Self {
        let names = names.iter().map(|name| bare(name).to_ascii_lowercase()).collect();
        // A server on all addresses has no address of its own: there the connection's local address counts.
        Self { names, listen: Some(listen).filter(|ip| !ip.is_unspecified()) }
    }

    /// Checks a request. A refusal names the setting that would allow it.
    pub fn check(&self, visitor: &Visitor<'_>) -> Result<(), ApiError> {
        let host = self.host(visitor)?;
        let values = |name: &str| visitor.headers.get_all(name).map(|value| value.to_str().unwrap_or("?"));
        // A browser sends "none" for an address that a person typed, and "same-origin" for a page of this server.
        if let Some(site) = values("sec-fetch-site").find(|site| !matches!(*site, "none" | "same-origin")) {
            return Err(refused(format!(
                "This request comes from a web page of another site (Sec-Fetch-Site: {}): pages of other sites may not \
                 use this API",
                shown(site)
            )));
        }
        match values(ORIGIN.as_str()).find(|origin| !is_same(origin, host)) {
            Some(origin) => Err(refused(format!(
                "This request comes from a web page of {}, which is not this server: pages of other sites may not use \
                 this API",
                shown(origin)
            ))),
            None => Ok(()),
        }
    }

    /// The host that the request names, if it is a name of this server.
    fn host<'a>(&self, visitor: &Visitor<'a>) -> Result<&'a str, ApiError> {
        let mut given = visitor.headers.get_all("host").map(|value| value.to_str().unwrap_or("?"));
        let (host, more) = (given.next().or(visitor.authority), given.next());
        let Some(host) = host else { return Err(refused("This request has no Host header".to_owned())) };
        if more.is_some() {
            return Err(refused("This request has more than one Host header".to_owned()));
        }
        for name in [Some(host), visitor.authority].into_iter().flatten() {
            if !self.knows(name, visitor.local) {
                let name = shown(bare(name));
                return Err(refused(format!(
                    "This server does not answer to the host '{name}', only to loopback names, the address that it \
                     listens on, and the names of the setting api.hosts. If clients are to use this name, add it: \
                     REVEILLE__API__HOSTS={name}"
                )));
            }
        }
        Ok(host)
    }

    fn knows(&self, host: &str, local: Option<IpAddr>) -> bool {
        let name = bare(host).to_ascii_lowercase();
        self.is_ours(&name, local) || name.strip_prefix(HOST_PREFIX).is_some_and(|name| self.is_ours(name, local))
    }

    fn is_ours(&self, name: &str, local: Option<IpAddr>) -> bool {
        if name == "localhost" || name.ends_with(".localhost") || self.names.iter().any(|known| known == name) {
            return true;
        }
        let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        let Ok(ip) = address.parse::<IpAddr>() else { return false };
        let same = |other: IpAddr| other.to_canonical() == ip.to_canonical();
        ip.to_canonical().is_loopback() || self.listen.is_some_and(same) || local.is_some_and(same)
    }
}

/// The host without its port.
fn bare(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

/// Tells whether `api.hosts` may have this name.
pub fn is_name(text: &str) -> bool {
    let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    address.parse::<IpAddr>().is_ok()
        || (!text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')))
}

/// Tells whether the origin is that of this host. The scheme may differ, because TLS may end at a proxy.
fn is_same(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let without = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    without(authority) == without(host)
}

/// A name from the request, shortened and without characters that a terminal or a page would interpret.
fn shown(text: &str) -> String {
    text.chars()
        .take(SHOWN_MAX)
        .map(|c| if c.is_ascii_alphanumeric() || ".-_:[]/".contains(c) { c } else { '?' })
        .collect()
}

fn refused(message: String) -> ApiError {
    ApiError { status: 403, ..ApiError::new("AccessDeniedException", message) }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn asked(hosts: &Hosts, pairs: &[(&str, &str)], authority: Option<&str>) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let local = Some("10.1.2.3".parse().unwrap());
        hosts.check(&Visitor { headers: &headers, authority, local }).map_err(|error| {
            assert_eq!((error.status, error.kind), (403, "AccessDeniedException"));
            error.message
        })
    }

    fn hosts(listen: &str) -> Hosts {
        Hosts::new(&["reveille".to_owned(), "Api.Example.com".to_owned()], listen.parse().unwrap())
    }

    #[test]
    fn only_names_of_this_server_are_answered_to() {
        let all = hosts("0.0.0.0");
        for ours in [
            "localhost",
            "LOCALHOST:8083",
            "sync-localhost:8083",
            "a.localhost",
            "127.0.0.1",
            "127.0.0.1:8083",
            "127.8.9.1:1",
            "sync-127.0.0.1:8083",
            "[::1]:8083",
            "[::1]",
            "[::ffff:127.0.0.1]:8083",
            "10.1.2.3:8083",
            "reveille:8083",
            "sync-reveille",
            "api.example.com:443",
            "API.example.COM",
            "sync-api.example.com",
        ] {
            assert_eq!(asked(&all, &[("host", ours)], None), Ok(()), "{ours}");
        }
        for foreign in [
            "",
            ":8083",
            "evil.example",
            "evil.example:8083",
            "localhost.evil.example",
            "notlocalhost",
            "localhost@evil.example",
            "evil.example/localhost",
            "api.example.com.evil.example",
            "xapi.example.com",
            "sync-sync-localhost",
            "10.1.2.4",
            "0.0.0.0:8083",
            "[::]:8083",
            "127.0.0.1.evil.example",
            "2130706433",
            "0x7f.1",
            "localhost:8083:8083",
            "reveille:x",
            "localhost, evil.example",
            "l\u{f6}calhost",
        ] {
            let said = asked(&all, &[("host", foreign)], None).expect_err(foreign);
            assert!(said.contains("api.hosts"), "{foreign}: {said}");
        }
        let said = asked(&all, &[("host", "evil.example:8083")], None).unwrap_err();
        assert!(said.contains("'evil.example'") && said.ends_with("REVEILLE__API__HOSTS=evil.example"), "{said}");
        let said = asked(&all, &[("host", "<script>\u{202e}")], None).unwrap_err();
        assert!(!said.contains('<') && said.is_ascii(), "{said}");
        assert!(asked(&hosts("192.168.7.7"), &[("host", "192.168.7.7:8083")], None).is_ok());
        assert!(asked(&hosts("192.168.7.7"), &[("host", "192.168.7.8:8083")], None).is_err());
    }

    #[test]
    fn one_host_is_named_and_the_url_names_no_other() {
        let all = hosts("127.0.0.1");
        assert_eq!(asked(&all, &[], None), Err("This request has no Host header".to_owned()));
        let two = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(asked(&all, &two, None), Err("This request has more than one Host header".to_owned()));
        assert!(asked(&all, &[("host", "localhost")], Some("evil.example")).is_err());
        assert!(asked(&all, &[("host", "evil.example")], Some("localhost")).is_err());
        assert!(asked(&all, &[("host", "localhost")], Some("localhost:8083")).is_ok());
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let all = hosts("127.0.0.1");
        let with = |name, value| asked(&all, &[("host", "localhost:8083"), (name, value)], None);
        for ours in ["http://localhost:8083", "https://localhost:8083", "http://LOCALHOST:8083"] {
            assert_eq!(with("origin", ours), Ok(()), "{ours}");
        }
        for foreign in [
            "null",
            "",
            "http://evil.example",
            "http://evil.example:8083",
            "http://localhost",
            "http://localhost:3000",
            "http://127.0.0.1:8083",
            "file://localhost:8083",
            "localhost:8083",
            "http://localhost:8083.evil.example",
            "chrome-extension://abc",
        ] {
            assert!(with("origin", foreign).is_err(), "{foreign}");
        }
        for ours in ["none", "same-origin"] {
            assert_eq!(with("sec-fetch-site", ours), Ok(()), "{ours}");
        }
        for foreign in ["cross-site", "same-site", "", "Cross-Site", "other"] {
            assert!(with("sec-fetch-site", foreign).is_err(), "{foreign}");
        }
        let plain = |origin| asked(&all, &[("host", "reveille"), ("origin", origin)], None).is_ok();
        assert!(plain("http://reveille") && plain("http://reveille:80") && plain("https://reveille:443"));
        assert!(!plain("http://reveille:443"));
    }

    #[test]
    fn a_name_of_the_settings_has_no_scheme_no_port_and_no_wildcard() {
        for good in ["reveille", "api.example.com", "my_host", "10.0.0.1", "::1", "[fe80::1]"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "http://reveille", "reveille:8083", "*", "*.example.com", "a b", "a/b", "user@host"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}

//! People that a proxy in front of this server has signed in: it names them in headers, and only a trusted one is
//! believed.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;

use crate::api::Class;

use super::pages::layout::Who;

/// The settings of the proxy, as text.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The header with the name of the person; empty: there is no such proxy.
    pub user_header: String,
    /// The header with his groups, separated by commas.
    pub groups_header: String,
    /// Addresses of proxies, or networks such as `10.0.0.0/8`, separated by commas.
    pub trusted_proxies: String,
    /// `GROUP=CLASS+CLASS`, separated by commas; the group `*` is everybody.
    pub groups: String,
    /// Live streams at once.
    pub viewers_max: usize,
}

/// The longest name that is taken: an address of e-mail.
const NAME_BYTES_MAX: usize = 254;

#[derive(Debug)]
pub struct Proxy {
    user: HeaderName,
    groups: Option<HeaderName>,
    trusted: Vec<Network>,
    rights: Vec<(String, Vec<Class>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.parse().ok()).filter(|bits| *bits <= most)?;
        Some(Self { address, bits })
    }

    fn holds(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

impl Proxy {
    /// `None`: the settings name no header.
    ///
    /// # Errors
    /// The setting that cannot be used.
    pub fn new(options: &Options) -> Result<Option<Self>, String> {
        if options.user_header.trim().is_empty() {
            return Ok(None);
        }
        let header = |setting: &str, text: &str| {
            HeaderName::try_from(text.trim()).map_err(|_| format!("console.{setting} is no name of a header: '{text}'"))
        };
        let network = |text: &str| {
            Network::parse(text)
                .ok_or_else(|| format!("console.trusted_proxies has '{text}'; allowed: addresses, or 10.0.0.0/8"))
        };
        let rights = |text: &str| {
            let wrong = || format!("console.groups has '{text}'; allowed: GROUP=read+start+complete+admin+no-payload");
            let (group, classes) = text.split_once('=').ok_or_else(wrong)?;
            let classes: Vec<&str> = classes.split('+').map(str::trim).collect();
            let is_known = |word: &&str| Class::parse(word).is_some() || *word == Class::WITHOUT_PAYLOAD;
            if !classes.iter().all(is_known) {
                return Err(wrong());
            }
            Ok((group.trim().to_owned(), Class::of_words(classes)))
        };
        let trusted: Vec<Network> = words(&options.trusted_proxies).map(network).collect::<Result<_, _>>()?;
        if trusted.is_empty() {
            return Err("console.user_header is set, but console.trusted_proxies names no proxy to believe".to_owned());
        }
        let groups = Some(options.groups_header.trim()).filter(|name| !name.is_empty());
        Ok(Some(Self {
            user: header("user_header", &options.user_header)?,
            groups: groups.map(|name| header("groups_header", name)).transpose()?,
            trusted,
            rights: words(&options.groups).map(rights).collect::<Result<_, _>>()?,
        }))
    }

    /// Whether the request comes from a proxy that is believed.
    pub fn trusts(&self, request: &HttpRequest) -> bool {
        let peer = request.peer_addr().map(|peer| peer.ip());
        peer.is_some_and(|peer| self.trusted.iter().any(|network| network.holds(peer)))
    }

    /// The person of a request of a trusted proxy; `None`: it names no person, or a person without the right to read.
    pub fn who(&self, request: &HttpRequest) -> Option<Who> {
        let name = single(request, &self.user)?;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(char::is_control) {
            return None;
        }
        let groups = self.groups.as_ref().and_then(|header| single(request, header)).unwrap_or_default();
        let of = |class: Class| {
            let is_his = |group: &str| group == "*" || words(groups).any(|his| his == group);
            self.rights.iter().any(|(group, classes)| is_his(group) && classes.contains(&class))
        };
        of(Class::Read).then(|| Who {
            key: Some(name.to_owned()),
            start: of(Class::Start),
            complete: of(Class::Complete),
            admin: of(Class::Admin),
            payload: of(Class::Payload),
            by_proxy: true,
        })
    }
}

/// The value of a header that stands once; a second one may be another's.
fn single<'r>(request: &'r HttpRequest, name: &HeaderName) -> Option<&'r str> {
    let mut values = request.headers().get_all(name);
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok().map(str::trim) }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn proxy(trusted: &str, groups: &str) -> Proxy {
        let options = Options {
            viewers_max: 0,
            user_header: "X-Forwarded-User".into(),
            groups_header: "X-Forwarded-Groups".into(),
            trusted_proxies: trusted.into(),
            groups: groups.into(),
        };
        Proxy::new(&options).unwrap().unwrap()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let proxy = proxy("10.1.0.0/16, ::1, 192.0.2.7", "*=read");
        for (peer, trusted) in [
            ("10.1.2.3:9", true),
            ("10.2.0.1:9", false),
            ("[::1]:9", true),
            ("[::ffff:192.0.2.7]:9", true),
            ("192.0.2.8:9", false),
        ] {
            let request = TestRequest::default().peer_addr(peer.parse().unwrap()).to_http_request();
            assert_eq!(proxy.trusts(&request), trusted, "{peer}");
        }
        assert!(!proxy.trusts(&TestRequest::default().to_http_request()));
    }

    #[test]
    fn groups_give_classes_and_nobody_is_let_in_without_a_name() {
        let proxy = proxy("::1", "ops = read+start+complete, viewers=read+no-payload");
        let who = |headers: &[(&str, &str)]| {
            let request = headers.iter().fold(TestRequest::default(), |request, header| request.append_header(*header));
            proxy.who(&request.to_http_request())
        };
        let (user, groups) = ("x-forwarded-user", "x-forwarded-groups");
        let olga = who(&[(user, "olga"), (groups, "other, ops")]).unwrap();
        assert_eq!((olga.key.as_deref(), olga.start, olga.admin, olga.payload), (Some("olga"), true, false, true));
        let ada = who(&[(user, "ada"), (groups, "viewers")]).unwrap();
        assert_eq!((ada.start, ada.complete, ada.payload), (false, false, false));
        for headers in [
            &[(user, "eve"), (groups, "others")][..],
            &[(user, "eve")],
            &[(groups, "ops")],
            &[(user, ""), (groups, "ops")],
            &[(user, "olga"), (user, "eve"), (groups, "ops")],
            &[(user, "eve"), (groups, "viewers"), (groups, "ops")],
        ] {
            assert!(who(headers).is_none(), "{headers:?}");
        }
    }

    #[test]
    fn settings_that_cannot_be_used_are_named() {
        let of = |trusted: &str, groups: &str, header: &str| {
            let options = Options {
                viewers_max: 0,
                user_header: header.into(),
                groups_header: String::new(),
                trusted_proxies: trusted.into(),
                groups: groups.into(),
            };
            Proxy::new(&options).map(|proxy| proxy.is_some())
        };
        assert_eq!(of("", "", ""), Ok(false));
        assert_eq!(of("::1", "", "X-User"), Ok(true));
        for (trusted, groups, header, setting) in [
            ("", "", "X-User", "trusted_proxies"),
            ("10.0.0.0/33", "", "X-User", "trusted_proxies"),
            ("::1", "ops", "X-User", "console.groups"),
            ("::1", "ops=write", "X-User", "console.groups"),
            ("::1", "", "X User", "user_header"),
        ] {
            let why = of(trusted, groups, header).unwrap_err();
            assert!(why.contains(setting), "{why}");
        }
    }
}

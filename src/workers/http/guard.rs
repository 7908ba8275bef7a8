//! Which addresses may be called. A name is resolved once: the connection goes to the address that was checked.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Hosts that may be private, by their names as URLs write them.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    private: Arc<[String]>,
}

impl Guard {
    pub(super) fn new(private_hosts: Vec<String>) -> Self {
        Self { private: private_hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect() }
    }

    /// The settings say that this host may be anywhere, and be spoken to without TLS.
    pub(super) fn trusts(&self, host: &str) -> bool {
        self.private.iter().any(|name| name == "*" || *name == host)
    }

    /// An address as host asks no resolver.
    ///
    /// # Errors
    /// Why it is refused.
    pub(super) fn check_literal(&self, host: &str) -> Result<(), String> {
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        match literal.parse::<IpAddr>() {
            Ok(address) if !is_public(address) && !self.trusts(literal) && !self.trusts(host) => Err(refused(host)),
            _ => Ok(()),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found = tokio::net::lookup_host((host, 0)).await?;
            let trusted = guard.trusts(host);
            let allowed: Vec<SocketAddr> = found.filter(|address| trusted || is_public(address.ip())).collect();
            if allowed.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, refused(host)).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn refused(host: &str) -> String {
    format!("the host '{host}' has no public address; http.private_hosts names hosts that need none")
}

/// Reachable from everywhere: neither private, nor of this machine, this link or a special purpose (IANA's registries).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let v4 = |high: u16, low: u16| is_public_v4(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)));
    match address.segments() {
        // Addresses of version 4 inside: mapped, compatible, translated, 6to4.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            v4(high, low)
        }
        // Global addresses; Teredo, documentation and other special purposes are none.
        [first, second, ..] => {
            let special = (first == 0x2001 && (second < 0x200 || second == 0xdb8)) || first == 0x3fff;
            (first & 0xe000) == 0x2000 && !special
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "192.0.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "203.0.113.9",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "64:ff9b:1::1",
            "100::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in
            ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_host_that_the_settings_name_may_be_anywhere() {
        let guard = Guard::new(vec!["Intranet.example".to_owned(), "10.0.0.1".to_owned(), "::1".to_owned()]);
        assert!(guard.trusts("intranet.example") && !guard.trusts("example"));
        for (host, fine) in [
            ("10.0.0.1", true),
            ("10.0.0.2", false),
            ("[::1]", true),
            ("[fe80::1]", false),
            ("8.8.8.8", true),
            ("name", true),
        ] {
            assert_eq!(guard.check_literal(host).is_ok(), fine, "{host}");
        }
        assert!(Guard::new(vec!["*".to_owned()]).check_literal("127.0.0.1").is_ok());
    }
}

//! Style and scripts, in the binary. Each name holds a hash of the content, so that a browser keeps a file for good.

use std::fmt::Write;
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use crate::graph::svg;

use super::gzip::Body;

pub struct Asset {
    /// `console.1a2b3c4d5e6f.css`.
    pub name: String,
    pub content_type: &'static str,
    pub body: Body,
}

impl Asset {
    fn new(stem: &str, ending: &str, content_type: &'static str, bytes: Vec<u8>) -> Self {
        let mut name = format!("{stem}.");
        for byte in &Sha256::digest(&bytes)[..6] {
            let _ = write!(name, "{byte:02x}");
        }
        name.push('.');
        name.push_str(ending);
        Self { name, content_type, body: Body::new(bytes) }
    }
}

pub static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let mut bytes = svg::STYLE.as_bytes().to_vec();
    bytes.extend_from_slice(include_bytes!("assets/console.css"));
    Asset::new("console", "css", "text/css; charset=utf-8", bytes)
});
pub static LIVE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("live", "js", "text/javascript; charset=utf-8", include_bytes!("assets/live.js").to_vec())
});
pub static WORKER: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("worker", "js", "text/javascript; charset=utf-8", include_bytes!("assets/worker.js").to_vec())
});

/// The asset of this name.
pub fn find(name: &str) -> Option<&'static Asset> {
    [&*STYLE, &*LIVE, &*WORKER].into_iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_are_found_by_their_names_alone() {
        for asset in [&STYLE, &LIVE, &WORKER] {
            assert!(find(&asset.name).is_some_and(|found| std::ptr::eq(found, &raw const **asset)));
        }
        assert!(find("console.css").is_none() && find("").is_none());
    }
}

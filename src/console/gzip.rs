//! Pages and assets for browsers that take gzip: a page of 200 executions is a tenth of its size then.
//!
//! A page holds no token and no key, so that its length tells none.

use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use flate2::Compression;
use flate2::write::GzEncoder;

/// A shorter body fits in a packet as it is.
const BYTES_MIN: usize = 1_400;

/// Bytes, and the same under gzip where that is shorter: made once, for the first that takes it.
#[derive(Debug, Clone)]
pub struct Body {
    plain: Bytes,
    gzip: Arc<OnceLock<Option<Bytes>>>,
}

impl Body {
    pub fn new(plain: impl Into<Bytes>) -> Self {
        Self { plain: plain.into(), gzip: Arc::default() }
    }

    /// The answer to this request.
    pub fn answer(&self, request: &HttpRequest, mut response: HttpResponseBuilder) -> HttpResponse {
        response.insert_header((header::VARY, "accept-encoding"));
        let taken = takes_gzip(request.headers().get_all(header::ACCEPT_ENCODING));
        match taken.then(|| self.gzip.get_or_init(|| squeezed(&self.plain))) {
            Some(Some(gzip)) => response.insert_header((header::CONTENT_ENCODING, "gzip")).body(gzip.clone()),
            _ => response.body(self.plain.clone()),
        }
    }
}

fn squeezed(plain: &[u8]) -> Option<Bytes> {
    if plain.len() < BYTES_MIN {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().filter(|gzip| gzip.len() < plain.len()).map(Bytes::from)
}

/// Whether a client names gzip, and not with a weight of 0 (RFC 9110, 12.5.3). A client that names none may get any
/// encoding by that rule; ours are programs such as curl, which then want the text.
fn takes_gzip<'h>(mut headers: impl Iterator<Item = &'h HeaderValue>) -> bool {
    headers.any(|value| {
        value.to_str().unwrap_or_default().split(',').any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
            name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use actix_web::body::MessageBody;
    use actix_web::test::TestRequest;

    use super::*;

    fn answer(body: &Body, accepts: Option<&str>) -> (bool, Vec<u8>) {
        let mut request = TestRequest::get();
        if let Some(accepts) = accepts {
            request = request.insert_header((header::ACCEPT_ENCODING, accepts));
        }
        let response = body.answer(&request.to_http_request(), HttpResponse::Ok());
        assert!(response.headers().contains_key(header::VARY));
        let is_gzip = response.headers().get(header::CONTENT_ENCODING).is_some_and(|coding| coding == "gzip");
        (is_gzip, response.into_body().try_into_bytes().unwrap().to_vec())
    }

    #[test]
    fn a_browser_gets_gzip_and_any_other_client_the_text() {
        let text = "<tr><td>RUNNING</td></tr>\n".repeat(1_000);
        let body = Body::new(text.clone());
        for accepts in ["gzip", "gzip, deflate, br, zstd", "br;q=1.0, GZIP;q=0.5", "identity, gzip ; q=1"] {
            let (is_gzip, bytes) = answer(&body, Some(accepts));
            assert!(is_gzip && bytes.len() * 20 < text.len(), "{accepts}: {}", bytes.len());
            let mut plain = String::new();
            flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut plain).unwrap();
            assert_eq!(plain, text);
        }
        for accepts in [None, Some(""), Some("br"), Some("gzip;q=0"), Some("gzip;q=x"), Some("xgzip"), Some("*;q=0")] {
            assert_eq!(answer(&body, accepts), (false, text.clone().into_bytes()), "{accepts:?}");
        }
    }

    #[test]
    fn a_short_body_stays_as_it_is() {
        let text = "<p>No execution matches.</p>";
        assert_eq!(answer(&Body::new(text), Some("gzip")), (false, text.as_bytes().to_vec()));
    }
}

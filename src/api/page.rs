//! Page tokens: opaque, signed, bound to the request they continue, good for 24 hours (as AWS says of `nextToken`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::clock::Timestamp;

use super::error::ApiError;

const TOKEN_HOURS: f64 = 24.0;
const SIGNATURE_BYTES: usize = 32;
const EXPIRY_BYTES: usize = 8;
/// AWS: 0 and absent mean this.
const PAGE_DEFAULT: u32 = 100;

/// The listing that a token is bound to: the operation, and the parameters that select rows (not the page size).
#[derive(Debug, Clone, Copy)]
pub struct Listing<'a> {
    pub operation: &'static str,
    pub parameters: &'a [&'a str],
}

/// Makes and reads page tokens.
#[derive(Clone)]
pub struct Pages {
    key: [u8; 32],
}

impl Pages {
    /// `secret`: any secret that all nodes of an installation share; the key is derived from it.
    pub fn new(secret: &[u8]) -> Self {
        Self { key: sign(secret, &[b"reveille page tokens 1"]).finalize().into_bytes().into() }
    }

    /// Makes a token for the page after `cursor`.
    pub fn seal(&self, listing: Listing<'_>, cursor: &str, now: Timestamp) -> String {
        let expires = now.plus_seconds(TOKEN_HOURS * 3600.0).millis().to_be_bytes();
        let mut token = Vec::with_capacity(EXPIRY_BYTES + SIGNATURE_BYTES + cursor.len());
        token.extend_from_slice(&expires);
        token.extend_from_slice(&self.mac(listing, &expires, cursor.as_bytes()).finalize().into_bytes());
        token.extend_from_slice(cursor.as_bytes());
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The cursor of a token that was made for this listing and has not expired.
    pub fn open(&self, listing: Listing<'_>, token: &str, now: Timestamp) -> Result<String, ApiError> {
        self.read(listing, token, now).ok_or_else(ApiError::invalid_token)
    }

    fn read(&self, listing: Listing<'_>, token: &str, now: Timestamp) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (expires, rest) = bytes.split_at_checked(EXPIRY_BYTES)?;
        let (signature, cursor) = rest.split_at_checked(SIGNATURE_BYTES)?;
        self.mac(listing, expires, cursor).verify_slice(signature).ok()?;
        let until = Timestamp::from_millis(i64::from_be_bytes(expires.try_into().ok()?));
        if now > until {
            return None;
        }
        String::from_utf8(cursor.to_vec()).ok()
    }

    fn mac(&self, listing: Listing<'_>, expires: &[u8], cursor: &[u8]) -> Hmac<Sha256> {
        let mut parts: Vec<&[u8]> = vec![listing.operation.as_bytes(), expires, cursor];
        parts.extend(listing.parameters.iter().map(|p| p.as_bytes()));
        sign(&self.key, &parts)
    }
}

/// A MAC over the parts, each with its length before it, so that no two lists of parts have the same MAC.
fn sign(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("HMAC takes keys of every length") };
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac
}

/// The number of rows of a page: `maxResults`, which the model limits to 1,000.
pub fn size(max_results: Option<u32>) -> u32 {
    max_results.filter(|n| *n > 0).unwrap_or(PAGE_DEFAULT)
}

/// Cuts `rows`, which were read with one row more than a page holds. Returns true if there was one more.
pub fn cut<T>(rows: &mut Vec<T>, size: u32) -> bool {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    more
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const LISTING: Listing<'_> = Listing { operation: "ListExecutions", parameters: &["arn", "FAILED"] };

    #[test]
    fn a_token_comes_back_as_its_cursor() {
        let pages = Pages::new(b"secret");
        let token = pages.seal(LISTING, "1700:abc", NOW);
        assert_eq!(pages.open(LISTING, &token, NOW).unwrap(), "1700:abc");
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert!(pages.seal(LISTING, &"x".repeat(300), NOW).len() < 1024, "the model's shortest limit");
    }

    #[test]
    fn a_token_is_good_for_its_own_listing_and_24_hours() {
        let pages = Pages::new(b"secret");
        let token = pages.seal(LISTING, "c", NOW);
        let bad = |listing, token: &str, at: Timestamp| {
            assert_eq!(
                pages.open(listing, token, at).unwrap_err().to_string(),
                "InvalidToken: Invalid Token: 'Invalid token'"
            );
        };
        assert!(pages.open(LISTING, &token, NOW.plus_seconds(86_400.0)).is_ok());
        bad(LISTING, &token, NOW.plus_seconds(86_401.0));
        bad(Listing { operation: "ListMapRuns", ..LISTING }, &token, NOW);
        bad(Listing { parameters: &["arn", "RUNNING"], ..LISTING }, &token, NOW);
        bad(Listing { parameters: &["arnFAILED", ""], ..LISTING }, &token, NOW);
        bad(LISTING, "InvalidToken", NOW);
        bad(LISTING, "", NOW);
        assert!(Pages::new(b"other").open(LISTING, &token, NOW).is_err());
        for at in 0..token.len() {
            let mut broken = token.clone().into_bytes();
            broken[at] = if broken[at] == b'A' { b'B' } else { b'A' };
            let broken = String::from_utf8(broken).unwrap();
            assert!(broken == token || pages.open(LISTING, &broken, NOW).is_err(), "position {at}");
        }
    }

    #[test]
    fn zero_and_absent_mean_a_hundred() {
        assert_eq!((size(None), size(Some(0)), size(Some(7))), (100, 100, 7));
        let mut rows = vec![1, 2, 3];
        assert!(cut(&mut rows, 2));
        assert!(!cut(&mut rows, 2));
        assert_eq!(rows, [1, 2]);
    }
}

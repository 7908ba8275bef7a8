//! Codes that let a person into the console once: made for a key by its holder, good for two minutes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::limits::SIGN_IN_CODE_SECONDS;
use crate::store::{Catalog, NoteRow, StoreResult};

const KIND: &str = "sign-in";

/// The store has the hash alone: its readers cannot sign in.
fn hash(code: &str) -> String {
    hex::encode(Sha256::digest(code.as_bytes()))
}

/// A new code for this key, and its end.
pub async fn make(catalog: &dyn Catalog, key: &str, now: Timestamp) -> StoreResult<(String, Timestamp)> {
    let code = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let until = now.plus_seconds(f64::from(SIGN_IN_CODE_SECONDS));
    let body = json!({"key": key}).to_string();
    let note = NoteRow { kind: KIND.to_owned(), key: hash(&code), body, until: Some(until) };
    catalog.put_note(note, true, now).await?;
    Ok((code, until))
}

/// The key of a code, which is used up by this.
pub async fn take(catalog: &dyn Catalog, code: &str, now: Timestamp) -> StoreResult<Option<String>> {
    let Some(note) = catalog.take_note(KIND, &hash(code)).await? else { return Ok(None) };
    let is_good = note.until.is_some_and(|until| until > now);
    let key = || serde_json::from_str::<Value>(&note.body).ok()?.get("key")?.as_str().map(str::to_owned);
    Ok(if is_good { key() } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Memory;

    #[actix_rt::test]
    async fn a_code_is_good_once_and_for_a_while() {
        let (store, now) = (Memory::new(), Timestamp::from_millis(1_000_000));
        let (code, until) = make(&store, "olga", now).await.unwrap();
        assert!(!format!("{:?}", store.notes(KIND, None, 9).await).contains(&code), "the store has no code");
        assert_eq!(take(&store, &code, now).await.unwrap().as_deref(), Some("olga"));
        assert_eq!(take(&store, &code, now).await.unwrap(), None, "used up");
        let (code, _) = make(&store, "olga", now).await.unwrap();
        assert_eq!(take(&store, &code, until).await.unwrap(), None, "over");
        assert_eq!(take(&store, "nonsense", now).await.unwrap(), None);
    }
}

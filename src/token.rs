//! Task tokens: a signed [`TaskKey`], as text that a worker gives back.
//!
//! ```text
//! base64url( version · key id · partition (2) · execution (16) · event id (varint) ·
//!            HMAC-SHA256 of all that, first 16 bytes )
//! ```
//!
//! 52 characters at most for any task of a history within its limit, never more than 62: it fits AMQP's
//! `correlation_id` and a URL. The token says which task and which partition, so that a reply finds its execution
//! without a lookup; the signature says that we made it. A token is a secret (its holder can end the task): logs carry
//! its [`fingerprint`].

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::ids::{EventId, ExecutionId, PartitionId, TaskKey};

mod key_file;
pub mod link;

pub use key_file::{KeyFileError, copy_file, load_or_create};

/// The form of a token; another form gets another number, and the old one stays readable.
const FORM: u8 = 1;
/// Form, key id, partition, execution.
const FIXED_BYTES: usize = 1 + 1 + 2 + 16;
/// 128 bits: beyond guessing, and short enough for every header.
const TAG_BYTES: usize = 16;
/// A `u64` as varint takes 1 to 10 bytes.
const VARINT_BYTES_MAX: usize = 10;
/// The shortest secret that signs tokens: 128 bits.
pub const SECRET_BYTES_MIN: usize = 16;

/// Why a text is not a token of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenDefect {
    /// Not the form of a token at all: cut off, extended, another alphabet, made by a newer version.
    #[error("the text is not a task token")]
    Malformed,
    /// It has the form, but none of our keys has its key id: it was made by another installation, or its key was taken
    /// out.
    #[error("the task token was signed with a key that is not (or no longer) among engine.token_key")]
    UnknownKey,
    /// The signature does not fit: the token was changed or made up.
    #[error("the signature of the task token is wrong")]
    Forged,
}

impl TokenDefect {
    /// For a metric's label: a closed set.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown-key",
            Self::Forged => "forged",
        }
    }
}

/// Why a text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error(
        "no key is given; allowed: one or more secrets as hex or base64, newest first, separated by commas or white \
         space"
    )]
    Empty,
    #[error("secret {position} is neither hex nor base64")]
    NotText { position: usize },
    #[error("secret {position} has {bytes} bytes; at least {SECRET_BYTES_MIN} are needed")]
    Short { position: usize, bytes: usize },
}

/// One key, ready to sign. It keeps the keyed hash, not the secret.
#[derive(Clone)]
struct Key {
    id: u8,
    mac: Hmac<Sha256>,
}

impl Key {
    fn new(secret: &[u8]) -> Option<Self> {
        // The id comes from the secret, so that operators need not number keys; equal ids of two keys only cost one
        // more comparison.
        let id = Sha256::new().chain_update(b"reveille token key id").chain_update(secret).finalize()[0];
        Hmac::<Sha256>::new_from_slice(secret).ok().map(|mac| Self { id, mac })
    }

    fn tag(&self, signed: &[u8]) -> [u8; TAG_BYTES] {
        let full = self.mac.clone().chain_update(signed).finalize().into_bytes();
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&full[..TAG_BYTES]);
        tag
    }
}

/// The keys that sign tokens: the newest signs, all of them verify. Cheap to clone.
#[derive(Clone)]
pub struct TokenKeys {
    newest: Key,
    older: Vec<Key>,
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKeys({} keys)", self.older.len() + 1)
    }
}

impl TokenKeys {
    /// Reads secrets, newest first, each hex or base64, separated by commas or white space; `#` begins a comment up to
    /// the line's end.
    pub fn parse(text: &SecretString) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        let words = text.expose_secret().lines().flat_map(|line| {
            let line = line.split('#').next().unwrap_or_default();
            line.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty())
        });
        for (at, word) in words.enumerate() {
            let position = at + 1;
            let secret = decode_secret(word).ok_or(KeyError::NotText { position })?;
            if secret.len() < SECRET_BYTES_MIN {
                return Err(KeyError::Short { position, bytes: secret.len() });
            }
            keys.push(Key::new(&secret).ok_or(KeyError::NotText { position })?);
        }
        let mut keys = keys.into_iter();
        let newest = keys.next().ok_or(KeyError::Empty)?;
        Ok(Self { newest, older: keys.collect() })
    }

    /// A secret for another purpose, made from the newest key: knowing it tells nothing of the key.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        self.newest.mac.clone().chain_update(b"reveille derive ").chain_update(purpose).finalize().into_bytes().into()
    }

    /// A signature for another purpose than tasks'.
    #[must_use]
    pub fn sign(&self, purpose: &str, signed: &[u8]) -> [u8; 32] {
        signature(&self.newest, purpose, signed).finalize().into_bytes().into()
    }

    /// Tells whether one of our keys made this signature.
    #[must_use]
    pub fn is_signed(&self, purpose: &str, signed: &[u8], tag: &[u8]) -> bool {
        let mut keys = std::iter::once(&self.newest).chain(&self.older);
        keys.any(|key| signature(key, purpose, signed).verify_slice(tag).is_ok())
    }

    /// The token of a task. The same key and task give the same token: publishing again after a crash repeats it.
    #[must_use]
    pub fn mint(&self, task: &TaskKey, partition: PartitionId) -> String {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + VARINT_BYTES_MAX + TAG_BYTES);
        bytes.extend([FORM, self.newest.id]);
        bytes.extend(partition.0.to_be_bytes());
        bytes.extend(task.execution.0.as_bytes());
        write_varint(task.scheduled.0, &mut bytes);
        let tag = self.newest.tag(&bytes);
        bytes.extend(tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Which task a token belongs to, if one of our keys signed it.
    pub fn verify(&self, token: &str) -> Result<(TaskKey, PartitionId), TokenDefect> {
        // Longer than any token of ours: not worth decoding.
        if token.len() > (FIXED_BYTES + VARINT_BYTES_MAX + TAG_BYTES).div_ceil(3) * 4 {
            return Err(TokenDefect::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| TokenDefect::Malformed)?;
        let (signed, tag) =
            bytes.len().checked_sub(TAG_BYTES).map(|at| bytes.split_at(at)).ok_or(TokenDefect::Malformed)?;
        let (fixed, varint) = signed.split_at_checked(FIXED_BYTES).ok_or(TokenDefect::Malformed)?;
        let scheduled = read_varint(varint).ok_or(TokenDefect::Malformed)?;
        if fixed[0] != FORM {
            return Err(TokenDefect::Malformed);
        }
        let mut known = false;
        let mut genuine = false;
        for key in std::iter::once(&self.newest).chain(&self.older).filter(|key| key.id == fixed[1]) {
            known = true;
            genuine |= bool::from(key.tag(signed).ct_eq(tag));
        }
        if !genuine {
            return Err(if known { TokenDefect::Forged } else { TokenDefect::UnknownKey });
        }
        let partition = PartitionId(u16::from_be_bytes([fixed[2], fixed[3]]));
        let execution = uuid::Uuid::from_slice(&fixed[4..]).map_err(|_| TokenDefect::Malformed)?;
        Ok((TaskKey { execution: ExecutionId(execution), scheduled: EventId(scheduled) }, partition))
    }
}

/// The mark of a token in logs: enough to recognise it, nothing to use it with. 12 hex digits of its SHA-256.
#[must_use]
pub fn fingerprint(token: &str) -> String {
    hex::encode(&Sha256::digest(token.as_bytes())[..6])
}

/// A new random secret, as hex: 256 bits from the operating system's generator.
#[must_use]
pub fn new_secret() -> SecretString {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes);
    SecretString::from(hex::encode(bytes))
}

/// No text that a token or [`TokenKeys::derive`] signs begins like this.
fn signature(key: &Key, purpose: &str, signed: &[u8]) -> Hmac<Sha256> {
    key.mac.clone().chain_update(b"reveille sign ").chain_update(purpose).chain_update([0]).chain_update(signed)
}

fn decode_secret(word: &str) -> Option<Vec<u8>> {
    if let Ok(bytes) = hex::decode(word) {
        return Some(bytes);
    }
    [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD].into_iter().find_map(|form| form.decode(word).ok())
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// The whole of `bytes` as one varint in its shortest form.
fn read_varint(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > VARINT_BYTES_MAX {
        return None;
    }
    let last = bytes.len() - 1;
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate() {
        let continues = byte & 0x80 != 0;
        if continues == (at == last)
            || (at == last && last > 0 && *byte == 0)
            || (at == VARINT_BYTES_MAX - 1 && *byte > 1)
        {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const OLD: &str = "000102030405060708090a0b0c0d0e0f";
    const NEW: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

    fn keys(text: &str) -> TokenKeys {
        TokenKeys::parse(&SecretString::from(text)).unwrap()
    }

    fn task(scheduled: u64) -> TaskKey {
        TaskKey {
            execution: ExecutionId(Uuid::from_u128(0x0123_4567_89ab_7def_8123_4567_89ab_cdef)),
            scheduled: EventId(scheduled),
        }
    }

    #[test]
    fn a_token_is_short_safe_in_urls_and_always_the_same() {
        let keys = keys(NEW);
        let token = keys.mint(&task(25_000), PartitionId(7));
        assert_eq!(token.len(), 52);
        assert!(keys.mint(&task(u64::MAX), PartitionId(u16::MAX)).len() < 64);
        assert!(token.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{token}");
        assert_eq!(token, keys.mint(&task(25_000), PartitionId(7)));
        // Pinned: tokens that are out in the world must stay good.
        assert_eq!(keys.mint(&task(5), PartitionId(3)), "AasAAwEjRWeJq33vgSNFZ4mrze8FeVUzhvhAtvYGR9tm8ILq8g");
    }

    #[test]
    fn a_changed_bit_at_any_position_is_refused() {
        let keys = keys(NEW);
        let good = URL_SAFE_NO_PAD.decode(keys.mint(&task(300), PartitionId(7))).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(keys.verify(&URL_SAFE_NO_PAD.encode(&bad)).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_changed_character_at_any_position_is_refused() {
        let keys = keys(NEW);
        let good = keys.mint(&task(300), PartitionId(7));
        for at in 0..good.len() {
            for c in "AZaz09-_+/=. \u{e9}".chars() {
                let bad: String = good.chars().enumerate().map(|(i, old)| if i == at { c } else { old }).collect();
                assert!(bad == good || keys.verify(&bad).is_err(), "{bad}");
            }
        }
    }

    #[test]
    fn a_truncated_or_extended_token_is_refused() {
        let keys = keys(NEW);
        let good = keys.mint(&task(5), PartitionId(0));
        for end in 0..good.len() {
            assert!(keys.verify(&good[..end]).is_err(), "cut at {end}");
        }
        for tail in ["A", "AA", "AAAA", "=", " ", "\n", "\0"] {
            assert!(keys.verify(&format!("{good}{tail}")).is_err(), "{tail:?}");
        }
        assert_eq!(keys.verify(&"A".repeat(2_048)), Err(TokenDefect::Malformed));
    }

    #[test]
    fn the_token_of_another_execution_task_or_partition_is_another_token() {
        let keys = keys(NEW);
        let other = TaskKey { execution: ExecutionId(Uuid::from_u128(1)), ..task(5) };
        let tokens = [(task(5), 0), (task(6), 0), (task(5), 1), (other, 0)]
            .map(|(task, partition)| keys.mint(&task, PartitionId(partition)));
        for (at, token) in tokens.iter().enumerate() {
            assert_eq!(tokens.iter().filter(|t| *t == token).count(), 1, "{at}");
        }
        // The signature of one does not fit the body of another.
        let body = URL_SAFE_NO_PAD.decode(&tokens[3]).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(&tokens[0]).unwrap();
        let mixed = [&body[..body.len() - TAG_BYTES], &signature[signature.len() - TAG_BYTES..]].concat();
        assert_eq!(keys.verify(&URL_SAFE_NO_PAD.encode(mixed)), Err(TokenDefect::Forged));
    }

    #[test]
    fn keys_rotate_and_an_old_token_stays_good_until_its_key_is_taken_out() {
        let old = keys(OLD).mint(&task(5), PartitionId(1));
        let both = keys(&format!("{NEW}, {OLD}"));
        assert_eq!(both.verify(&old), Ok((task(5), PartitionId(1))));
        let new = both.mint(&task(5), PartitionId(1));
        assert_ne!(new, old);
        assert_eq!(keys(NEW).verify(&new), Ok((task(5), PartitionId(1))));
        assert_eq!(keys(NEW).verify(&old), Err(TokenDefect::UnknownKey));
    }

    #[test]
    fn a_longer_form_of_a_varint_is_refused_even_with_a_good_signature() {
        let keys = keys(NEW);
        for varint in [&[0x85, 0x00][..], &[0xff; 10], &[0x80], &[], &[5, 5]] {
            let mut bytes = vec![FORM, keys.newest.id, 0, 0];
            bytes.extend(task(0).execution.0.as_bytes());
            bytes.extend(varint);
            let tag = keys.newest.tag(&bytes);
            bytes.extend(tag);
            assert_eq!(keys.verify(&URL_SAFE_NO_PAD.encode(bytes)), Err(TokenDefect::Malformed), "{varint:?}");
        }
    }

    #[test]
    fn secrets_are_read_as_hex_or_base64_and_refused_where_they_are_weak() {
        let raw = hex::decode(NEW).unwrap();
        let token = keys(NEW).mint(&task(1), PartitionId(0));
        for form in [
            STANDARD.encode(&raw),
            STANDARD_NO_PAD.encode(&raw),
            URL_SAFE.encode(&raw),
            format!("# newest\n  {NEW} # good\n"),
        ] {
            assert_eq!(keys(&form).mint(&task(1), PartitionId(0)), token, "{form}");
        }
        let refused = |text: &str| TokenKeys::parse(&SecretString::from(text)).unwrap_err();
        assert_eq!(refused(" # nothing\n"), KeyError::Empty);
        assert_eq!(refused("0011"), KeyError::Short { position: 1, bytes: 2 });
        assert_eq!(refused(&format!("{NEW},not a key!")), KeyError::NotText { position: 2 });
    }

    #[test]
    fn nothing_printed_holds_a_secret() {
        let keys = keys(&format!("{NEW},{OLD}"));
        assert_eq!(format!("{keys:?}"), "TokenKeys(2 keys)");
        assert!(!format!("{:?}", new_secret()).contains(|c: char| c.is_ascii_digit()));
        let token = keys.mint(&task(5), PartitionId(1));
        let print = fingerprint(&token);
        assert_eq!(print.len(), 12);
        assert!(!token.contains(&print));
    }

    proptest! {
        #[test]
        fn every_task_comes_back_from_its_token(execution: u128, scheduled: u64, partition: u16) {
            let task = TaskKey { execution: ExecutionId(Uuid::from_u128(execution)), scheduled: EventId(scheduled) };
            let keys = keys(NEW);
            let token = keys.mint(&task, PartitionId(partition));
            prop_assert!(token.len() < 64);
            prop_assert_eq!(keys.verify(&token), Ok((task, PartitionId(partition))));
        }

        #[test]
        fn no_text_makes_the_check_panic_or_pass(text in ".{0,100}") {
            prop_assert!(keys(NEW).verify(&text).is_err());
        }
    }

    #[test]
    fn a_signature_holds_for_its_purpose_and_outlives_a_rotation() {
        let old = keys(OLD).sign("tells", b"text");
        let both = keys(&format!("{NEW}, {OLD}"));
        assert!(
            both.is_signed("tells", b"text", &old) && both.is_signed("tells", b"text", &both.sign("tells", b"text"))
        );
        for (keys, purpose, text) in
            [(&both, "other", "text"), (&both, "tells", "texts"), (&keys(NEW), "tells", "text")]
        {
            assert!(!keys.is_signed(purpose, text.as_bytes(), &old));
        }
        assert!(!both.is_signed("tells", b"text", &old[..31]) && !both.is_signed("tells", b"text", &[]));
    }
}

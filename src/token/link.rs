//! The code of an approval link: the task, the buttons that it allows, its end, and for whom and by whom it was made,
//! with a signature. It says all that a page needs, so nothing is stored when a link is made; its holder may act on
//! that task until then.
//!
//! ```text
//! base64url( form · key id · execution (16) · event id (8) · end (8) · buttons (2) · length, name · length, maker ·
//!            HMAC-SHA256 (32) )
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Key, TokenDefect, TokenKeys};
use crate::ids::{EventId, ExecutionId, TaskKey};

/// The form of a code; another form gets another number.
const FORM: u8 = 1;
const MAC_BYTES: usize = 32;
const FIXED_BYTES: usize = 1 + 1 + 16 + 8 + 8 + 2;
/// Names of people and makers are cut here: an address of e-mail has 254 bytes at most.
const NAME_BYTES_MAX: usize = 255;
/// Signed together with the code: a token or a derived key is never the same bytes.
const PURPOSE: &[u8] = b"reveille link ";

/// An approval link, as its code has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub task: TaskKey,
    /// One bit for each button of the task's form that it allows, the first the lowest.
    pub actions: u16,
    /// Milliseconds since 1970, after which it is over.
    pub until: i64,
    /// The person that it was made for.
    pub audience: String,
    /// The person that made it.
    pub maker: String,
}

/// How a link is named where it must not be shown: 128 bits of the hash of its code, as hex.
#[must_use]
pub fn id(code: &str) -> String {
    hex::encode(&Sha256::digest(code.as_bytes())[..16])
}

impl TokenKeys {
    /// The code of a link: the same for the same link.
    #[must_use]
    pub fn seal_link(&self, link: &Link) -> String {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + link.audience.len() + link.maker.len() + 2 + MAC_BYTES);
        bytes.extend([FORM, self.newest.id]);
        bytes.extend(link.task.execution.0.as_bytes());
        bytes.extend(link.task.scheduled.0.to_be_bytes());
        bytes.extend(link.until.to_be_bytes());
        bytes.extend(link.actions.to_be_bytes());
        for name in [&link.audience, &link.maker] {
            let name = cut(name);
            bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            bytes.extend(name.as_bytes());
        }
        let mac = mac(&self.newest, &bytes);
        bytes.extend(mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The link of a code that one of our keys signed.
    pub fn open_link(&self, code: &str) -> Result<Link, TokenDefect> {
        let longest = FIXED_BYTES + 2 * (NAME_BYTES_MAX + 1) + MAC_BYTES;
        if code.len() > longest.div_ceil(3) * 4 {
            return Err(TokenDefect::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(code).map_err(|_| TokenDefect::Malformed)?;
        let at = bytes.len().checked_sub(MAC_BYTES).ok_or(TokenDefect::Malformed)?;
        let (signed, given) = bytes.split_at(at);
        let (fixed, mut names) = signed.split_at_checked(FIXED_BYTES).ok_or(TokenDefect::Malformed)?;
        if fixed[0] != FORM {
            return Err(TokenDefect::Malformed);
        }
        let (mut known, mut genuine) = (false, false);
        for key in std::iter::once(&self.newest).chain(&self.older).filter(|key| key.id == fixed[1]) {
            known = true;
            genuine |= bool::from(mac(key, signed).ct_eq(given));
        }
        if !genuine {
            return Err(if known { TokenDefect::Forged } else { TokenDefect::UnknownKey });
        }
        let execution = uuid::Uuid::from_slice(&fixed[2..18]).map_err(|_| TokenDefect::Malformed)?;
        let eight = |from: usize| fixed.get(from..from + 8).and_then(|part| <[u8; 8]>::try_from(part).ok());
        let scheduled = u64::from_be_bytes(eight(18).ok_or(TokenDefect::Malformed)?);
        let until = i64::from_be_bytes(eight(26).ok_or(TokenDefect::Malformed)?);
        let actions = u16::from_be_bytes([fixed[34], fixed[35]]);
        let audience = name(&mut names).ok_or(TokenDefect::Malformed)?;
        let maker = name(&mut names).ok_or(TokenDefect::Malformed)?;
        let task = TaskKey { execution: ExecutionId(execution), scheduled: EventId(scheduled) };
        Ok(Link { task, actions, until, audience, maker })
    }
}

fn mac(key: &Key, signed: &[u8]) -> [u8; MAC_BYTES] {
    key.mac.clone().chain_update(PURPOSE).chain_update(signed).finalize().into_bytes().into()
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}

fn name(bytes: &mut &[u8]) -> Option<String> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    *bytes = rest;
    String::from_utf8(name.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::SecretString;
    use uuid::Uuid;

    use super::*;
    use crate::ids::PartitionId;

    fn keys(text: &str) -> TokenKeys {
        TokenKeys::parse(&SecretString::from(text)).unwrap()
    }

    const OLD: &str = "000102030405060708090a0b0c0d0e0f";
    const NEW: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

    fn link(audience: &str) -> Link {
        let task = TaskKey { execution: ExecutionId(Uuid::from_u128(7)), scheduled: EventId(9) };
        Link { task, actions: 3, until: 1_700_000_000_000, audience: audience.into(), maker: "key deploy".into() }
    }

    #[test]
    fn a_changed_bit_at_any_position_is_refused() {
        let keys = keys(NEW);
        let good = URL_SAFE_NO_PAD.decode(keys.seal_link(&link("olga@example.com"))).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(keys.open_link(&URL_SAFE_NO_PAD.encode(&bad)).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_code_is_no_token_and_a_token_no_code() {
        let keys = keys(NEW);
        let code = keys.seal_link(&link("olga@example.com"));
        assert!(code.len() < 160, "{} characters fit a line of a mail", code.len());
        assert!(keys.verify(&code).is_err());
        assert!(keys.open_link(&keys.mint(&link("").task, PartitionId(1))).is_err());
        assert_eq!((id(&code).len(), id(&code) == id("other")), (32, false));
    }

    #[test]
    fn keys_rotate() {
        let old = keys(OLD).seal_link(&link("o"));
        assert_eq!(keys(&format!("{NEW},{OLD}")).open_link(&old), Ok(link("o")));
        assert_eq!(keys(NEW).open_link(&old), Err(TokenDefect::UnknownKey));
    }

    proptest! {
        #[test]
        fn every_link_comes_back_and_long_names_are_cut(audience in ".{0,300}", scheduled: u64, actions: u16, until: i64) {
            let keys = keys(NEW);
            let task = TaskKey { scheduled: EventId(scheduled), ..link("").task };
            let link = Link { task, actions, until, audience, maker: String::new() };
            let found = keys.open_link(&keys.seal_link(&link)).unwrap();
            prop_assert!(link.audience.starts_with(&found.audience) && found.audience.len() + 4 > link.audience.len().min(255));
            prop_assert_eq!(Link { audience: link.audience.clone(), ..found }, link);
        }

        #[test]
        fn no_text_makes_the_check_panic_or_pass(text in ".{0,300}") {
            prop_assert!(keys(NEW).open_link(&text).is_err());
        }
    }
}

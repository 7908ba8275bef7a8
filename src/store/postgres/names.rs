//! The keys under which ARNs and other texts stand in indexes.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ids::Arn;

/// The length of a UUID with its hyphens. A UUID in another form is a name like any other.
const UUID_CHARS: usize = 36;
/// The bytes of a UUID of version 7 that hold its time.
const TIME_BYTES: usize = 6;

/// The first 16 bytes of a text's SHA-256: two texts do not meet in it.
pub(super) fn digest(text: &str) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
    Uuid::from_bytes(bytes)
}

pub(super) fn key(arn: &Arn) -> Uuid {
    digest(arn.as_str())
}

/// The key of an execution's name. A generated name is a UUID of version 7: its time takes the place of the first
/// bytes, so that executions that start together lie together in the index, and a commit writes the right edge of it.
pub(super) fn arn_key(arn: &Arn) -> Uuid {
    let mut bytes = key(arn).into_bytes();
    if let Some(name) = generated(arn) {
        bytes[..TIME_BYTES].copy_from_slice(&name.as_bytes()[..TIME_BYTES]);
    }
    Uuid::from_bytes(bytes)
}

/// The name, where it has the form of a generated one.
pub(super) fn generated(arn: &Arn) -> Option<Uuid> {
    let name = arn.as_str().rsplit(':').next().filter(|name| name.len() == UUID_CHARS)?;
    Uuid::try_parse(name).ok().filter(|name| name.get_version_num() == 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Uuid {
        arn_key(&Arn::new(format!("arn:aws:states:us-east-1:000000000000:execution:m:{name}")))
    }

    #[test]
    fn names_with_a_time_have_keys_in_its_order_and_others_a_digest() {
        let at =
            |millis: u128, rest: u128| Uuid::from_u128((millis << 80) | 0x7000_8000_0000_0000_0000 | rest).to_string();
        let keys: Vec<Uuid> = (0..200).map(|n| of(&at(1_700_000_000_000 + n, n.wrapping_mul(0x9E37_79B9)))).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
        let meeting = (0..1_000).map(|n| of(&at(1_700_000_000_000, n))).collect::<std::collections::HashSet<_>>();
        assert_eq!(meeting.len(), 1_000);
        // Version 4, no UUID, and no name: scattered over all keys.
        let time = Uuid::parse_str(&at(1_700_000_000_000, 0)).unwrap().as_bytes()[..4].to_vec();
        for scattered in ["3f2504e0-4f89-41d3-9a0c-0305e82c3301", "order-17", ""] {
            assert_eq!(of(scattered), of(scattered));
            assert_ne!(of(scattered).as_bytes()[..4], time, "{scattered}");
        }
    }
}

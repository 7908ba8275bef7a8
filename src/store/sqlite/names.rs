//! The key under which the name of an execution is found.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ids::Arn;

/// The length of a UUID with its hyphens. A UUID in another form is a name like any other.
const UUID_CHARS: usize = 36;

/// The first 8 bytes of the ARN's SHA-256, so that a client cannot choose names with the same key. Where two keys are
/// the same, the text decides. Executions without a name of their own get a UUID of version 7: its time stands before
/// two bytes of the digest. Executions that start together then lie together in the index, and a commit writes the
/// right edge of the index instead of a page for each.
pub(super) fn arn_key(arn: &Arn) -> i64 {
    let digest = Sha256::digest(arn.as_str().as_bytes());
    let key = digest.iter().take(8).fold(0_i64, |key, byte| (key << 8) | i64::from(*byte));
    let name = arn
        .as_str()
        .rsplit(':')
        .next()
        .filter(|name| name.len() == UUID_CHARS)
        .and_then(|name| Uuid::try_parse(name).ok());
    match name.filter(|name| name.get_version_num() == 7) {
        Some(name) => {
            let mut time = [0; 8];
            time[..6].copy_from_slice(&name.as_bytes()[..6]);
            i64::from_be_bytes(time) | (key & 0xffff)
        }
        None => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> i64 {
        arn_key(&Arn::new(format!("arn:aws:states:us-east-1:000000000000:execution:m:{name}")))
    }

    #[test]
    fn names_with_a_time_have_keys_in_its_order_and_others_a_digest() {
        let at =
            |millis: u128, rest: u128| Uuid::from_u128((millis << 80) | 0x7000_8000_0000_0000_0000 | rest).to_string();
        let keys: Vec<i64> = (0..200).map(|n| key(&at(1_700_000_000_000 + n, n.wrapping_mul(0x9E37_79B9)))).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
        assert!(keys.iter().all(|key| key >> 16 >= 1_700_000_000_000));
        let meeting = (0..1_000).map(|n| key(&at(1_700_000_000_000, n))).collect::<std::collections::HashSet<_>>();
        assert!(meeting.len() > 950, "of those of one moment {} keys are there", meeting.len());
        // Version 4, no UUID, and a machine's name instead of an execution's: scattered over all keys.
        for scattered in ["3f2504e0-4f89-41d3-9a0c-0305e82c3301", "order-17", ""] {
            assert_eq!(key(scattered), key(scattered));
            assert!(!(1_600_000_000_000..2_000_000_000_000).contains(&(key(scattered) >> 16)), "{scattered}");
        }
    }
}

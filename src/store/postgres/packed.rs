//! Batches of journals, packed. Most are about a kilobyte of JSON whose words repeat, and PostgreSQL writes each byte
//! twice: into its log and into the table. A packed batch begins with a byte that begins no JSON:
//!
//! ```text
//! 01 · length of the batch, two bytes · LZ4 block
//! ```

use std::borrow::Cow;

const PACKED: u8 = 1;
const HEAD: usize = 3;
/// Longer ones stay as they are, so that a length can be read without many bytes ([`length`]).
const LONGEST: usize = 8_191;

/// SQL: the length of a batch of `journal j`, whether it is packed or not.
macro_rules! length {
    () => {
        "CASE WHEN octet_length(j.bytes) BETWEEN 4 AND 8191 THEN CASE get_byte(j.bytes, 0) WHEN 1 THEN \
           get_byte(j.bytes, 1) * 256 + get_byte(j.bytes, 2) ELSE octet_length(j.bytes) END ELSE octet_length(j.bytes) \
           END"
    };
}
pub(super) use length;

/// The batch as it is stored.
pub(super) fn pack(bytes: &[u8]) -> Cow<'_, [u8]> {
    let length = u16::try_from(bytes.len()).ok().filter(|length| usize::from(*length) <= LONGEST);
    let Some(length) = length else { return Cow::Borrowed(bytes) };
    let mut packed = vec![0; HEAD + lz4_flex::block::get_maximum_output_size(bytes.len())];
    let Ok(size) = lz4_flex::block::compress_into(bytes, &mut packed[HEAD..]) else { return Cow::Borrowed(bytes) };
    // A batch that looks as if it were packed has to be.
    if HEAD + size >= bytes.len() && bytes.first() != Some(&PACKED) {
        return Cow::Borrowed(bytes);
    }
    packed[0] = PACKED;
    packed[1..HEAD].copy_from_slice(&length.to_be_bytes());
    packed.truncate(HEAD + size);
    Cow::Owned(packed)
}

/// The batch of these stored bytes.
///
/// # Errors
/// They are damaged.
pub(super) fn unpack(stored: Vec<u8>) -> Result<Vec<u8>, String> {
    let [PACKED, high, low, block @ ..] = stored.as_slice() else { return Ok(stored) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let mut batch = vec![0; length];
    let size = lz4_flex::block::decompress_into(block, &mut batch).map_err(|error| error.to_string())?;
    if size == length { Ok(batch) } else { Err(format!("{size} bytes were packed, not {length}")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_that_repeat_are_stored_once() {
        let batch = r#"{"resource":"publish.waitForTaskToken","resource_type":"amqp"}"#.repeat(20).into_bytes();
        let stored = pack(&batch).into_owned();
        assert!(stored.len() < batch.len() / 5, "{} of {}", stored.len(), batch.len());
        assert_eq!(unpack(stored).unwrap(), batch);
    }

    #[test]
    fn a_long_batch_and_one_that_packs_to_nothing_less_stay_as_they_are() {
        let long = vec![b'{'; LONGEST + 1];
        assert!(matches!(pack(&long), Cow::Borrowed(_)));
        assert!(matches!(pack(b"{}"), Cow::Borrowed(_)));
        assert!(matches!(pack(b""), Cow::Borrowed(_)));
    }

    #[test]
    fn damage_is_an_error() {
        let stored = pack(&[b'{'; 500]).into_owned();
        for cut in 4..stored.len() {
            assert!(unpack(stored[..cut].to_vec()).is_err(), "{cut} bytes");
        }
        let mut longer = stored;
        longer[1] += 1;
        assert!(unpack(longer).is_err());
    }

    proptest! {
        #[test]
        fn a_batch_comes_back(batch in prop::collection::vec(0..3_u8, 0..3_000)) {
            prop_assert_eq!(unpack(pack(&batch).into_owned()).unwrap(), batch);
        }
    }
}

//! Messages that could not be read as they came. AMQP brokers pass on what their clients cannot take: texts that are
//! not UTF-8, tables without a bottom. The bus hands such a message out all the same, changed until it can be read, and
//! says so: everything that takes messages refuses it, parks it, and touches nothing beside it.

use std::fmt;

/// The changes in a message; several may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mended(u8);

impl Mended {
    /// A short string (a property, a header's name) that is not UTF-8: each bad byte is now `?`.
    pub const TEXT: Self = Self(1);
    /// Tables or arrays nested too deep: what lies deeper is now bytes.
    pub const DEEP: Self = Self(2);
    /// More values than a table may have: a part of it is now bytes.
    pub const MANY: Self = Self(4);
    /// Headers that cannot be taken apart: a part of them, or all, is now bytes.
    pub const MALFORMED: Self = Self(8);
    /// Properties that cannot be told apart: all are gone.
    pub const BLANK: Self = Self(16);
    /// The routing key alone is not UTF-8. The message itself is as it came and may be used.
    pub const KEY: Self = Self(32);
    /// Headers that are larger than a frame may be on this connection: they are gone, the properties stay.
    pub const LARGE: Self = Self(64);
    /// Connections ended again and again while it came in: its properties were left out unread.
    pub const DEADLY: Self = Self(128);

    /// Name of each reason, as metrics have it.
    pub const REASONS: [(Self, &'static str, &'static str); 8] = [
        (Self::TEXT, "text", "a property or a header's name is not UTF-8"),
        (Self::DEEP, "deep", "its headers are nested too deep (AMQP_DEPTH_MAX)"),
        (Self::MANY, "many", "its headers hold too many values (AMQP_VALUES_MAX)"),
        (Self::MALFORMED, "malformed", "its headers cannot be taken apart"),
        (Self::BLANK, "blank", "its properties cannot be told apart"),
        (Self::KEY, "key", "its routing key is not UTF-8"),
        (Self::LARGE, "large", "its headers are larger than a frame (frame_max)"),
        (Self::DEADLY, "deadly", "connections ended while it came in"),
    ];

    #[must_use]
    pub const fn none() -> Self {
        Self(0)
    }

    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// True where the message itself was changed: nothing in it can be trusted to be its sender's word.
    #[must_use]
    pub const fn spoils(self) -> bool {
        self.0 & !Self::KEY.0 != 0
    }

    /// Labels of a metric.
    pub fn reasons(self) -> impl Iterator<Item = &'static str> {
        Self::REASONS.into_iter().filter(move |(reason, ..)| self.has(*reason)).map(|(_, name, _)| name)
    }
}

/// The defect, for the reason of a refusal.
impl fmt::Display for Mended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message cannot be read as it came")?;
        for (n, (.., why)) in Self::REASONS.iter().filter(|(reason, ..)| self.has(*reason)).enumerate() {
            write!(f, "{}{why}", if n == 0 { ": " } else { "; " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_all_that_was_wrong() {
        let both = Mended::TEXT.and(Mended::DEEP);
        assert_eq!(both.reasons().collect::<Vec<_>>(), ["text", "deep"]);
        assert_eq!(
            both.to_string(),
            "the message cannot be read as it came: a property or a header's name is not UTF-8; its headers are nested too deep (AMQP_DEPTH_MAX)"
        );
        assert!(both.spoils() && !Mended::KEY.spoils() && Mended::KEY.and(Mended::TEXT).spoils());
        assert!(Mended::none().is_none());
    }
}

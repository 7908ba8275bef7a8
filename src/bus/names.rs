//! Names of all queues and exchanges that the engine owns. One place, one prefix (`bus.prefix`): two engines on one
//! virtual host take nothing from each other when their prefixes differ.

use std::sync::{Arc, LazyLock};

use crate::ids::PartitionId;

/// The prefix that the settings are shipped with.
pub const DEFAULT_PREFIX: &str = "reveille";
/// Bytes of a prefix: with an activity's name (80 characters) behind it a name still fits a short string of AMQP.
pub const PREFIX_BYTES_MAX: usize = 64;

/// The queue of HTTP Tasks: `http:invoke` goes there where no row of the settings says otherwise.
pub const HTTP_TASKS: &str = "http.invoke";

/// Gives each name. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    prefix: Arc<str>,
    /// Stands between `<prefix>.replies.` and the partition. A guest on a broker has a text of its own: it must not
    /// take the replies of the engine that lives there.
    guest: Arc<str>,
}

impl Default for Names {
    fn default() -> Self {
        Self::new(DEFAULT_PREFIX)
    }
}

impl Names {
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into(), guest: "".into() }
    }

    /// Names with reply queues of a guest's own.
    #[must_use]
    pub fn for_guest(prefix: &str, guest: &str) -> Self {
        Self { prefix: prefix.into(), guest: guest.into() }
    }

    /// The names of the shipped settings, for a bus that has no others.
    #[must_use]
    pub fn shipped() -> &'static Self {
        static SHIPPED: LazyLock<Names> = LazyLock::new(Names::default);
        &SHIPPED
    }

    /// Why a text cannot be a prefix.
    pub fn check(prefix: &str) -> Result<(), String> {
        let fits = prefix.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        let begins = prefix.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        // RabbitMQ keeps `amq.` for itself.
        if fits && begins && !prefix.ends_with('.') && prefix.len() <= PREFIX_BYTES_MAX && !prefix.starts_with("amq.") {
            return Ok(());
        }
        // A URL that came to the wrong key may hold a password.
        let shown = if prefix.contains('@') { "a text with an @" } else { prefix };
        Err(format!(
            "is '{shown}'; allowed: up to {PREFIX_BYTES_MAX} letters, digits, '-', '_' and '.', which begin with a \
             letter or a digit and do not end with '.'; 'amq.' is the broker's"
        ))
    }

    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The queue in which a partition's replies arrive.
    #[must_use]
    pub fn replies(&self, partition: PartitionId) -> String {
        format!("{}.replies.{}{partition}", self.prefix, self.guest)
    }

    /// True for every reply queue of this prefix, a guest's too.
    #[must_use]
    pub fn is_reply_queue(&self, queue: &str) -> bool {
        queue.strip_prefix(&*self.prefix).is_some_and(|rest| rest.starts_with(".replies."))
    }

    /// The queue in which a node hears the answers of others.
    #[must_use]
    pub fn node(&self, slot: u16) -> String {
        format!("{}.node.{slot}", self.prefix)
    }

    /// The queue of messages that cannot be used, each with its reason.
    #[must_use]
    pub fn parked(&self) -> String {
        format!("{}.parked", self.prefix)
    }

    /// The queue in which a message starts an execution, unless the settings name another.
    #[must_use]
    pub fn start(&self) -> String {
        format!("{}.start", self.prefix)
    }

    /// The queue of task messages that the broker gave up.
    #[must_use]
    pub fn dead_letters(&self) -> String {
        format!("{}.dead-letters", self.prefix)
    }

    /// The topic exchange of what happens to tasks and executions.
    #[must_use]
    pub fn events(&self) -> String {
        format!("{}.events", self.prefix)
    }

    /// The queue of an activity's tasks.
    #[must_use]
    pub fn activity(&self, name: &str) -> String {
        format!("{}.activity.{name}", self.prefix)
    }

    /// Queues without whose consumer the engine does its work all the same.
    #[must_use]
    pub fn is_aside(&self, queue: &str) -> bool {
        self.is_activity(queue) || queue == HTTP_TASKS
    }

    #[must_use]
    pub fn is_activity(&self, queue: &str) -> bool {
        queue.strip_prefix(&*self.prefix).is_some_and(|rest| rest.starts_with(".activity."))
    }

    /// The queue by which an engine sees that another one uses the same names.
    #[must_use]
    pub fn engine(&self) -> String {
        format!("{}.engine", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_begins_with_the_prefix() {
        let names = Names::new("shop.eu");
        let all = [
            (names.replies(PartitionId(3)), "shop.eu.replies.3"),
            (names.node(2), "shop.eu.node.2"),
            (names.parked(), "shop.eu.parked"),
            (names.start(), "shop.eu.start"),
            (names.dead_letters(), "shop.eu.dead-letters"),
            (names.events(), "shop.eu.events"),
            (names.activity("paint"), "shop.eu.activity.paint"),
            (names.engine(), "shop.eu.engine"),
            (Names::for_guest("shop.eu", "guest-1.").replies(PartitionId(0)), "shop.eu.replies.guest-1.0"),
            (Names::shipped().parked(), "reveille.parked"),
        ];
        for (name, expected) in all {
            assert_eq!(name, expected);
        }
        assert!(names.is_reply_queue("shop.eu.replies.guest-1.0") && !names.is_reply_queue("shop.eu.start"));
        assert!(!names.is_reply_queue("reveille.replies.0") && !names.is_reply_queue("shop.europe.replies.0"));
        assert!(names.is_aside(HTTP_TASKS) && names.is_aside("shop.eu.activity.a") && !names.is_aside("shop.eu.start"));
        assert!(names.is_activity("shop.eu.activity.a") && !names.is_activity("shop.eu.replies.0"));
    }

    #[test]
    fn a_prefix_that_is_no_name_is_refused() {
        for good in ["reveille", "shop.eu", "a", "A-1_b", "7"] {
            assert_eq!(Names::check(good), Ok(()), "{good}");
        }
        for bad in ["", ".a", "a.", "a b", "amq.a", "ä", "a/b", "a*", &"x".repeat(65)] {
            assert!(Names::check(bad).is_err(), "{bad}");
        }
    }
}

//! When a queue is taken apart from the others, and when a message in it is put aside. A connection that ends twice
//! while the same message comes in has met a message that no client can receive, or a network that fails at bad
//! moments. Pure: observations come in, actions come out. A wrong suspicion costs a connection and a few seconds, and
//! no message.
//!
//! ```text
//! Together ─ twice at the same message ─▶ Apart ─ twice more ─▶ Blank ─ twice more ─▶ Reject ─▶ Apart
//!    ▲                                      │ ▲                   │
//!    └──── enough came in, or none is left ─┘ └─ it came in ──────┘
//! ```
//!
//! Apart, only what happens while the other connection stays up counts: a broker or a network that goes takes both.

use std::time::Duration;

use tokio::time::Instant;

/// The marks of a message, the same at each delivery.
pub(super) type Print = u64;

/// Deaths at one message until the next thing is tried.
const DEATHS: u8 = 2;
/// Two deaths that are further apart have nothing to do with each other.
const MEMORY: Duration = Duration::from_mins(10);

/// How a queue is consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Course {
    /// With all others, on the connection that they share.
    #[default]
    Together,
    /// On a connection of its own, one message at a time.
    Apart,
    /// The same, and properties are left out before the library sees them.
    Blank,
    /// Its first message is rejected, without having come in.
    Reject,
}

/// How a message was put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aside {
    /// It came in without its properties, to be parked by its taker.
    Parked,
    /// It never came in. The broker has it where the queue's dead letters go, or nowhere.
    Rejected,
}

impl Aside {
    pub(super) const ALL: [Self; 2] = [Self::Parked, Self::Rejected];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Rejected => "rejected",
        }
    }
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct News {
    /// From `Together` to `Apart`, or back.
    pub(super) turned: Option<Course>,
    pub(super) aside: Option<Aside>,
}

/// The observations of one queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Case {
    course: Course,
    /// On their way when the last connection ended.
    last: Option<(Vec<Print>, Instant)>,
    /// At the same message, on this course.
    deaths: u8,
    /// So many more must come in until the queue goes back to the others.
    left: usize,
    /// Rejected, and not seen again so far.
    rejected: Option<Print>,
}

impl Case {
    pub(super) const fn course(&self) -> Course {
        self.course
    }

    /// Nothing is suspected, and nothing remembered that still counts.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.course == Course::Together && self.last.as_ref().is_none_or(|(_, at)| now - *at > MEMORY)
    }

    /// The connection ended while these were on their way. `alone`: the one of the other queues stayed up. `window`: so
    /// many messages may have been out.
    pub(super) fn died(&mut self, arriving: &[Print], alone: bool, window: usize, now: Instant) -> News {
        let mut news = News::default();
        if arriving.is_empty() || (self.course != Course::Together && !alone) {
            return news;
        }
        let same = self
            .last
            .as_ref()
            .filter(|(_, at)| now - *at <= MEMORY)
            .is_some_and(|(last, _)| last.iter().any(|print| arriving.contains(print)));
        self.last = Some((arriving.to_vec(), now));
        if self.course == Course::Together {
            if same {
                self.turn(Course::Apart, window);
                news.turned = Some(Course::Apart);
            }
            return news;
        }
        news.aside = self.rejected.take_if(|rejected| !arriving.contains(rejected)).map(|_| Aside::Rejected);
        self.deaths = if same { self.deaths + 1 } else { 1 };
        if self.deaths >= DEATHS {
            match self.course {
                Course::Apart => self.turn(Course::Blank, window),
                _ => self.turn(Course::Reject, window),
            }
        }
        news
    }

    /// A message came in whole while the queue was apart.
    pub(super) fn came(&mut self, window: usize) -> News {
        let mut news = News { aside: self.rejected.take().map(|_| Aside::Rejected), turned: None };
        match self.course {
            Course::Together | Course::Reject => {}
            Course::Blank => {
                news.aside = Some(Aside::Parked);
                self.turn(Course::Apart, window);
            }
            Course::Apart => {
                self.deaths = 0;
                self.left = self.left.saturating_sub(1);
                if self.left == 0 {
                    news.turned = Some(self.back());
                }
            }
        }
        news
    }

    /// Nothing comes in any more, and the connection holds.
    pub(super) fn quiet(&mut self) -> News {
        let aside = self.rejected.take().map(|_| Aside::Rejected);
        News { aside, turned: (self.course != Course::Together).then(|| self.back()) }
    }

    /// The first message was rejected: the last message that was on its way.
    pub(super) fn rejected(&mut self, window: usize) {
        self.rejected = self.last.as_ref().and_then(|(last, _)| last.first().copied());
        self.turn(Course::Apart, window);
    }

    fn turn(&mut self, course: Course, window: usize) {
        (self.course, self.deaths, self.left) = (course, 0, window.max(1));
    }

    fn back(&mut self) -> Course {
        *self = Self::default();
        self.course
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: usize = 3;

    struct Seen {
        case: Case,
        now: Instant,
    }

    impl Seen {
        fn new() -> Self {
            Self { case: Case::default(), now: Instant::now() }
        }

        fn died(&mut self, arriving: &[Print], alone: bool) -> (Course, News) {
            self.now += Duration::from_secs(1);
            let news = self.case.died(arriving, alone, WINDOW, self.now);
            (self.case.course(), news)
        }
    }

    fn turned(course: Course) -> News {
        News { turned: Some(course), aside: None }
    }

    fn aside(how: Aside) -> News {
        News { turned: None, aside: Some(how) }
    }

    const NONE: News = News { turned: None, aside: None };

    #[test]
    fn a_message_that_cannot_come_in_is_tried_alone_then_blank_and_then_rejected() {
        let mut seen = Seen::new();
        assert_eq!(seen.died(&[1, 7, 2], false), (Course::Together, NONE));
        assert_eq!(seen.died(&[7, 3], false), (Course::Apart, turned(Course::Apart)));
        assert_eq!(seen.died(&[7], true), (Course::Apart, NONE));
        assert_eq!(seen.died(&[7], true), (Course::Blank, NONE));
        assert_eq!(seen.died(&[7], true), (Course::Blank, NONE));
        assert_eq!(seen.died(&[7], true), (Course::Reject, NONE));
        seen.case.rejected(WINDOW);
        assert_eq!(seen.case.course(), Course::Apart);
        assert_eq!(seen.case.came(WINDOW), aside(Aside::Rejected), "told once the next one is here");
        assert_eq!((seen.case.came(WINDOW), seen.case.came(WINDOW)), (NONE, turned(Course::Together)));
        assert_eq!(seen.case, Case::default());
    }

    #[test]
    fn what_comes_in_blank_is_parked_and_the_queue_stays_apart_for_those_behind_it() {
        let mut seen = Seen::new();
        for _ in 0..4 {
            seen.died(&[7], true);
        }
        assert_eq!((seen.case.course(), seen.case.came(WINDOW)), (Course::Blank, aside(Aside::Parked)));
        assert_eq!((seen.case.course(), seen.case.quiet()), (Course::Apart, turned(Course::Together)));
    }

    #[test]
    fn a_wrong_suspicion_ends_by_itself() {
        let mut seen = Seen::new();
        seen.died(&[7], false);
        seen.died(&[7], false);
        seen.died(&[7], true);
        assert_eq!(
            [seen.case.came(WINDOW), seen.case.came(WINDOW), seen.case.came(WINDOW)],
            [NONE, NONE, turned(Course::Together)]
        );
        assert_eq!(seen.case.quiet(), NONE, "that is no news of a queue that is with the others");
    }

    #[test]
    fn brokers_and_networks_that_go_are_no_messages_fault() {
        let mut seen = Seen::new();
        for n in 0..20 {
            assert_eq!(seen.died(&[n, n + 100], false), (Course::Together, NONE), "never the same one");
            assert_eq!(seen.died(&[], false), (Course::Together, NONE), "nothing was on its way");
        }
        seen.now += MEMORY;
        assert_eq!(seen.died(&[19], false), (Course::Together, NONE), "too long ago");
        seen.now += MEMORY * 2;
        assert!(seen.case.is_over(seen.now));
        // apart already, both connections are cut again and again
        seen.died(&[7], false);
        seen.died(&[7], false);
        for _ in 0..20 {
            assert_eq!(seen.died(&[7], false), (Course::Apart, NONE));
            assert_eq!(seen.died(&[], true), (Course::Apart, NONE));
        }
        // and its own at another message each time
        for n in 0..20 {
            assert_eq!(seen.died(&[n], true), (Course::Apart, NONE));
        }
        assert!(!seen.case.is_over(seen.now + MEMORY * 2));
    }

    #[test]
    fn each_of_several_is_put_aside_and_counted_once() {
        let mut seen = Seen::new();
        seen.died(&[1], false);
        seen.died(&[1], false);
        let mut asides = 0;
        for message in 1..=5 {
            while seen.case.course() != Course::Reject {
                asides += usize::from(seen.died(&[message], true).1.aside.is_some());
            }
            seen.case.rejected(WINDOW);
            // the broker did not hear it in time: the same message again
            if message == 3 {
                while seen.case.course() != Course::Reject {
                    asides += usize::from(seen.died(&[message], true).1.aside.is_some());
                }
                seen.case.rejected(WINDOW);
            }
        }
        asides += usize::from(seen.case.quiet().aside.is_some());
        assert_eq!(asides, 5);
    }
}

//! Signed-in people: sessions in memory, each made with an access key of the API. A cookie holds 256 random bits; only
//! their hash is kept here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::limits::{SESSIONS_MAX, SIGN_IN_TRIES};

/// A session ends when it was not used for so long.
const IDLE: Duration = Duration::from_hours(8);
/// A session ends after so long in any case.
const AGE: Duration = Duration::from_hours(24 * 7);
/// Wrong tries are forgotten after so long.
const TRIES_WITHIN: Duration = Duration::from_mins(1);

#[derive(Default)]
pub struct Sessions {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: HashMap<[u8; 32], Session>,
    wrong: Vec<Instant>,
}

struct Session {
    key: String,
    made: Instant,
    used: Instant,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.made) > AGE || now.duration_since(self.used) > IDLE
    }
}

fn hash(cookie: &str) -> [u8; 32] {
    Sha256::digest(cookie).into()
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session of this key: what its cookie holds. The session that was used the longest ago makes room.
    pub fn begin(&self, key: &str, now: Instant) -> String {
        let cookie = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let mut state = self.lock();
        state.open.retain(|_, session| !session.is_over(now));
        if state.open.len() >= SESSIONS_MAX {
            let oldest = state.open.iter().min_by_key(|(_, session)| session.used).map(|(hash, _)| *hash);
            oldest.map(|hash| state.open.remove(&hash));
        }
        state.open.insert(hash(&cookie), Session { key: key.to_owned(), made: now, used: now });
        cookie
    }

    /// The key of the session that this cookie belongs to.
    pub fn key(&self, cookie: &str, now: Instant) -> Option<String> {
        let mut state = self.lock();
        let session = state.open.get_mut(&hash(cookie)).filter(|session| !session.is_over(now))?;
        session.used = now;
        Some(session.key.clone())
    }

    pub fn end(&self, cookie: &str) {
        self.lock().open.remove(&hash(cookie));
    }

    /// A wrong try: how many there were lately.
    pub fn wrong(&self, now: Instant) {
        let wrong = &mut self.lock().wrong;
        wrong.retain(|at| now.duration_since(*at) < TRIES_WITHIN);
        if wrong.len() < SIGN_IN_TRIES {
            wrong.push(now);
        }
    }

    /// So many tries were wrong lately that no more are taken.
    pub fn is_shut(&self, now: Instant) -> bool {
        let state = self.lock();
        state.wrong.iter().filter(|at| now.duration_since(**at) < TRIES_WITHIN).count() >= SIGN_IN_TRIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_known_by_its_cookie_until_it_ends() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let (one, two) = (sessions.begin("reader", now), sessions.begin("admin", now));
        assert_ne!(one, two);
        assert_eq!(one.len(), 43, "256 bits");
        assert_eq!(sessions.key(&one, now).as_deref(), Some("reader"));
        assert_eq!(sessions.key(&two, now).as_deref(), Some("admin"));
        assert_eq!(sessions.key("nonsense", now), None);
        sessions.end(&one);
        assert_eq!(sessions.key(&one, now), None);
        let later = now + IDLE / 2;
        assert!(sessions.key(&two, later).is_some());
        assert!(sessions.key(&two, later + IDLE + Duration::from_secs(1)).is_none(), "not used for hours");
        let used = sessions.begin("x", now);
        let mut at = now;
        while at.duration_since(now) < AGE {
            assert!(sessions.key(&used, at).is_some());
            at += IDLE / 2;
        }
        assert!(sessions.key(&used, at + IDLE / 2).is_none(), "over after a week");
    }

    #[test]
    fn sessions_and_tries_have_a_bound() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let first = sessions.begin("k", now);
        for n in 0..SESSIONS_MAX {
            sessions.begin("k", now + Duration::from_millis(1 + n as u64));
        }
        assert_eq!(sessions.lock().open.len(), SESSIONS_MAX);
        assert!(sessions.key(&first, now).is_none(), "the oldest made room");
        for _ in 0..SIGN_IN_TRIES {
            assert!(!sessions.is_shut(now));
            sessions.wrong(now);
        }
        assert!(sessions.is_shut(now));
        assert!(!sessions.is_shut(now + TRIES_WITHIN));
    }
}

//! `clientToken` of `RedriveExecution`: the same token within 15 minutes gets the same answer (AWS keeps the last 10 of an execution).
//!
//! Kept in memory: after a restart a repeated redrive is decided by the execution's state, which refuses it while it runs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::ids::Arn;

const TOKENS_MAX: usize = 10;
const TOKEN_SECONDS: f64 = 15.0 * 60.0;
/// Executions remembered; beyond it the whole memory is swept of what has expired, and new tokens are not kept until there is room.
const EXECUTIONS_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub struct Redrives(Mutex<HashMap<Arn, VecDeque<Redrive>>>);

#[derive(Debug)]
struct Redrive {
    token: String,
    at: Timestamp,
}

impl Redrives {
    /// When this token redrove this execution, if it did lately.
    pub fn find(&self, execution: &Arn, token: &str, now: Timestamp) -> Option<Timestamp> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let redrives = memory.get(execution)?;
        redrives.iter().find(|r| r.token == token && r.at.plus_seconds(TOKEN_SECONDS) > now).map(|r| r.at)
    }

    pub fn remember(&self, execution: &Arn, token: String, at: Timestamp) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.len() >= EXECUTIONS_MAX {
            memory.retain(|_, redrives| redrives.back().is_some_and(|r| r.at.plus_seconds(TOKEN_SECONDS) > at));
            if memory.len() >= EXECUTIONS_MAX {
                return;
            }
        }
        let redrives = memory.entry(execution.clone()).or_default();
        redrives.push_back(Redrive { token, at });
        if redrives.len() > TOKENS_MAX {
            redrives.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_for_15_minutes_and_while_it_is_among_the_last_10() {
        let (redrives, arn, start) = (Redrives::default(), Arn::new("a"), Timestamp::from_millis(0));
        redrives.remember(&arn, "t".into(), start);
        assert_eq!(redrives.find(&arn, "t", start.plus_seconds(899.0)), Some(start));
        assert_eq!(redrives.find(&arn, "t", start.plus_seconds(900.0)), None);
        assert_eq!(redrives.find(&arn, "u", start), None);
        for n in 0..10 {
            redrives.remember(&arn, n.to_string(), start);
        }
        assert_eq!(redrives.find(&arn, "t", start), None);
    }
}

//! The language of searches over executions, as the console's search box and bulk actions take it. Pure.
//!
//! `order status:failed error:Timeout machine:checkout started:>2026-11-28`: words that hold together. A bare word is
//! the beginning of a name, or a whole ARN or id.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::store::{ExecutionRow, ExecutionStatus};

/// The terms of a query.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    /// Beginnings of the name; lower case.
    pub words: Vec<String>,
    pub machine: Option<String>,
    /// None: all.
    pub statuses: Vec<Wanted>,
    /// Part of the error's name; lower case.
    pub error: Option<String>,
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// The name of a state that waits.
    pub state: Option<String>,
    /// How long it took, or has run until now: more than, less than.
    pub longer: Option<Duration>,
    pub shorter: Option<Duration>,
    /// Id, ARN or `MACHINE:NAME` of the execution whose task waits for it.
    pub parent: Option<String>,
    /// Number of a version or name of an alias, of the machine.
    pub version: Option<String>,
    pub redriven: Option<bool>,
    pub map_runs: MapRuns,
    /// Words that are not understood, and why.
    pub unknown: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Status(ExecutionStatus),
    /// Running, and a task of it waits.
    Waiting,
}

/// Children of Map Runs: a run may have millions, and a person looks for the execution that has the run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum MapRuns {
    #[default]
    Without,
    With,
    /// The children of the run with this ARN.
    Of(String),
}

impl Query {
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for word in words(text) {
            match word.split_once(':') {
                Some(("machine", name)) if !name.is_empty() => query.machine = Some(name.to_owned()),
                Some(("status", names)) => {
                    for name in names.split(',').filter(|name| !name.is_empty()) {
                        match wanted(name) {
                            Some(wanted) => query.statuses.push(wanted),
                            None => query.unknown.push(format!(
                                "status:{name}: allowed are running, waiting, succeeded, failed, timed_out, aborted"
                            )),
                        }
                    }
                }
                Some(("error", part)) if !part.is_empty() => query.error = Some(part.to_lowercase()),
                Some(("started", range)) => query.started(range),
                Some(("state", name)) if !name.is_empty() => query.state = Some(name.to_owned()),
                Some(("took", range)) => query.took(range),
                Some(("parent", of)) if !of.is_empty() => query.parent = Some(of.to_owned()),
                Some(("version", name)) if !name.is_empty() => query.version = Some(name.to_owned()),
                Some(("redriven", "yes")) => query.redriven = Some(true),
                Some(("redriven", "no")) => query.redriven = Some(false),
                Some(("maprun", "all")) => query.map_runs = MapRuns::With,
                Some(("maprun", arn)) if arn.starts_with("arn:") => query.map_runs = MapRuns::Of(arn.to_owned()),
                Some(("maprun", other)) => {
                    query
                        .unknown
                        .push(format!("maprun:{other}: write maprun:all, or maprun: and the ARN of a Map Run"));
                }
                Some((key, _)) if !word.starts_with("arn:") && key.chars().all(|c| c.is_ascii_lowercase()) => {
                    query.unknown.push(format!("{key}: known are {KNOWN}"));
                }
                _ => query.words.push(word.to_lowercase()),
            }
        }
        if query.version.is_some() && query.machine.is_none() {
            query.unknown.push("version: say of which machine, as machine:NAME version:3".to_owned());
        }
        query
    }

    fn took(&mut self, range: &str) {
        match (range.chars().next(), age(range.trim_start_matches(['>', '<', '=']))) {
            (Some('<'), Some(age)) => self.shorter = Some(age),
            (Some('>'), Some(age)) => self.longer = Some(age),
            _ => self.unknown.push(format!("took:{range}: write took:>5m or took:<2s; units are ms, s, m, h, d")),
        }
    }

    fn started(&mut self, range: &str) {
        let side = range.chars().next();
        let text = range.trim_start_matches(['>', '<', '=']);
        let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        match (side, Timestamp::parse_iso(&whole)) {
            (Some('<'), Ok(at)) => self.until = Some(at),
            (Some('>'), Ok(at)) => self.from = Some(at),
            (_, Ok(at)) if text.len() == 10 => {
                (self.from, self.until) = (Some(at), Some(at.plus_seconds(86_400.0)));
            }
            _ => self.unknown.push(format!(
                "started:{range}: write started:2026-11-28, started:>2026-11-28 or started:<2026-11-28T12:00:00Z"
            )),
        }
    }

    /// The one status that a listing can be asked for.
    pub fn status(&self) -> Option<ExecutionStatus> {
        match self.statuses[..] {
            [Wanted::Status(status)] => Some(status),
            [Wanted::Waiting] => Some(ExecutionStatus::Running),
            // Only an open execution waits.
            [] if self.state.is_some() => Some(ExecutionStatus::Running),
            _ => None,
        }
    }

    /// Each row must be looked at, and some may be left out.
    pub fn is_selective(&self) -> bool {
        !self.words.is_empty()
            || self.error.is_some()
            || self.statuses.len() > 1
            || self.wants_waiting()
            || self.longer.is_some()
            || self.shorter.is_some()
            || self.parent.is_some()
    }

    /// The rows' waiting tasks must be looked at.
    pub fn wants_waiting(&self) -> bool {
        self.statuses.contains(&Wanted::Waiting) || self.state.is_some()
    }

    /// Whether the row is wanted, as far as the row tells; `waits`: states of it that wait.
    pub fn matches(&self, row: &ExecutionRow, now: Timestamp, waits: &[String]) -> bool {
        let took = row.summary.closed.as_ref().map_or(now, |closing| closing.at).since(row.header.started);
        let name = || row.header.name.to_lowercase();
        let error = || row.summary.closed.as_ref().and_then(|closing| closing.error.as_ref()).map(|e| e.to_lowercase());
        self.words.iter().all(|word| name().starts_with(word) || row.header.id.to_string() == *word)
            && self.error.as_ref().is_none_or(|part| error().is_some_and(|error| error.contains(part)))
            && self.from.is_none_or(|from| row.header.started >= from)
            && self.until.is_none_or(|until| row.header.started < until)
            && self.longer.is_none_or(|longer| took > longer)
            && self.shorter.is_none_or(|shorter| took < shorter)
            && self.redriven.is_none_or(|redriven| (row.summary.redrive_count > 0) == redriven)
            && self.state.as_ref().is_none_or(|state| waits.contains(state))
            && (self.statuses.is_empty()
                || self.statuses.contains(&Wanted::Status(row.summary.status))
                || (self.statuses.contains(&Wanted::Waiting) && !waits.is_empty()))
    }
}

/// The words before a colon.
const KNOWN: &str = "machine, status, state, error, started, took, parent, version, redriven, maprun";

/// `90s`, `1.5h`, `200ms`.
fn age(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.')?);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

/// The words of a text; quotes hold a word together: `machine:"my machine"`.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.trim().is_empty());
    words
}

fn wanted(name: &str) -> Option<Wanted> {
    if name.eq_ignore_ascii_case("waiting") {
        return Some(Wanted::Waiting);
    }
    ExecutionStatus::parse(&name.to_ascii_uppercase().replace('-', "_")).map(Wanted::Status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_word_by_word() {
        let query =
            Query::parse("Order-08 machine:\"my machine\" status:failed,waiting error:Time started:>2026-11-28");
        assert_eq!(query.words, ["order-08"]);
        assert_eq!(query.machine.as_deref(), Some("my machine"));
        assert_eq!(query.statuses, [Wanted::Status(ExecutionStatus::Failed), Wanted::Waiting]);
        assert_eq!(query.error.as_deref(), Some("time"));
        assert_eq!(query.from, Timestamp::parse_iso("2026-11-28T00:00:00Z").ok());
        assert_eq!((query.until, query.status(), query.is_selective()), (None, None, true));
        assert!(query.unknown.is_empty());
        let day = Query::parse("started:2026-11-28 status:timed_out");
        assert_eq!(day.until, Timestamp::parse_iso("2026-11-29T00:00:00Z").ok());
        assert_eq!((day.status(), day.is_selective()), (Some(ExecutionStatus::TimedOut), false));
        assert_eq!(Query::parse("arn:aws:states:us-east-1:1:execution:m:e").words.len(), 1);
    }

    #[test]
    fn further_words_are_read() {
        let query = Query::parse("machine:m version:live state:\"Ask the desk\" took:>1.5h redriven:yes parent:m:one");
        assert_eq!((query.version.as_deref(), query.state.as_deref()), (Some("live"), Some("Ask the desk")));
        assert_eq!((query.longer, query.shorter), (Some(Duration::from_mins(90)), None));
        assert_eq!((query.redriven, query.parent.as_deref()), (Some(true), Some("m:one")));
        assert!(query.unknown.is_empty() && query.is_selective() && query.wants_waiting());
        assert_eq!(query.status(), Some(ExecutionStatus::Running), "only an open one waits");
        assert_eq!(Query::parse("took:<200ms").shorter, Some(Duration::from_millis(200)));
        let run = "arn:aws:states:us-east-1:000000000000:mapRun:m/Each:1b9d6bcd";
        let quick = Query::parse(&format!("machine:m version:3 redriven:no maprun:{run}"));
        assert!(!quick.is_selective(), "the store's index has these");
        assert_eq!((quick.map_runs, quick.unknown), (MapRuns::Of(run.to_owned()), Vec::<String>::new()));
        assert_eq!(Query::parse("maprun:all").map_runs, MapRuns::With);
        assert_eq!(Query::parse("order").map_runs, MapRuns::Without);
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for text in [
            "status:gone",
            "colour:red",
            "started:>soon",
            "started:",
            "took:5m",
            "took:>5y",
            "redriven:often",
            "maprun:some",
            "maprun:",
            "version:3",
        ] {
            assert_eq!(Query::parse(text).unknown.len(), 1, "{text}");
        }
        assert_eq!(Query::parse("  \" "), Query::default());
    }
}

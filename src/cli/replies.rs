//! `reveille replies`: what was refused and parked. It speaks to the broker, so it works while no server runs.
//!
//! A look takes the messages out of the queue without acknowledging them, and gives them back in their order; while it lasts nobody else sees
//! them, and a look that is killed gives them back all the same. A replayed one is acknowledged after the broker has confirmed its copy.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use clap::Args;
use serde_json::{Map, Value, json};

use super::output::{OutputArgs, Table, Tone, fields, maybe, short, text};
use super::{CliError, input, local, time};
use crate::app;
use crate::bus::envelope::TASK_TOKEN;
use crate::bus::parked::{self, Filter, PARKING_QUEUE, Parked};
use crate::bus::{Address, BusError, BusHealth, Delivery, HeaderValue, Message, Publication, Settlement, TaskBus};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::{Settings, Sources};
use crate::token::fingerprint;

/// A broker that does not answer within this time is given up.
const BROKER_WITHIN: Duration = Duration::from_secs(10);
/// What was settled is told to the broker within this time.
const GOODBYE_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List parked replies, oldest first
    #[command(visible_aliases = ["list"])]
    Ls(LsArgs),
    /// Show one whole: properties, headers, body; its token only with --reveal
    Show(ShowArgs),
    /// Send replies to their queue again; each leaves the parking queue when the broker has confirmed its copy
    Replay(ReplayArgs),
    /// Delete replies for good
    #[command(visible_aliases = ["rm"])]
    Purge(PurgeArgs),
}

#[derive(Debug, Args)]
struct BrokerArgs {
    /// The broker [default: the setting bus.url]
    #[arg(long, visible_alias = "amqp", value_name = "URL", help_heading = "Broker")]
    bus: Option<String>,
    /// Settings file of the server
    #[arg(long, short, env = "REVEILLE_CONFIG", value_name = "FILE", help_heading = "Broker")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct FilterArgs {
    /// Only with this verdict: duplicate, late, unknown, forged, invalid-output, too-large, dead-letter, or a start's error
    #[arg(long, visible_alias = "reason", value_name = "VERDICT")]
    verdict: Vec<String>,
    /// Only parked longer ago than this: 90s, 15m, 12h, 7d
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,
}

#[derive(Debug, Args)]
pub(super) struct LsArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Look at so many messages of the queue at most
    #[arg(long, short = 'n', default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Id, as `replies ls` shows it
    id: String,
    /// Show its token too: whoever has it can end the task
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Which ones.
#[derive(Debug, Args)]
struct ChosenArgs {
    /// Ids, as `replies ls` shows them
    ids: Vec<String>,
    /// All that the filters let through
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    chosen: ChosenArgs,
    /// To this queue instead of the one that each was refused in
    #[arg(long, value_name = "QUEUE")]
    to: Option<String>,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct PurgeArgs {
    #[command(flatten)]
    chosen: ChosenArgs,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Messages that `show`, `replay` and `purge` look at: more would not fit into memory beside each other.
const LOOK_MAX: u32 = 100_000;

pub(super) fn execute(command: &Command) -> Result<(), CliError> {
    match command {
        Command::Ls(args) => with(&args.broker, async |desk| ls(&desk, args).await),
        Command::Show(args) => with(&args.broker, async |desk| show(&desk, args).await),
        Command::Replay(args) => {
            args.chosen.check("replay")?;
            with(&args.broker, async |desk| replay(&desk, args).await)
        }
        Command::Purge(args) => {
            args.chosen.check("purge")?;
            with(&args.broker, async |desk| purge(&desk, args).await)
        }
    }
}

/// The parking queue of a broker.
struct Desk {
    bus: Arc<dyn TaskBus>,
    now: Timestamp,
}

fn with(args: &BrokerArgs, work: impl AsyncFnOnce(Desk) -> Result<(), CliError>) -> Result<(), CliError> {
    let flags = args.bus.iter().map(|url| ("bus.url", url.clone())).collect();
    let settings = Settings::load(&Sources::of_process(args.config.clone(), flags))?;
    local::block_on(async {
        let bus = app::broker(&settings)?;
        let up = async {
            while matches!(bus.health(), BusHealth::Down(_)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(BROKER_WITHIN, up).await.is_err() {
            let why = match bus.health() {
                BusHealth::Down(why) | BusHealth::Blocked(why) => why,
                BusHealth::Up => "no answer in time".to_owned(),
            };
            return Err(CliError::Unreachable {
                what: format!("the broker at {}", settings.bus.url),
                why,
                hint: "is it running, and is the URL right? --bus, or bus.url",
            });
        }
        let done = work(Desk { bus: Arc::clone(&bus), now: SystemClock.now() }).await;
        // Gives back what was only looked at, in its order, and waits until the broker has heard of the rest.
        bus.close(GOODBYE_WITHIN).await;
        done
    })
}

impl FilterArgs {
    fn filter(&self, ids: &[String], now: Timestamp) -> Filter {
        let before = self.older_than.map(|age| Timestamp::from_millis(now.millis() - i64::try_from(age.as_millis()).unwrap_or(i64::MAX)));
        Filter { ids: ids.to_vec(), verdicts: self.verdict.clone(), before }
    }
}

impl ChosenArgs {
    /// Nothing is done to everything by leaving something out.
    fn check(&self, what: &str) -> Result<(), CliError> {
        let named = self.all || !self.ids.is_empty() || !self.filter.verdict.is_empty() || self.filter.older_than.is_some();
        if named {
            return Ok(());
        }
        Err(CliError::usage(format!("which replies? Give ids, a filter, or --all: reveille replies {what} --verdict late"))
            .hint("reveille replies ls shows them"))
    }
}

/// A message that was taken out of the queue.
struct Held {
    parked: Parked,
    /// The filter takes it.
    chosen: bool,
    delivery: Delivery,
}

/// What was taken out. Dropped, it goes back in its order: also what was not asked for is held till then, or it would come again at once.
struct Look {
    held: Vec<Held>,
    /// There was more in the queue.
    more: bool,
}

impl Look {
    fn chosen(&self) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(|held| held.chosen)
    }
}

impl Desk {
    async fn look(&self, filter: &Filter, limit: u32) -> Result<Look, CliError> {
        let mut held = Vec::new();
        let hold = |delivery: Delivery, within: bool| {
            let parked = Parked::of(&delivery.message);
            Held { chosen: within && filter.takes(&parked), parked, delivery }
        };
        let taken = |taken: Result<Option<Delivery>, BusError>| taken.map_err(|error| bus_error(&error));
        for _ in 0..limit {
            match taken(self.bus.get(PARKING_QUEUE).await)? {
                Some(delivery) => held.push(hold(delivery, true)),
                None => return Ok(Look { held, more: false }),
            }
        }
        let next = taken(self.bus.get(PARKING_QUEUE).await)?;
        let more = next.is_some();
        held.extend(next.map(|delivery| hold(delivery, false)));
        Ok(Look { held, more })
    }
}

impl Desk {
    /// The queue that it went to, or why it stays.
    async fn send_again(&self, parked: &Message, to: Option<&str>) -> Result<String, String> {
        let (home, message) = parked::replay(parked);
        let queue = to.map(str::to_owned).or(home.map(|to| to.routing_key));
        let queue = queue.ok_or("it does not say which queue it was refused in; give one with --to")?;
        let to = Address { exchange: String::new(), routing_key: queue.clone() };
        match self.bus.publish(to, message).await {
            Ok(Publication::Confirmed) => Ok(queue),
            Ok(Publication::Unroutable { .. }) => Err(format!("there is no queue {queue}")),
            Ok(Publication::Nacked) => Err(format!("queue {queue} is full")),
            Ok(Publication::Refused { text }) => Err(text),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn bus_error(error: &BusError) -> CliError {
    match error {
        BusError::Refused { why, .. } if why.contains("NOT_FOUND") => {
            CliError::failed(format!("there is no queue {PARKING_QUEUE} on this broker"))
                .hint("a server makes it when it starts; is the URL's virtual host right?")
        }
        _ => CliError::failed(error.to_string()),
    }
}

async fn ls(desk: &Desk, args: &LsArgs) -> Result<(), CliError> {
    let look = desk.look(&args.filter.filter(&[], desk.now), args.limit).await?;
    let replies: Vec<Value> = look.chosen().map(|held| line_of(&held.parked, &held.delivery.message)).collect();
    args.output.print(&json!({"replies": replies, "more": look.more}), |answer| table(answer, desk.now))
}

async fn show(desk: &Desk, args: &ShowArgs) -> Result<(), CliError> {
    let filter = Filter { ids: vec![args.id.clone()], ..Filter::default() };
    let look = desk.look(&filter, LOOK_MAX).await?;
    let Some(held) = look.chosen().next() else { return Err(none_of(&args.id)) };
    args.output.print(&whole(&held.parked, &held.delivery.message, args.reveal), shown)
}

fn none_of(id: &str) -> CliError {
    CliError::failed(format!("there is no parked reply '{id}'")).hint("reveille replies ls shows what there is")
}

async fn replay(desk: &Desk, args: &ReplayArgs) -> Result<(), CliError> {
    if let BusHealth::Blocked(why) = desk.bus.health() {
        return Err(CliError::failed(format!("the broker takes no messages now: {why}"))
            .hint("nothing was moved; try again when its alarm has cleared"));
    }
    // All are taken out before the first goes: one that is refused again comes back behind them, and is not replayed in a circle.
    let look = desk.look(&args.chosen.filter.filter(&args.chosen.ids, desk.now), LOOK_MAX).await?;
    let (mut replayed, mut kept, mut stay) = (Vec::new(), missing(&args.chosen.ids, &look), Vec::new());
    for held in look.held {
        if !held.chosen {
            stay.push(held.delivery);
            continue;
        }
        let id = held.parked.id;
        match desk.send_again(&held.delivery.message, args.to.as_deref()).await {
            Ok(queue) => {
                held.delivery.settle(Settlement::Ack);
                replayed.push(json!({"id": id, "to": queue}));
            }
            Err(why) => {
                stay.push(held.delivery);
                kept.push(json!({"id": id, "why": why}));
            }
        }
    }
    drop(stay);
    finish(&json!({"replayed": replayed, "kept": kept, "more": look.more}), "replayed", args.output)
}

async fn purge(desk: &Desk, args: &PurgeArgs) -> Result<(), CliError> {
    let look = desk.look(&args.chosen.filter.filter(&args.chosen.ids, desk.now), LOOK_MAX).await?;
    let kept = missing(&args.chosen.ids, &look);
    let count = look.chosen().count();
    if !args.yes && count > 0 && !input::confirm(&format!("delete {count} parked replies for good?"))? {
        return Err(CliError::failed("nothing was deleted"));
    }
    let (mut purged, mut stay) = (Vec::new(), Vec::new());
    for held in look.held {
        if held.chosen {
            held.delivery.settle(Settlement::Ack);
            purged.push(json!({"id": held.parked.id}));
        } else {
            stay.push(held.delivery);
        }
    }
    drop(stay);
    finish(&json!({"purged": purged, "kept": kept, "more": look.more}), "purged", args.output)
}

/// Ids that were asked for and are not there.
fn missing(ids: &[String], look: &Look) -> Vec<Value> {
    let there = |id: &&String| look.chosen().any(|held| held.parked.id == **id);
    ids.iter().filter(|id| !there(id)).map(|id| json!({"id": id, "why": "there is no parked reply with this id"})).collect()
}

fn finish(answer: &Value, done: &str, output: OutputArgs) -> Result<(), CliError> {
    output.print(answer, |answer| {
        let count = |name: &str| answer[name].as_array().map_or(0, Vec::len);
        let mut said = format!("{} {done}", count(done));
        for one in answer["kept"].as_array().into_iter().flatten() {
            let _ = write!(said, "\n{}  {}", text(one, "id"), Tone::Bad.paint(&text(one, "why")));
        }
        if answer["more"] == true {
            let _ = write!(said, "\nonly the first {LOOK_MAX} messages were looked at: run it again");
        }
        said
    })?;
    // What was asked for and not done is a failure, told above.
    if answer["kept"].as_array().is_some_and(|kept| !kept.is_empty()) { Err(CliError::Reported) } else { Ok(()) }
}

fn line_of(parked: &Parked, message: &Message) -> Value {
    let p = &message.properties;
    json!({
        "id": parked.id,
        "parkedAt": parked.at.map(Timestamp::iso),
        "verdict": parked.verdict,
        "reason": parked.reason,
        "from": parked.from,
        "messageId": p.message_id,
        "tokenId": token(message).map(fingerprint),
        "bytes": message.body.len(),
    })
}

fn token(message: &Message) -> Option<&str> {
    let p = &message.properties;
    p.headers.get(TASK_TOKEN).and_then(HeaderValue::as_text).or(p.correlation_id.as_deref()).filter(|token| !token.is_empty())
}

/// All of a message. Where its token stands, in a header, a property or the body, there is its fingerprint instead, unless `reveal`.
fn whole(parked: &Parked, message: &Message, reveal: bool) -> Value {
    let p = &message.properties;
    let headers: Map<String, Value> = p.headers.iter().map(|(name, value)| (name.clone(), header_json(value))).collect();
    let body = serde_json::from_slice(&message.body).ok().or_else(|| std::str::from_utf8(&message.body).ok().map(Value::from));
    let mut shown = line_of(parked, message);
    shown["properties"] = json!({
        "contentType": p.content_type,
        "correlationId": p.correlation_id,
        "replyTo": p.reply_to,
        "messageId": p.message_id,
        "appId": p.app_id,
        "type": p.kind,
        "timestamp": p.timestamp.map(Timestamp::iso),
        "priority": p.priority,
    });
    shown["headers"] = Value::Object(headers);
    match body {
        Some(body) => shown["body"] = body,
        None => shown["bodyBase64"] = json!(base64::engine::general_purpose::STANDARD.encode(&message.body)),
    }
    if !reveal {
        let secrets = [p.headers.get(TASK_TOKEN).and_then(HeaderValue::as_text), p.correlation_id.as_deref()];
        for secret in secrets.into_iter().flatten().filter(|secret| !secret.is_empty()) {
            mask(&mut shown, secret, &format!("(token {}; --reveal shows it)", fingerprint(secret)));
        }
    }
    shown
}

fn mask(value: &mut Value, secret: &str, mark: &str) {
    match value {
        Value::String(text) if text.contains(secret) => *text = text.replace(secret, mark),
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, secret, mark)),
        Value::Object(members) => members.values_mut().for_each(|member| mask(member, secret, mark)),
        _ => {}
    }
}

fn header_json(value: &HeaderValue) -> Value {
    match value {
        HeaderValue::Text(text) => json!(text),
        HeaderValue::Integer(n) => json!(n),
        HeaderValue::Double(n) => json!(n),
        HeaderValue::Boolean(b) => json!(b),
        HeaderValue::Json(json) => json.clone(),
    }
}

fn table(answer: &Value, now: Timestamp) -> String {
    let mut table = Table::new(&["ID", "PARKED", "VERDICT", "FROM", "TOKEN", "REASON"]);
    for reply in answer["replies"].as_array().into_iter().flatten() {
        let parked = maybe(reply, "parkedAt").and_then(|at| Timestamp::parse_iso(&at).ok());
        let since = parked.map_or_else(|| "?".to_owned(), |at| format!("{} ago", time::duration(now.since(at))));
        table.row(vec![
            (text(reply, "id"), Tone::Plain),
            (since, Tone::Faint),
            (text(reply, "verdict"), Tone::Bad),
            (text(reply, "from"), Tone::Plain),
            (text(reply, "tokenId"), Tone::Faint),
            (short(&text(reply, "reason"), 80), Tone::Plain),
        ]);
    }
    let mut said = if table.is_empty() { "nothing is parked".to_owned() } else { table.render() };
    if answer["more"] == true {
        said.push_str("there are more: --limit");
    }
    said
}

fn shown(answer: &Value) -> String {
    let mut said = fields(&[
        ("id", maybe(answer, "id")),
        ("parked", maybe(answer, "parkedAt")),
        ("verdict", maybe(answer, "verdict")),
        ("reason", maybe(answer, "reason")),
        ("from", maybe(answer, "from")),
    ]);
    for part in ["properties", "headers"] {
        for (name, value) in answer[part].as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            said.push_str(&fields(&[(&format!("{part}.{name}"), Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned)))]));
        }
    }
    let body = answer.get("body").or_else(|| answer.get("bodyBase64")).map(|body| serde_json::to_string_pretty(body).unwrap_or_default());
    said + "\n" + &body.unwrap_or_default()
}

/// `90s`, `15m`, `12h`, `7d`.
fn age(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| "an age is a number with s, m, h or d: 15m".to_owned())?;
    let seconds = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(format!("'{unit}' is no unit of time here; allowed: s, m, h, d")),
    };
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parked() -> Message {
        let mut message = Message { body: br#"{"echo":"secret-token","n":1}"#.to_vec(), ..Message::default() };
        message.properties.correlation_id = Some("secret-token".to_owned());
        message.properties.headers.insert(TASK_TOKEN.to_owned(), HeaderValue::Text("secret-token".to_owned()));
        message
    }

    #[test]
    fn a_token_is_shown_only_when_asked_for() {
        let message = parked();
        let said = Parked::of(&message);
        let masked = whole(&said, &message, false);
        assert!(!masked.to_string().contains("secret-token"), "{masked}");
        assert_eq!(masked["tokenId"], fingerprint("secret-token"));
        assert_eq!(masked["body"]["n"], 1);
        assert!(
            !shown(&masked).contains("secret-token")
                && !table(&json!({"replies": [line_of(&said, &message)]}), Timestamp::default()).contains("secret")
        );
        assert_eq!(whole(&said, &message, true)["properties"]["correlationId"], "secret-token");
    }

    #[test]
    fn a_body_is_shown_in_the_form_that_it_has() {
        let message = |body: &[u8]| Message { body: body.to_vec(), ..Message::default() };
        let shown = |body: &[u8]| whole(&Parked::of(&message(body)), &message(body), false);
        assert_eq!(shown(b"{")["body"], "{");
        assert_eq!(shown(b"[1]")["body"], json!([1]));
        assert_eq!(shown(&[0xff, 0xfe])["bodyBase64"], "//4=");
    }

    #[test]
    fn ages_are_read_and_nonsense_is_told() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(age(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "7", "d", "7y", "-1d"] {
            assert!(age(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_is_chosen_by_leaving_everything_out() {
        let chosen = |ids: &[&str], all| ChosenArgs {
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            all,
            filter: FilterArgs { verdict: Vec::new(), older_than: None },
        };
        assert!(matches!(chosen(&[], false).check("purge"), Err(CliError::Usage { .. })));
        assert_eq!((chosen(&[], true).check("purge"), chosen(&["a"], false).check("purge")), (Ok(()), Ok(())));
    }
}

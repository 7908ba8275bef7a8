//! The workers of a world: a task plans their replies, which come in when it is their time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::bus::envelope::{self, Reply, ReplyOutcome};
use crate::bus::{HeaderValue, Message, Properties};
use crate::engine::api::EngineHandle;
use crate::engine::types::Asker;
use crate::engine::types::{Completion, CompletionError};
use crate::interpreter::event::Failure;
use crate::token::TokenKeys;

use super::machines;
use super::world::{self, Inner, Planned, World};

impl Inner {
    /// A worker has a task: its replies are planned.
    pub fn worked(&mut self, message: &Message, tokens: &TokenKeys) {
        let properties = &message.properties;
        let text = |name: &str| properties.headers.get(name).and_then(HeaderValue::as_text).map(str::to_owned);
        let (Some(token), Some(queue)) = (text(envelope::TASK_TOKEN), properties.reply_to.clone()) else { return };
        let attempt = match properties.headers.get("attempt") {
            Some(HeaderValue::Integer(n)) => *n,
            _ => 0,
        };
        let outcome = machines::work(&text("state-name").unwrap_or_default(), attempt, &message.body);
        if let (Ok(answer), Ok((key, _))) = (&outcome, tokens.verify(&token)) {
            self.answers.entry(key).or_default().push(answer.clone());
        }
        let reply = |status: &str, body: Vec<u8>| {
            let headers = [(envelope::TASK_TOKEN, token.as_str()), (envelope::TASK_STATUS, status)]
                .map(|(n, t)| (n.into(), HeaderValue::Text(t.to_owned())));
            Message { body, properties: Properties { headers: headers.into(), ..Properties::default() } }
        };
        let (rough, has_timeout) = (self.faults.rough, properties.expiration.is_some());
        if has_timeout && self.rng.chance(rough) {
            return; // this worker is never heard of again
        }
        let slow = if self.rng.chance(rough) { 120_000 } else { 3_000 };
        let mut after = self.rng.below(slow);
        for _ in 0..self.rng.below(3) {
            let at = self.rng.below(after.max(1));
            self.plan(at, &queue, reply("heartbeat", Vec::new()));
        }
        if self.rng.chance(self.faults.hostile) {
            self.strangers_write(&queue, &token, after);
            if rough > 0 {
                self.a_broken_worker_answers(&queue, reply, after);
            }
        }
        if self.rng.chance(rough) {
            self.plan(after, &queue, reply("success", b"{no json".to_vec()));
            let mut forged = reply("success", b"1".to_vec());
            forged.properties.headers.insert(envelope::TASK_TOKEN.into(), HeaderValue::Text(format!("{token}A")));
            self.plan(after, &queue, forged);
            after += 10;
        }
        let good = match &outcome {
            Ok(answer) => reply("success", answer.to_string().into_bytes()),
            Err(failure) => reply("failure", failure.to_string().into_bytes()),
        };
        let copies = if self.rng.chance(self.faults.bus) { 2 + self.rng.below(2) } else { 1 };
        for _ in 0..copies {
            self.plan(after, &queue, good.clone());
            after += self.rng.below(30_000);
        }
    }

    /// True where it is for the API rather than for the bus.
    pub fn plan(&mut self, after: u64, queue: &str, message: Message) -> bool {
        self.last += 1;
        let by_api = self.rng.chance(15);
        let at = self.true_time() + i64::try_from(after).unwrap();
        self.schedule.insert((at, self.last), Planned { queue: queue.to_owned(), message, by_api, redelivered: false });
        by_api
    }

    /// A message that a node gave back.
    pub fn comes_again(&mut self, queue: String, message: Message) {
        self.last += 1;
        let again = Planned { queue, message, by_api: false, redelivered: true };
        self.schedule.insert((self.true_time() + 200, self.last), again);
    }

    pub fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

/// The engines that clients may ask: the one of this life, or all nodes that are there.
#[derive(Clone, Default)]
pub(super) struct Crew(Arc<Mutex<Vec<(usize, EngineHandle)>>>);

impl Crew {
    pub fn of(engine: &EngineHandle) -> Self {
        Self(Arc::new(Mutex::new(vec![(0, engine.clone())])))
    }

    pub fn joins(&self, node: usize, engine: EngineHandle) {
        self.0.lock().unwrap().push((node, engine));
    }

    pub fn goes(&self, node: usize) {
        self.0.lock().unwrap().retain(|(other, _)| *other != node);
    }

    /// Asks one of them, another one each time. `None`: none is there, or it has died meanwhile.
    pub async fn ask<T, F: Future<Output = T>>(
        &self,
        world: &World,
        question: impl FnOnce(EngineHandle) -> F,
    ) -> Option<T> {
        let (engine, may_die) = {
            let crew = self.0.lock().unwrap();
            let place = if crew.len() > 1 { world.lock().rng.below(crew.len() as u64) } else { 0 };
            (crew.get(usize::try_from(place).unwrap()).map(|(_, engine)| engine.clone())?, world.lock().has_nodes())
        };
        let answer = question(engine);
        if may_die { tokio::time::timeout(Duration::from_mins(5), answer).await.ok() } else { Some(answer.await) }
    }
}

/// Brings the replies in, by the bus or by the API.
pub(super) async fn workers(world: Arc<World>, crew: Crew) {
    loop {
        let changed = world.changed.notified();
        let (due, wait) = {
            let mut inner = world.lock();
            let now = inner.true_time();
            match inner.schedule.first_key_value().map(|(at, _)| *at) {
                Some(at) if at.0 <= now => (inner.schedule.remove(&at), 0),
                Some(at) => (None, u64::try_from(at.0 - now).unwrap()),
                None => (None, 86_400_000),
            }
        };
        let Some(planned) = due else {
            let _ = tokio::time::timeout(Duration::from_millis(wait), changed).await;
            continue;
        };
        match completion(&planned.message) {
            Some((token, completion)) if planned.by_api => {
                let (world, crew) = (Arc::clone(&world), crew.clone());
                // Lost with the process: then it is as if the worker had died, and the task message comes to another
                // one.
                world
                    .lock()
                    .queues
                    .entry(world::API.to_owned())
                    .or_default()
                    .push_back((false, planned.message.clone()));
                actix_rt::spawn(async move {
                    let complete = async |engine: EngineHandle| {
                        engine.complete_task(&token, completion.clone(), Asker::default()).await
                    };
                    let answer = loop {
                        match crew.ask(&world, complete).await {
                            None | Some(Err(CompletionError::Engine(_))) => world.pass(1_000).await,
                            Some(answer) => break answer,
                        }
                    };
                    let mut inner = world.lock();
                    inner.answered(&planned.message, &answer, &world.tokens);
                    inner.queues.entry(world::API.to_owned()).or_default().retain(|(_, m)| *m != planned.message);
                });
            }
            _ => {
                let came = (planned.redelivered, planned.message);
                world.lock().queues.entry(planned.queue).or_default().push_back(came);
                world.changed.notify_waiters();
            }
        }
    }
}

fn completion(message: &Message) -> Option<(String, Completion)> {
    let reply = Reply::decode(message).ok()?;
    let completion = match reply.outcome {
        ReplyOutcome::Heartbeat => Completion::Heartbeat,
        ReplyOutcome::Success { output } => Completion::Success(output),
        ReplyOutcome::Failure { error, cause } => Completion::Failure(Failure::new(error, cause)),
    };
    let token = message.properties.headers.get(envelope::TASK_TOKEN).and_then(HeaderValue::as_text)?;
    Some((token.to_owned(), completion))
}

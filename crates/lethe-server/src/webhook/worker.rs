//! The thread of one webhook: event after event, each until it is delivered or too old.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lethe_engine::{Engine, Event};
use lethe_types::{Clock, Entropy, RealmId};

use super::Counters;
use super::alarm::Alarm;
use super::delivery::{Delivery, Message};
use super::position::Position;
use crate::config::WebhookConfig;

/// Events that are held in memory at once.
const PAGE_EVENTS: usize = 256;
/// Pause after the first failure; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// How often, at the most, the place is made durable while there is work: what was delivered in
/// between is told again after a crash.
const KEEP_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    pub(super) config: WebhookConfig,
    pub(super) realm: RealmId,
    pub(super) engine: Arc<Engine>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) delivery: Delivery,
    pub(super) position: Position,
    pub(super) counters: Counters,
    pub(super) alarm: Arc<Alarm>,
}

impl Worker {
    /// Runs until it is stopped.
    pub(super) fn run(mut self) {
        let mut watch = self.engine.watch_events();
        let mut kept = self.clock.monotonic();
        let mut is_silent = false;
        while !self.alarm.is_stopped() {
            let from = self.position.event();
            let page = match self.engine.realm_events_after(self.realm, from, PAGE_EVENTS) {
                Ok(page) => page,
                Err(error) => {
                    // The store fails: the server says so elsewhere too.
                    if !core::mem::replace(&mut is_silent, true) {
                        self.say(&format!("cannot read events: {error}"));
                    }
                    self.alarm.pause(&*self.clock, PAUSE_MIN);
                    continue;
                }
            };
            is_silent = false;
            if page.gap {
                self.say("its place is after the end of the log; it goes on with what comes");
                self.advance(self.engine.newest_event());
                continue;
            }
            for event in &page.events {
                let is_wanted = self.config.events.iter().any(|some| some.matches(event.kind));
                if is_wanted && !self.deliver(event) {
                    self.keep();
                    return;
                }
                self.advance(event.id);
                if self.clock.monotonic().saturating_sub(kept) >= KEEP_INTERVAL {
                    self.keep();
                    kept = self.clock.monotonic();
                }
            }
            self.advance(page.next);
            if !page.more {
                self.keep();
                kept = self.clock.monotonic();
                self.alarm.wait_for_events(&mut watch);
            }
        }
        self.keep();
    }

    /// Tries until the event is delivered or too old; false if stopped before.
    fn deliver(&mut self, event: &Event) -> bool {
        let message = Message::of(self.engine.tree_id(), event);
        let mut pause = PAUSE_MIN;
        loop {
            let now = self.clock.now();
            let failure = match self.delivery.attempt(&message, now) {
                Ok(()) => {
                    self.counters.delivered.add(1);
                    return true;
                }
                Err(why) => why,
            };
            self.counters.failed.add(1);
            if pause == PAUSE_MIN {
                self.say(&format!("event {} is not delivered yet: {failure}", event.id));
            }
            if now.since(event.time) >= self.config.retry_for {
                self.counters.given_up.add(1);
                self.say(&format!("event {} is given up: {failure}", event.id));
                return true;
            }
            self.keep();
            self.alarm.pause(&*self.clock, self.jittered(pause));
            if self.alarm.is_stopped() {
                return false;
            }
            pause = pause.saturating_mul(2).min(PAUSE_MAX);
        }
    }

    /// Between half of `pause` and all of it, so that receivers are not asked by all at once.
    fn jittered(&self, pause: Duration) -> Duration {
        let mut byte = [0];
        // Without chance the pause is whole.
        let part = self.entropy.fill(&mut byte).map_or(256, |()| u32::from(byte[0]));
        pause / 2 + pause / 512 * part
    }

    fn advance(&mut self, event: u64) {
        self.position.advance(event);
        self.counters.position.store(event, Ordering::Relaxed);
    }

    /// A place that cannot be kept only makes events come twice after a crash; the next keeping
    /// may succeed.
    fn keep(&mut self) {
        if let Err(error) = self.position.keep() {
            self.say(&format!("its place cannot be kept: {error}"));
        }
    }

    fn say(&self, what: &str) {
        eprintln!("lethe: webhook `{}`: {what}", self.config.name);
    }
}

//! Tells receivers of events over HTTP: in order, signed, and again until they have them.
//!
//! Each webhook has a thread of its own and a place among the events, kept in a small file. Events
//! are not spooled: those that are no longer in memory are read back from the log, which is as
//! durable as the change itself. So an event can come twice, after a crash or when an answer is
//! lost, but none is left out unless it grew older than `retry_for` while its receiver refused it.
//!
//! Knows HTTP as a client, files and threads; what an event is, is the engine's.

mod alarm;
mod delivery;
mod position;
mod roots;
mod secret;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use lethe_crypto::SystemEntropy;
use lethe_engine::Engine;
use lethe_http::metrics::{Counter, Registry, RegistryError};
use lethe_types::{Clock, RealmId};

use crate::ServeError;
use crate::config::WebhookConfig;
use crate::data_dir::DataDir;
use crate::private_files::ensure_private_dir;
use alarm::Alarm;
use delivery::Delivery;
use position::Position;
use worker::Worker;

/// How long a stop waits for exchanges that have begun. What is cut off is told again at the next
/// start.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// All webhooks of a server, at work.
#[derive(Debug, Default)]
pub(crate) struct Webhooks(Vec<Running>);

#[derive(Debug)]
struct Running {
    alarm: Arc<Alarm>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

/// What the metrics of one webhook count.
#[derive(Debug)]
struct Counters {
    delivered: Counter,
    failed: Counter,
    given_up: Counter,
    /// The event up to which all are delivered or given up.
    position: Arc<AtomicU64>,
}

impl Webhooks {
    /// Starts one more webhook, for the events of `realm`.
    ///
    /// # Errors
    /// [`ServeError::Webhook`] if its secret or authorities cannot be used;
    /// [`ServeError::WebhookPosition`], [`ServeError::File`] if its place cannot be read or kept.
    pub(crate) fn start(
        &mut self,
        config: &WebhookConfig,
        realm: RealmId,
        engine: &Arc<Engine>,
        clock: &Arc<dyn Clock>,
        registry: &Registry,
        data: &DataDir,
    ) -> Result<(), ServeError> {
        let wrong = |why: String| ServeError::Webhook { name: config.name.clone(), why };
        let secrets = secret::read(&config.secret).map_err(wrong)?;
        let delivery = Delivery::new(config, secrets).map_err(wrong)?;
        ensure_private_dir(&data.webhooks())?;
        let path = data.webhook_position(&config.name);
        let position = Position::open(path, engine.newest_event())?;
        let counters = Counters::new(config, engine, registry, position.event())
            .map_err(|error| ServeError::Listen(lethe_http::ServeError::Metrics(error)))?;
        let alarm = Arc::new(Alarm::default());
        let (alive, ended) = channel::<()>();
        let worker = Worker {
            config: config.clone(),
            realm,
            engine: engine.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            delivery,
            position,
            counters,
            alarm: alarm.clone(),
        };
        std::thread::Builder::new()
            .name(format!("webhook-{}", config.name))
            .spawn(move || {
                worker.run();
                drop(alive);
            })
            .map_err(|source| ServeError::Os { what: "cannot start a thread", source })?;
        self.0.push(Running { alarm, ended });
        Ok(())
    }

    /// Stops all of them; waits a little for exchanges that have begun.
    pub(crate) fn stop(self, clock: &dyn Clock) {
        for running in &self.0 {
            running.alarm.stop();
        }
        let end = clock.monotonic().saturating_add(STOP_WITHIN);
        for running in self.0 {
            let rest = end.saturating_sub(clock.monotonic());
            // Nothing is ever sent. A thread that does not end in time goes with the process.
            let _ended_or_left = running.ended.recv_timeout(rest);
        }
    }
}

impl Counters {
    fn new(
        config: &WebhookConfig,
        engine: &Arc<Engine>,
        registry: &Registry,
        position: u64,
    ) -> Result<Self, RegistryError> {
        let labels = [("webhook", config.name.as_str())];
        let position = Arc::new(AtomicU64::new(position));
        let (engine, reached) = (engine.clone(), position.clone());
        registry.gauge_callback(
            "lethe_webhook_lag_events",
            "Log entries that a webhook has not got to yet.",
            &labels,
            move || {
                let behind = engine.newest_event().saturating_sub(reached.load(Ordering::Relaxed));
                f64::from(u32::try_from(behind).unwrap_or(u32::MAX))
            },
        )?;
        Ok(Self {
            delivered: registry.counter(
                "lethe_webhook_delivered_total",
                "Events that a receiver has taken.",
                &labels,
            )?,
            failed: registry.counter(
                "lethe_webhook_failed_attempts_total",
                "Attempts to deliver an event that failed.",
                &labels,
            )?,
            given_up: registry.counter(
                "lethe_webhook_given_up_total",
                "Events that grew too old before a receiver took them.",
                &labels,
            )?,
            position,
        })
    }
}

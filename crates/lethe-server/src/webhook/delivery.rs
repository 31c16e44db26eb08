//! One attempt to hand one event to a receiver.

use std::io::Read as _;
use std::sync::Arc;

use lethe_door_native::wire;
use lethe_engine::Event;
use lethe_types::{TreeId, UnixMillis};
use serde::Serialize;
use ureq::Agent;
use ureq::http::header::CONTENT_TYPE;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use super::roots;
use super::secret::Secrets;
use crate::config::WebhookConfig;

/// How much of an answer is read, so that its connection can be used again, and forgotten.
const ANSWER_BYTES_MAX: u64 = 16_384;
const ANSWER_HEAD_BYTES_MAX: usize = 65_536;

/// How one receiver is reached.
#[derive(Debug)]
pub(super) struct Delivery {
    agent: Agent,
    url: String,
    secrets: Secrets,
}

/// An event as it is sent. The same in every attempt, but for the time and the signature.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: Vec<u8>,
}

/// The body, as Standard Webhooks recommends it.
#[derive(Serialize)]
struct Payload {
    r#type: &'static str,
    timestamp: String,
    data: wire::Event,
}

impl Message {
    /// The message of `event` in the installation `tree`.
    pub(super) fn of(tree: TreeId, event: &Event) -> Self {
        let data = wire::Event::of(event);
        let payload = Payload { r#type: event.kind, timestamp: event.time.to_string(), data };
        let body = serde_json::to_vec(&payload).expect("wire types are JSON");
        Self { id: format!("evt_{tree}_{}", event.id), body }
    }
}

impl Delivery {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// In words, what is wrong with the authorities.
    pub(super) fn new(config: &WebhookConfig, secrets: Secrets) -> Result<Self, String> {
        let roots = match (&config.ca_file, config.url.starts_with("https:")) {
            (Some(path), _) => roots::of_file(path)?,
            (None, true) => roots::of_system()?,
            (None, false) => Vec::new(),
        };
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(provider))
            .root_certs(RootCerts::new_with_certs(&roots))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            // A redirection is an answer that is no success: events go where the operator says.
            .max_redirects(0)
            .max_response_header_size(ANSWER_HEAD_BYTES_MAX)
            .proxy(None)
            .timeout_global(Some(config.timeout))
            .user_agent(concat!("lethe/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Self { agent, url: config.url.clone(), secrets })
    }

    /// Sends `message` at `now`. Blocks, at most for the timeout of the configuration.
    ///
    /// # Errors
    /// Why the receiver may not have it, in words. It may have it all the same.
    pub(super) fn attempt(&self, message: &Message, now: UnixMillis) -> Result<(), String> {
        let timestamp = now.seconds();
        let answer = self
            .agent
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", self.secrets.sign(&message.id, timestamp, &message.body))
            .send(message.body.as_slice())
            .map_err(|error| error.to_string())?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("the receiver answered {}", status.as_u16()));
        }
        let mut rest = answer.into_body().into_reader().take(ANSWER_BYTES_MAX);
        // The status is the answer; what follows it changes nothing.
        let _ignored = std::io::copy(&mut rest, &mut std::io::sink());
        Ok(())
    }
}

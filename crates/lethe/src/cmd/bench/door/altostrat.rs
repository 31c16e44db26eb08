//! The door for API keys: what services ask it about the secrets and tokens that they are given.

use std::sync::Arc;

use serde_json::Value;

use super::{Kind, Scenario, Site, Turn, text_after, write_request};
use crate::cmd::bench::http::Target;
use crate::cmd::bench::work::Work;

const JSON: (&str, &str) = ("Content-Type", "application/json");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const CREATE: &str = r#"{"name":"bench","permissions":["keys.read"]}"#;
/// Of the right form, with the right check sum, and nobody's.
const UNKNOWN: &str = "alto_sk_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef2P40Ol";

/// A person who makes keys, and a service that checks them.
pub(in crate::cmd::bench) struct Altostrat {
    target: Target,
    manager: String,
    service: String,
}

impl Altostrat {
    /// Those of `dev.json`.
    ///
    /// # Errors
    /// The reason in words.
    pub(in crate::cmd::bench) fn of(site: Site) -> Result<Self, String> {
        let manager = format!("Bearer {}", site.text("bearer")?);
        let service = format!("Bearer {}", site.text("internal_token")?);
        Ok(Self { target: site.target, manager, service })
    }

    /// Requests of the service to `path`, each about another of `secrets`.
    fn about(
        &self,
        secrets: &Arc<Vec<String>>,
        (path, form): (&'static str, (&'static str, &'static str)),
        body: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Work {
        let (target, service) = (self.target.clone(), self.service.clone());
        let (secrets, turn) = (secrets.clone(), Turn::default());
        Work::made(200, move |out| {
            let headers = [("Authorization", service.as_str()), form];
            write_request(out, &target, ("POST", path), &headers, &body(turn.of(&secrets)));
            true
        })
    }

    /// Requests that make so many API keys, whose secrets are collected.
    pub(in crate::cmd::bench) fn creations(&self, keys: u64) -> Work {
        let (target, manager) = (self.target.clone(), self.manager.clone());
        let turn = Turn::default();
        Work::made(201, move |out| {
            let headers = [("Authorization", manager.as_str()), JSON];
            write_request(out, &target, ("POST", "/api/keys"), &headers, CREATE);
            turn.next() < keys
        })
        .collecting(secret_of)
    }

    /// Requests of the service about another one of `secrets` each, which are good.
    pub(in crate::cmd::bench) fn verifications(&self, secrets: &Arc<Vec<String>>) -> Work {
        self.about(secrets, ("/oauth/introspect", FORM), |secret| format!("token={secret}"))
    }

    /// Programs at a gateway, each with its own secret.
    fn gateway(&self, secrets: &Arc<Vec<String>>) -> Work {
        let (target, secrets, turn) = (self.target.clone(), secrets.clone(), Turn::default());
        Work::made(200, move |out| {
            let bearer = format!("Bearer {}", turn.of(&secrets));
            let path = "/v1/forward-auth?permission=keys.read";
            write_request(out, &target, ("GET", path), &[("Authorization", &bearer)], "");
            true
        })
    }
}

impl Scenario for Altostrat {
    fn create(&self, keys: u64) -> Work {
        self.creations(keys)
    }

    fn samples(&self, keys: &[String]) -> Vec<Vec<u8>> {
        let body = format!(r#"{{"api_key":"{}"}}"#, keys.first().map_or("", String::as_str));
        let mut out = Vec::new();
        let headers = [("Authorization", self.service.as_str()), JSON];
        write_request(&mut out, &self.target, ("POST", "/api/internal/token"), &headers, &body);
        vec![out]
    }

    fn works(&self, keys: Arc<Vec<String>>, samples: &[Value]) -> Result<Vec<Kind>, String> {
        let token = samples.first().and_then(|answer| answer.get("data"));
        let token = token.and_then(|data| data.get("access_token")).and_then(Value::as_str);
        let token = token.ok_or("the exchange gave no token")?;
        let tokens = Arc::new(vec![token.to_owned()]);
        let unknown = Arc::new(vec![UNKNOWN.to_owned()]);
        let introspect = ("/oauth/introspect", FORM);
        let exchange = ("/api/internal/token", JSON);
        let form = |token: &str| format!("token={token}");
        let json = |secret: &str| format!(r#"{{"api_key":"{secret}"}}"#);
        let refused = self.about(&unknown, exchange, json).answered(403);
        Ok(vec![
            Kind { name: "verify secret", work: self.verifications(&keys) },
            Kind { name: "verify token", work: self.about(&tokens, introspect, form) },
            Kind { name: "refuse secret", work: refused },
            Kind { name: "exchange", work: self.about(&keys, exchange, json) },
            Kind { name: "forward-auth", work: self.gateway(&keys) },
        ])
    }
}

/// The secret that a create shows.
fn secret_of(body: &[u8]) -> Option<String> {
    text_after(body, b"\"secret\":\"")
}

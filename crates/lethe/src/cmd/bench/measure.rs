//! One measurement after the other: the server and the floor in turn, each with what it cost.

use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::cost::{Watched, resident_kib, resident_peak_kib, watch, watch_all};
use super::door::{self, altostrat::Altostrat};
use super::floor::Floor;
use super::http::Target;
use super::load::{self, Load, Pace, Run};
use super::mixed::{self, Mixed};
use super::plan::Plan;
use super::scale::Scale;
use super::scenario::{self, Act, Body, FloorWork, PAGE_KEYS, Scenario};
use super::site::{BenchServer, Site};
use super::work::{Work, id_of};
use crate::failure::Failure;
use crate::local::{Sandbox, monotonic};
use crate::output::member;

/// Before what is measured, so that connections, caches and branch predictors are warm; at most as
/// long as what is measured.
const WARM_UP: Duration = Duration::from_millis(300);
/// Keys that are made beforehand for each second of destroying, and most of them.
const DESTROYS_PER_S: u64 = 12_000;
const DESTROYS_MAX: u64 = 60_000;
/// Keys of one bulk destruction for each second of a measurement.
const BULK_KEYS_PER_S: u64 = 20_000;
/// Fewest keys that are made for work which takes them in turn.
const KEYS_IN_TURN_MIN: u64 = 200;
/// API keys that are looked at in turn: fewer than the door grants by default.
const API_KEYS: u64 = 50;
/// Connections over which keys are made beforehand or cleared away.
const FILL_CONNECTIONS: usize = 64;
/// Longest time for either.
const FILL_WITHIN: Duration = Duration::from_secs(7_200);
/// How often it is looked how far a bulk destruction came.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A key's id, as it stands in a path.
pub(super) type KeyText = [u8; 32];

/// Everything that was measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) is_tls: bool,
    pub(super) rows: Vec<Row>,
    pub(super) mixed: Vec<Mixed>,
    /// What many keys cost, if there are.
    pub(super) scale: Option<Scale>,
    /// Memory of the server at the end and at the most, in KiB.
    pub(super) resident_kib: Option<u64>,
    pub(super) resident_peak_kib: Option<u64>,
}

/// One measurement, in as many rounds as were asked for.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) scenario: &'static Scenario,
    pub(super) connections: usize,
    pub(super) pace: Pace,
    pub(super) ours: Watched,
    pub(super) floor: Option<Watched>,
    /// CPU time of a request by the floor's, of each round.
    pub(super) ratios: Vec<f64>,
}

/// Measures all of `plan`.
///
/// # Errors
/// [`Failure::Failed`] if the server does not take part. Single requests that fail are counted.
pub(super) async fn all(
    plan: &Plan,
    server: &BenchServer,
    floor: &Floor,
    scale: Option<Scale>,
    sandbox: &Sandbox,
) -> Result<Measured, Failure> {
    let mut session = Session {
        site: server.site(plan.is_tls)?,
        process_id: server.process_id,
        server,
        floor,
        plan,
        keys_in_turn: scale.as_ref().map_or_else(Arc::default, |scale| Arc::clone(&scale.keys)),
        keys: VecDeque::new(),
        own_keys: VecDeque::new(),
    };
    let mut measured = Measured { is_tls: plan.is_tls, ..Measured::default() };
    let result = session.measure(sandbox, &mut measured).await;
    measured.scale = scale;
    measured.resident_kib = server.process_id.and_then(resident_kib);
    measured.resident_peak_kib = server.process_id.and_then(resident_peak_kib);
    if server.is_foreign() {
        session.clear().await.map_err(Failure::Failed)?;
    }
    result.map_err(Failure::Failed)?;
    Ok(measured)
}

/// Requests that can be repeated, and the door that takes them.
struct Prepared {
    target: Target,
    work: Arc<Work>,
}

/// The server under load, and the keys that the load made there.
pub(super) struct Session<'a> {
    pub(super) site: Site,
    pub(super) process_id: Option<u32>,
    pub(super) server: &'a BenchServer,
    floor: &'a Floor,
    pub(super) plan: &'a Plan,
    /// Keys that are used one after the other.
    keys_in_turn: Arc<Vec<KeyText>>,
    /// Keys that may be destroyed.
    keys: VecDeque<String>,
    /// Keys that are used by themselves.
    own_keys: VecDeque<String>,
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({:?})", self.site.target)
    }
}

impl Session<'_> {
    async fn measure(&mut self, sandbox: &Sandbox, into: &mut Measured) -> Result<(), String> {
        if !self.plan.disturbances.is_empty() {
            into.mixed = mixed::measure(self, sandbox).await?;
            return Ok(());
        }
        for scenario in &self.plan.scenarios {
            let prepared = self.prepare(scenario).await?;
            for connections in &self.plan.connections {
                let paces =
                    if scenario.has_pace() { &self.plan.paces[..] } else { &[Pace::Closed] };
                for pace in paces {
                    let load =
                        Load { connections: *connections, time: self.plan.each, pace: *pace };
                    into.rows.push(self.measure_row(scenario, prepared.as_ref(), load).await?);
                }
                if !scenario.has_pace() {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn measure_row(
        &mut self,
        scenario: &'static Scenario,
        prepared: Option<&Prepared>,
        load: Load,
    ) -> Result<Row, String> {
        let Load { connections, pace, .. } = load;
        let (ours, floor, ratios) = (Watched::default(), None, Vec::new());
        let mut row = Row { scenario, connections, pace, ours, floor, ratios };
        let warm_up = Load::closed(connections, WARM_UP.min(load.time));
        for round in 0..self.plan.rounds {
            let mut floor_cpu = None;
            if let Some(work) = scenario.floor {
                let of_round = self.watch_floor(work, load, warm_up).await?;
                floor_cpu = of_round.cpu_per_1k();
                row.floor.get_or_insert_default().add(of_round);
            }
            let ours = match prepared {
                Some(Prepared { target, work }) => {
                    if round == 0 || row.floor.is_some() {
                        load::run(target, work, warm_up).await?;
                    }
                    watch(target, work, load, self.process_id).await?
                }
                None => self.watch_change(scenario, load).await?,
            };
            let ratio = ours.cpu_per_1k().zip(floor_cpu).map(|(ours, floor)| ours / floor);
            row.ratios.extend(ratio.filter(|ratio| ratio.is_finite()));
            row.ours.add(ours);
        }
        Ok(row)
    }

    async fn watch_floor(
        &self,
        floor: FloorWork,
        load: Load,
        warm_up: Load,
    ) -> Result<Watched, String> {
        let target = &self.floor.target;
        let (path, body) = floor.request();
        let work = Arc::new(Work::same(target.request("POST", path, None, Some(&body)), 200));
        load::run(target, &work, warm_up).await?;
        watch(target, &work, load, Some(self.floor.process.id())).await
    }

    /// The requests of a scenario that can be repeated; none if each uses something up.
    async fn prepare(&mut self, scenario: &Scenario) -> Result<Option<Prepared>, String> {
        let mut target = self.site.target.clone();
        let work = match scenario.act {
            Act::Use { algorithm, operation, body } => {
                self.prepare_use(algorithm, operation, body).await?
            }
            Act::EncryptAny => {
                self.fill_turn().await?;
                self.encrypt_in_turn()
            }
            Act::ApiKey => {
                let work;
                (target, work) = self.prepare_api_keys().await?;
                work
            }
            Act::List { view } => {
                self.fill_turn().await?;
                let path = format!("/v1/keys?limit={PAGE_KEYS}&view={view}");
                Work::same(self.site.request("GET", &path, None), 200)
            }
            Act::Create | Act::Destroy | Act::BulkDestroy => return Ok(None),
        };
        Ok(Some(Prepared { target, work: Arc::new(work) }))
    }

    /// A key and the request that uses it.
    pub(super) async fn prepare_use(
        &mut self,
        algorithm: &str,
        operation: &str,
        body: Body,
    ) -> Result<Work, String> {
        let new = json!({"name": "bench", "algorithm": algorithm}).to_string();
        let key = member(&self.site.ask("POST", "/v1/keys", Some(&new)).await?, "id");
        self.own_keys.push_back(key.clone());
        let body = match body {
            Body::Plaintext(bytes) => scenario::plaintext(bytes),
            Body::Plaintexts(items) => scenario::plaintexts(items),
            Body::Message(bytes) => scenario::message(bytes),
            Body::Ciphertext(bytes) => {
                let (path, body) = (format!("/v1/keys/{key}/encrypt"), scenario::plaintext(bytes));
                let made = self.site.ask("POST", &path, Some(&body)).await?;
                json!({"ciphertext": member(&made, "ciphertext")}).to_string()
            }
        };
        let path = format!("/v1/keys/{key}/{operation}");
        Ok(Work::same(self.site.request("POST", &path, Some(&body)), 200))
    }

    fn encrypt_in_turn(&self) -> Work {
        const MARK: &[u8] = &[b'*'; 32];
        let path = format!("/v1/keys/{}/encrypt", String::from_utf8_lossy(MARK));
        let body = scenario::plaintext(32);
        let request = self.site.request("POST", &path, Some(&body));
        let at = request.expose().windows(MARK.len()).position(|part| part == MARK);
        let (keys, turn) = (Arc::clone(&self.keys_in_turn), AtomicU64::new(0));
        Work::made(200, move |out| {
            let number = u64::try_from(keys.len()).unwrap_or(u64::MAX).max(1);
            let place = usize::try_from(turn.fetch_add(1, Ordering::Relaxed) % number);
            let key = place.ok().and_then(|place| keys.get(place));
            let (Some(key), Some(at)) = (key, at) else { return false };
            out.extend_from_slice(request.expose());
            out[at..at + MARK.len()].copy_from_slice(key);
            true
        })
    }

    /// API keys of the vendor's door whose clients look at the most of them.
    async fn prepare_api_keys(&self) -> Result<(Target, Work), String> {
        let (target, door) = self.server.door("altostrat", self.plan.is_tls)?;
        let clients = Altostrat::of(door::Site { target: target.clone(), door })?;
        let work = Arc::new(clients.creations(API_KEYS));
        let load = Load::closed(FILL_CONNECTIONS, FILL_WITHIN);
        let made = load::run(&target, &work, load).await?;
        match made.first_error {
            None => Ok((target, clients.verifications(&Arc::new(made.keys.into())))),
            Some(why) => Err(format!("API keys cannot be made: {why}")),
        }
    }

    async fn watch_change(&mut self, scenario: &Scenario, load: Load) -> Result<Watched, String> {
        let is_bulk = match scenario.act {
            Act::BulkDestroy => true,
            Act::Destroy => false,
            Act::Create | Act::Use { .. } | Act::EncryptAny | Act::ApiKey | Act::List { .. } => {
                let request = self.site.request("POST", "/v1/keys", Some(CREATE));
                let work = Arc::new(Work::making_keys(request));
                let target = &self.site.target;
                let mut watched = watch(target, &work, load, self.process_id).await?;
                self.keys.append(&mut watched.run.keys);
                return Ok(watched);
            }
        };
        if is_bulk {
            return self.watch_bulk(load.time).await;
        }
        let milliseconds = u64::try_from(load.time.as_millis()).unwrap_or(u64::MAX);
        let wanted = (milliseconds.saturating_mul(DESTROYS_PER_S) / 1_000).min(DESTROYS_MAX);
        self.fill(usize::try_from(wanted).unwrap_or(usize::MAX)).await?;
        let work = Arc::new(self.deletions(usize::MAX));
        let watched = watch(&self.site.target, &work, load, self.process_id).await?;
        let work = Arc::into_inner(work).ok_or("a connection did not end")?;
        self.keys = work.into_keys_left();
        Ok(watched)
    }

    /// Fills a vault, and destroys all that is in it at once.
    async fn watch_bulk(&mut self, time: Duration) -> Result<Watched, String> {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let keys = (milliseconds.saturating_mul(BULK_KEYS_PER_S) / 1_000).min(DESTROYS_MAX);
        let name = format!("bench-{}", monotonic().as_nanos());
        let vault = json!({"name": name}).to_string();
        let vault = member(&self.site.ask("POST", "/v1/vaults", Some(&vault)).await?, "id");
        make_keys(&self.site, keys, Some(&vault)).await?;
        let watched = watch_all(self.process_id, self.destroy_vault(&vault, keys)).await?;
        self.site.send("DELETE", &format!("/v1/vaults/{vault}")).await?;
        Ok(watched)
    }

    async fn destroy_vault(&self, vault: &str, keys: u64) -> Result<Run, String> {
        let start = monotonic();
        let body = json!({"vault": vault, "reason": "bench", "expected": keys}).to_string();
        let mut job = self.site.ask("POST", "/v1/destructions", Some(&body)).await?;
        let path = format!("/v1/destructions/{}", member(&job, "id"));
        while member(&job, "state") == "running" && monotonic() < start + FILL_WITHIN {
            tokio::time::sleep(LOOK_EVERY).await;
            job = self.site.ask("GET", &path, None).await?;
        }
        let is_whole = member(&job, "state") == "done"
            && job.get("destroyed").and_then(Value::as_u64) == Some(keys);
        if !is_whole {
            return Err(format!("the destruction did not end well: {job}"));
        }
        Ok(Run { elapsed: monotonic().saturating_sub(start), done: keys, ..Run::default() })
    }

    /// Takes up to so many of the keys that may go.
    pub(super) fn deletions(&mut self, most: usize) -> Work {
        const MARK: &str = "{key}";
        let request = self.site.request("DELETE", &format!("/v1/keys/{MARK}"), None);
        let kept = self.keys.split_off(most.min(self.keys.len()));
        let taken = std::mem::replace(&mut self.keys, kept);
        Work::per_key(&request, MARK.as_bytes(), taken, 200)
    }

    /// Makes keys until so many may be destroyed.
    pub(super) async fn fill(&mut self, wanted: usize) -> Result<(), String> {
        let missing = wanted.saturating_sub(self.keys.len());
        let missing = u64::try_from(missing).unwrap_or(u64::MAX);
        if missing > 0 {
            let mut run = make_keys(&self.site, missing, None).await?;
            self.keys.append(&mut run.keys);
        }
        Ok(())
    }

    /// Makes the keys that are used in turn, if there are none yet.
    async fn fill_turn(&mut self) -> Result<(), String> {
        if self.keys_in_turn.is_empty() {
            let mut run = make_keys(&self.site, KEYS_IN_TURN_MIN, None).await?;
            self.keys_in_turn = Arc::new(run.keys.iter().filter_map(|key| key_text(key)).collect());
            self.own_keys.append(&mut run.keys);
        }
        Ok(())
    }

    /// Destroys what is left of what the load made.
    async fn clear(&mut self) -> Result<(), String> {
        let mut own = std::mem::take(&mut self.own_keys);
        self.keys.append(&mut own);
        let in_turn = std::mem::take(&mut self.keys_in_turn);
        if self.plan.keys > 0 {
            self.keys.extend(in_turn.iter().map(|key| String::from_utf8_lossy(key).into_owned()));
        }
        let work = Arc::new(self.deletions(usize::MAX));
        let load = Load::closed(FILL_CONNECTIONS, FILL_WITHIN);
        let run = load::run(&self.site.target, &work, load).await?;
        run.first_error.map_or(Ok(()), |why| Err(format!("keys of the load are left: {why}")))
    }
}

/// A key's id without room of its own.
pub(super) fn key_text(key: &str) -> Option<KeyText> {
    key.as_bytes().try_into().ok()
}

/// Makes so many keys, each with a name of its own, as fast as the API lets: one request a key over
/// many connections, which the server commits together.
///
/// # Errors
/// The reason in words, if one was not made.
pub(super) async fn make_keys(site: &Site, keys: u64, vault: Option<&str>) -> Result<Run, String> {
    const MARK: &str = "{number}";
    let mut body = json!({"name": format!("bench-{MARK}"), "algorithm": "aes256-gcm"});
    if let Some(vault) = vault {
        body["vault"] = vault.into();
    }
    let request = site.request("POST", "/v1/keys", Some(&body.to_string()));
    let at = request.expose().windows(MARK.len()).position(|part| part == MARK.as_bytes());
    let next = AtomicU64::new(0);
    // Numbers are as wide as the mark, so that the length of the request is right for all.
    let work = Work::made(201, move |out| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(at) = at.filter(|_| number < keys) else { return false };
        out.extend_from_slice(request.expose());
        let text = format!("{number:0width$}", width = MARK.len());
        out[at..at + MARK.len()].copy_from_slice(&text.as_bytes()[..MARK.len()]);
        true
    });
    let work = Arc::new(work.collecting(id_of));
    let load = Load::closed(FILL_CONNECTIONS, FILL_WITHIN);
    let run = load::run(&site.target, &work, load).await?;
    match &run.first_error {
        None if run.done == keys => Ok(run),
        None => Err(format!("only {} keys were made", run.done)),
        Some(why) => Err(format!("keys cannot be made: {why}")),
    }
}

const CREATE: &str = r#"{"name":"bench","algorithm":"aes256-gcm"}"#;

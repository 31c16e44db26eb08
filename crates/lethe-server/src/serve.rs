//! From the configuration to a serving process, and back down without losing anything.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use lethe_crypto::SystemEntropy;
use lethe_engine::Engine;
use lethe_http::metrics::Registry;
use lethe_http::{Environment, HostRouter, Listener, ListenerOptions, Transport, tls};
use lethe_types::Clock;
use serde_json::Map;

use crate::audit_file::AuditFile;
use crate::backup::Control;
use crate::clock::{SystemClock, parse_duration};
use crate::config::{self, Config, DoorConfig};
use crate::data_dir::DataDir;
use crate::dev::DevDoor;
use crate::dev_tls::ensure_dev_tls;
use crate::doors::{Opened, Site};
use crate::private_files::{ensure_own_dir, write_atomic};
use crate::service::Service;
use crate::signals::StopSignals;
use crate::webhook::Webhooks;
use crate::{ServeError, dev, doors, memory, open, principals};

/// The first port of `serve --dev`, unless it is told another.
const DEV_PORT_BASE_DEFAULT: u16 = 8200;

/// Bytes of a refused body that are read and thrown away, so that its sender hears why. Whoever
/// sends without end costs that much each time.
const BODY_DISCARD_BYTES_MAX: usize = 2 * 1_048_576;

/// How the server is to be started. All that is `None` has the default of its place.
#[derive(Clone, Debug, Default)]
pub struct ServeOptions {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// The data directory; goes before the file's.
    pub data: Option<PathBuf>,
    /// All doors with local certificates and a demo realm.
    pub dev: bool,
    /// With `dev`: the port of the first door; 0 for free ports.
    pub port_base: Option<u16>,
    /// With `dev`: how far the clock is ahead, as in `73h`.
    pub clock_offset: Option<String>,
    /// Settings `a.b=value` that go before the file's.
    pub set: Vec<String>,
}

/// Serves until the process is told to stop; then finishes what it began.
///
/// Blocks the thread. Says on standard output where it listens: with `--dev` the one line
/// `lethe ready FILE`, else a line `listening ADDRESS` for each listener.
///
/// # Errors
/// [`ServeError`]; nothing was overwritten.
pub fn serve(options: &ServeOptions) -> Result<(), ServeError> {
    crate::defences::arm();
    let config = configuration(options)?;
    memory::protect(config.memory)?;
    let clock = Arc::new(clock(options)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| ServeError::Os { what: "cannot start the runtime", source })?;
    ensure_own_dir(&config.data)?;
    let store = open::store(&config)?;
    let slot = open::slot(&config, &store, options.dev)?;
    let audit = Arc::new(AuditFile::open(&config.audit, clock.clone())?);
    let engine = Arc::new(open::engine(&config, store, slot, clock.clone(), audit.clone())?);
    let control = Control::start(&DataDir::new(&config.data), &engine)?;
    let served = runtime.block_on(run(options, &config, &engine, &audit, clock));
    control.stop();
    // In this order: changes end before the trail that tells of them is closed.
    engine.close();
    let audited = audit.close();
    served?;
    audited.map_err(|error| ServeError::Audit(Box::new(error)))
}

/// The configuration that [`serve`] would use.
///
/// # Errors
/// [`ServeError::Argument`] and [`ServeError::Config`].
pub fn configuration(options: &ServeOptions) -> Result<Config, ServeError> {
    let mut set = options.set.clone();
    if let Some(data) = &options.data {
        let data = data.to_str().ok_or_else(|| ServeError::Argument {
            argument: "--data",
            why: "a data directory's path is UTF-8".to_owned(),
        })?;
        set.push(format!("data={}", toml::Value::String(data.to_owned())));
    }
    let path = options.config.as_deref();
    if options.dev {
        let base = options.port_base.unwrap_or(DEV_PORT_BASE_DEFAULT);
        return Ok(Config::load_dev(path, &set, base)?);
    }
    let dev_only = [
        ("--port-base", options.port_base.is_some()),
        ("--clock-offset", options.clock_offset.is_some()),
    ];
    if let Some((argument, _)) = dev_only.into_iter().find(|(_, given)| *given) {
        return Err(ServeError::Argument { argument, why: "only with --dev".to_owned() });
    }
    Ok(Config::load(path, &set)?)
}

fn clock(options: &ServeOptions) -> Result<SystemClock, ServeError> {
    let Some(offset) = &options.clock_offset else { return Ok(SystemClock::new()) };
    let offset = parse_duration(offset).map_err(|error| ServeError::Argument {
        argument: "--clock-offset",
        why: error.to_string(),
    })?;
    Ok(SystemClock::with_offset(offset))
}

async fn run(
    options: &ServeOptions,
    config: &Config,
    engine: &Arc<Engine>,
    audit: &Arc<AuditFile>,
    clock: Arc<SystemClock>,
) -> Result<(), ServeError> {
    let mut signals = StopSignals::install()
        .map_err(|source| ServeError::Os { what: "cannot wait for signals", source })?;
    let data = DataDir::new(&config.data);
    write_atomic(&data.log_vkey(), format!("{}\n", engine.log_vkey()).as_bytes(), 0o644)?;
    let registry = Arc::new(registry(engine, audit)?);
    let service: Arc<dyn lethe_door_native::ServiceView> = Arc::new(Service {
        engine: engine.clone(),
        audit: audit.clone(),
        registry: registry.clone(),
    });
    let certificates = certificates(config)?;
    let before = if options.dev { dev::last_time(&data) } else { Map::new() };
    let (mut listeners, mut opened, mut provided) = (Vec::new(), Vec::new(), Vec::new());
    for door_config in &config.doors {
        let realm = engine.ensure_realm(&door_config.realm).await?;
        let site = Site {
            config: door_config,
            realm,
            engine,
            service: &service,
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            is_dev: options.dev,
            url: Arc::default(),
        };
        let door = doors::open(&site).await?;
        if options.dev {
            let before = before.get(door_config.dialect);
            provided.push(doors::provision_dev(&site, &door, before).await?);
        } else {
            principals::ensure_initial_admin(engine, realm, door_config, &data).await?;
        }
        listeners.extend(listeners_of(door_config, &door, certificates.as_ref())?);
        opened.push(door);
    }
    let mut webhooks = Webhooks::default();
    let webhook_clock: Arc<dyn Clock> = clock.clone();
    for webhook in &config.webhooks {
        let realm = engine.ensure_realm(&webhook.realm).await?;
        webhooks.start(webhook, realm, engine, &webhook_clock, &registry, &data)?;
    }
    let environment = Environment { clock, entropy: Arc::new(SystemEntropy), metrics: registry };
    let running = lethe_http::serve(listeners, environment).await?;
    let places = places(config, running.addresses());
    for (door, place) in opened.iter().zip(&places) {
        // Each lock belongs to one door and is set here alone.
        let _new = door.url.set(place.0.clone());
    }
    // What doors commit while they open is not what a test waits for.
    crate::crash_points::arm();
    if options.dev {
        let doors = config.doors.iter().zip(places).zip(provided);
        let doors =
            doors.map(|((config, (url, http)), provided)| DevDoor { config, url, http, provided });
        let ca_file = certificates.as_ref().map(|(_, ca_file)| ca_file.as_path());
        dev::write_dev_json(doors.collect(), ca_file, &data)?;
        say(&format!("lethe ready {}", data.dev_json().display()))?;
    } else {
        for address in running.addresses() {
            say(&format!("listening {address}"))?;
        }
    }
    signals.next().await;
    let cut = running.shutdown(config.shutdown_grace).await;
    webhooks.stop(&*webhook_clock);
    if cut.connections_cut > 0 || cut.work_abandoned > 0 {
        eprintln!(
            "lethe: stopped after {:?}: {} connections cut, {} operations still running",
            config.shutdown_grace, cut.connections_cut, cut.work_abandoned
        );
    }
    Ok(())
}

/// The URL of each door and the address of its listener for plain HTTP, from the addresses of all
/// listeners in the order of [`listeners_of`].
fn places(config: &Config, addresses: &[SocketAddr]) -> Vec<(String, Option<SocketAddr>)> {
    let mut addresses = addresses.iter();
    let place = |door: &DoorConfig| {
        let scheme = match door.transport {
            config::Transport::PlainHttp => "http",
            config::Transport::DevTls | config::Transport::Tls { .. } => "https",
        };
        let address = addresses.next()?;
        let http = door.http_listen.and_then(|_| addresses.next().copied());
        Some((format!("{scheme}://{address}"), http))
    };
    config.doors.iter().map_while(place).collect()
}

type Certificates = (Arc<rustls::ServerConfig>, PathBuf);

fn certificates(config: &Config) -> Result<Option<Certificates>, ServeError> {
    let wanted = |door: &DoorConfig| door.transport == config::Transport::DevTls;
    if !config.doors.iter().any(wanted) {
        return Ok(None);
    }
    // Clients check the dates by their own clock, whatever --clock-offset says.
    let dev = ensure_dev_tls(&config.data, &config.host_names(), &SystemClock::new())?;
    let server = tls::from_files(&dev.certificate, &dev.private_key, tls::Versions::default())?;
    Ok(Some((server, dev.ca_file)))
}

fn listeners_of(
    config: &DoorConfig,
    opened: &Opened,
    certificates: Option<&Certificates>,
) -> Result<Vec<Listener>, ServeError> {
    let transport = match &config.transport {
        config::Transport::PlainHttp => Transport::Plain,
        config::Transport::Tls { certificate, private_key } => {
            let versions = tls::Versions::default();
            Transport::Tls(tls::from_files(certificate, private_key, versions)?)
        }
        config::Transport::DevTls => match certificates {
            Some((server, _)) => Transport::Tls(server.clone()),
            None => {
                let why = "no certificates were made".to_owned();
                return Err(ServeError::Door { dialect: config.dialect, why });
            }
        },
    };
    let options = ListenerOptions {
        connections_max: config.limits.connections,
        requests_in_flight_max: config.limits.requests_in_flight,
        // A client that sends a body somewhat over the limit still gets to read the refusal.
        body_discard_bytes_max: BODY_DISCARD_BYTES_MAX.max(opened.options.body_discard_bytes_max),
        ..opened.options.clone()
    };
    let mut listeners = vec![Listener {
        hosts: HostRouter::only(opened.door.clone()),
        address: config.listen,
        transport,
        options: options.clone(),
    }];
    listeners.extend(config.http_listen.map(|address| Listener {
        hosts: HostRouter::only(opened.plain_door.as_ref().unwrap_or(&opened.door).clone()),
        address,
        transport: Transport::Plain,
        options,
    }));
    Ok(listeners)
}

fn registry(engine: &Arc<Engine>, audit: &Arc<AuditFile>) -> Result<Registry, ServeError> {
    let registry = Registry::new();
    let failed = |error| ServeError::Listen(lethe_http::ServeError::Metrics(error));
    let counted = engine.clone();
    registry
        .gauge_callback("lethe_keys", "Keys by state.", &[("state", "live")], move || {
            gauge(counted.key_counts().0)
        })
        .map_err(failed)?;
    let counted = engine.clone();
    registry
        .gauge_callback("lethe_keys", "Keys by state.", &[("state", "destroyed")], move || {
            gauge(counted.key_counts().1)
        })
        .map_err(failed)?;
    let asked = engine.clone();
    registry
        .gauge_callback("lethe_ready", "1 if changes and uses are possible.", &[], move || {
            f64::from(u8::from(asked.ready().is_ok()))
        })
        .map_err(failed)?;
    let events = audit.clone();
    registry
        .counter_callback("lethe_audit_events_total", "Audit events recorded.", &[], move || {
            events.health().recorded_events
        })
        .map_err(failed)?;
    let refused = audit.clone();
    registry
        .counter_callback(
            "lethe_audit_refused_total",
            "Audit events that the queue could not take.",
            &[],
            move || refused.health().refused_events,
        )
        .map_err(failed)?;
    let asked = engine.clone();
    registry
        .gauge_callback(
            "lethe_followers",
            "Copies that hold every answered change.",
            &[],
            move || gauge(asked.followers().live),
        )
        .map_err(failed)?;
    let asked = engine.clone();
    registry
        .counter_callback(
            "lethe_followers_lost_total",
            "Copies that were dropped because they were late, or went away.",
            &[],
            move || {
                let status = asked.followers();
                status.dropped.saturating_add(status.gone)
            },
        )
        .map_err(failed)?;
    Ok(registry)
}

/// A count as Prometheus wants it; exact far beyond the keys that one installation can hold.
fn gauge(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn say(line: &str) -> Result<(), ServeError> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|source| ServeError::Os { what: "cannot write to standard output", source })
}

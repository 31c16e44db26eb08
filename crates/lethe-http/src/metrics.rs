//! Metrics: a small registry, and those of HTTP.
//!
//! Hand-rolled on atomics. A request must not build or hash labels: each route holds its own
//! counters from the start, which leaves to a library only the text format, and that is simple.

mod registry;
mod text;

use core::time::Duration;
use std::sync::Arc;

use http::StatusCode;

pub use registry::{Counter, Gauge, Histogram, Registry, RegistryError};

/// Makes the metrics of routes and listeners.
pub(crate) struct HttpMetrics {
    registry: Arc<Registry>,
}

impl HttpMetrics {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    /// The metrics of one operation of one door. Routes with the same operation share them.
    pub(crate) fn route(&self, door: &str, op: &str) -> Result<Arc<RouteMetrics>, RegistryError> {
        let labels = [("door", door), ("op", op)];
        let requests = |status| {
            let labels = [("door", door), ("op", op), ("status", status)];
            self.registry.counter("lethe_http_requests_total", "Requests answered.", &labels)
        };
        Ok(Arc::new(RouteMetrics {
            requests: [
                requests("1xx")?,
                requests("2xx")?,
                requests("3xx")?,
                requests("4xx")?,
                requests("5xx")?,
            ],
            duration: self.registry.histogram(
                "lethe_http_request_duration_seconds",
                "Time from a complete request head to its answer.",
                &labels,
            )?,
            request_bytes: self.registry.counter(
                "lethe_http_request_body_bytes_total",
                "Bytes of request bodies read.",
                &labels,
            )?,
            response_bytes: self.registry.counter(
                "lethe_http_response_body_bytes_total",
                "Bytes of response bodies whose length was known.",
                &labels,
            )?,
        }))
    }

    /// The metrics of one listener.
    pub(crate) fn listener(&self, address: &str) -> Result<Arc<ListenerMetrics>, RegistryError> {
        let labels = [("listener", address)];
        let (registry, labels) = (&self.registry, &labels);
        Ok(Arc::new(ListenerMetrics {
            in_flight: registry.gauge(
                "lethe_http_requests_in_flight",
                "Requests being worked on, detached work included.",
                labels,
            )?,
            large_bodies_bytes: registry.gauge(
                "lethe_http_large_bodies_bytes",
                "Bytes held of large request bodies.",
                labels,
            )?,
            connections: registry.gauge("lethe_http_connections", "Open connections.", labels)?,
            connections_total: registry.counter(
                "lethe_http_connections_total",
                "Connections accepted.",
                labels,
            )?,
            handshake_failures: registry.counter(
                "lethe_http_tls_handshake_failures_total",
                "Connections that ended in the TLS handshake.",
                labels,
            )?,
            event_streams: registry.gauge(
                "lethe_http_event_streams",
                "Open streams of events.",
                labels,
            )?,
            event_streams_total: registry.counter(
                "lethe_http_event_streams_total",
                "Streams of events opened.",
                labels,
            )?,
            event_streams_refused: registry.counter(
                "lethe_http_event_streams_refused_total",
                "Streams of events refused since there were too many.",
                labels,
            )?,
            event_stream_bytes: registry.counter(
                "lethe_http_event_stream_bytes_total",
                "Bytes of events sent, heartbeats included.",
                labels,
            )?,
            accept_errors: registry.counter(
                "lethe_http_accept_errors_total",
                "Connections that could not be accepted.",
                labels,
            )?,
        }))
    }
}

/// The counters of one operation of one door.
pub(crate) struct RouteMetrics {
    /// By class of status, 1xx first.
    requests: [Counter; 5],
    duration: Histogram,
    request_bytes: Counter,
    response_bytes: Counter,
}

impl RouteMetrics {
    pub(crate) fn count_request_bytes(&self, bytes: usize) {
        if bytes > 0 {
            self.request_bytes.add(u64::try_from(bytes).unwrap_or(u64::MAX));
        }
    }

    pub(crate) fn record(&self, status: StatusCode, elapsed: Duration, bytes: Option<u64>) {
        let class = usize::from(status.as_u16() / 100);
        if let Some(counter) = self.requests.get(class.saturating_sub(1)) {
            counter.add(1);
        }
        self.duration.observe(elapsed);
        if let Some(bytes @ 1..) = bytes {
            self.response_bytes.add(bytes);
        }
    }
}

/// The counters of one listener.
pub(crate) struct ListenerMetrics {
    pub(crate) in_flight: Gauge,
    pub(crate) large_bodies_bytes: Gauge,
    connections: Gauge,
    connections_total: Counter,
    handshake_failures: Counter,
    pub(crate) event_streams: Gauge,
    pub(crate) event_streams_total: Counter,
    pub(crate) event_streams_refused: Counter,
    pub(crate) event_stream_bytes: Counter,
    accept_errors: Counter,
}

impl ListenerMetrics {
    /// Counts a connection as open until the returned value is dropped.
    pub(crate) fn count_connection(&self) -> OpenConnection {
        self.connections_total.add(1);
        self.connections.add(1);
        OpenConnection(self.connections.clone())
    }

    pub(crate) fn count_handshake_failure(&self) {
        self.handshake_failures.add(1);
    }

    pub(crate) fn count_accept_error(&self) {
        self.accept_errors.add(1);
    }
}

/// One open connection.
pub(crate) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

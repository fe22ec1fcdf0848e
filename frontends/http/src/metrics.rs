//! Figures for Prometheus (text exposition format 0.0.4).
//!
//! Promises: labels are route templates, methods and statuses, never a tenant, a path or anything
//! from a document, so their number is bounded. Deliberately unknown: what the engine's figures mean.

use std::fmt::Write;

use nimbus_engine::EngineMetrics;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

/// The content type of [`HttpMetrics::render`]'s text.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Upper bounds of the latency buckets, in seconds.
const BUCKETS_S: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// What the door counts about itself.
pub(crate) struct HttpMetrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    request_body_bytes: IntCounter,
    response_body_bytes: IntCounter,
    in_flight: IntGauge,
}

/// Counts a request as in flight until it is dropped, however it ends.
pub(crate) struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl HttpMetrics {
    /// Starts counting from nothing. Fails only on a metric that is declared wrongly.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let labels = ["method", "route"];
        let seconds =
            HistogramOpts::new("nimbus_http_request_duration_seconds", "Time until the reply's head.");
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(
                Opts::new("nimbus_http_requests_total", "Requests answered."),
                &["method", "route", "status"],
            )?,
            seconds: HistogramVec::new(seconds.buckets(BUCKETS_S.to_vec()), &labels)?,
            request_body_bytes: IntCounter::new(
                "nimbus_http_request_body_bytes_total",
                "Bytes of request bodies read.",
            )?,
            response_body_bytes: IntCounter::new(
                "nimbus_http_response_body_bytes_total",
                "Bytes of response bodies made.",
            )?,
            in_flight: IntGauge::new("nimbus_http_requests_in_flight", "Requests being answered.")?,
        };
        metrics.registry.register(Box::new(metrics.requests.clone()))?;
        metrics.registry.register(Box::new(metrics.seconds.clone()))?;
        metrics.registry.register(Box::new(metrics.request_body_bytes.clone()))?;
        metrics.registry.register(Box::new(metrics.response_body_bytes.clone()))?;
        metrics.registry.register(Box::new(metrics.in_flight.clone()))?;
        Ok(metrics)
    }

    /// Counts a request in; it is counted out when the guard is dropped.
    pub(crate) fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts an answered request.
    pub(crate) fn count_reply(
        &self,
        method: &str,
        route: &str,
        status: &str,
        elapsed_us: u64,
        body_bytes: u64,
    ) {
        self.requests.with_label_values(&[method, route, status]).inc();
        self.seconds.with_label_values(&[method, route]).observe(elapsed_us as f64 / 1e6);
        self.response_body_bytes.inc_by(body_bytes);
    }

    /// Counts a request body that was read.
    pub(crate) fn count_request_body(&self, body_bytes: usize) {
        self.request_body_bytes.inc_by(body_bytes as u64);
    }

    /// All figures, the engine's included, as text.
    pub(crate) fn render(&self, engine: &EngineMetrics) -> String {
        let mut text = Vec::new();
        // Writing into memory fails only on a metric that is declared wrongly.
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "cannot render the HTTP metrics");
        }
        let mut text = String::from_utf8_lossy(&text).into_owned();
        append_engine(&mut text, engine);
        text
    }
}

/// Writes each of the engine's numbers as `nimbus_engine_NAME`; names that end in `_total` are counters.
fn append_engine(text: &mut String, engine: &EngineMetrics) {
    let Ok(serde_json::Value::Object(figures)) = serde_json::to_value(engine) else { return };
    for (name, value) in figures {
        if value.is_number() {
            let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
            // Writing into a string cannot fail.
            let _ = writeln!(text, "# TYPE nimbus_engine_{name} {kind}\nnimbus_engine_{name} {value}");
        }
    }
}

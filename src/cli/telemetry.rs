//! What a process tells of itself: logs, metrics, traces. The only place that names who collects them.

use std::{
    env,
    fmt::{self, Debug},
    future::Future,
    io::IsTerminal,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::{propagation::TextMapPropagator, trace::TracerProvider};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    propagation::TraceContextPropagator,
    trace::{BatchSpanProcessor, SdkTracerProvider, SpanData},
};
use tokio::runtime::Handle;
use tracing::Dispatch;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt, LevelFilter, filter_fn},
    layer::{Filter, Layered, SubscriberExt},
    util::SubscriberInitExt,
};

use crate::base::{
    Ended,
    metrics::{self as names, MetricKind, MetricUnit},
};
use crate::config::LogFormat;
use crate::http::{Adopt, Observers, TRACE_TARGET};

/// From one to the next of these the value is two to three times as large.
const STORAGE_BUCKETS: &[f64] = &[0.000_01, 0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];
const TIME_BUCKETS: &[f64] = &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Histograms keep every value until they are counted into buckets; a scrape does that, too.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How long the last traces may take at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// Crates that see request heads: at their finest they log them, with links and tokens.
const SEE_HEADS: [&str; 5] = ["h2", "hyper", "hyper_util", "rustls", "tokio_rustls"];

type OnRegistry = Box<dyn Layer<Registry> + Send + Sync>;
type OnLog = Box<dyn Layer<Layered<OnRegistry, Registry>> + Send + Sync>;

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
static ADOPT: OnceLock<Adopt> = OnceLock::new();

/// Traces on their way to a collector.
pub(super) struct Traces(SdkTracerProvider);

/// Starts the log on standard error, metrics for a server, and, where the environment names a collector, traces.
/// `RUST_LOG` overrides `level`.
pub(super) fn start(level: LevelFilter, format: LogFormat, is_server: bool, runtime: &Handle) -> Option<Traces> {
    let asked = env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let filter = log_filter(level, &asked);
    let writer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let log: OnRegistry = match format {
        LogFormat::Pretty => writer.with_filter(filter).boxed(),
        LogFormat::Json => writer.json().flatten_event(true).with_filter(filter).boxed(),
    };
    let started = if is_server { start_traces(runtime) } else { Ok(None) };
    let (traces, problem) = match started {
        Ok(traces) => (traces, None),
        Err(problem) => (None, Some(problem)),
    };
    let spans = traces.as_ref().map(|Traces(provider)| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("sealtape"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            // The spans alone: what is logged within them names recordings.
            .with_filter(filter_fn(|metadata| metadata.target() == TRACE_TARGET).with_max_level_hint(LevelFilter::INFO))
            .boxed()
    });
    collected_by(log, spans).init();
    if let Some(problem) = problem {
        tracing::warn!(%problem, "no traces are sent");
    }
    if is_server {
        start_metrics();
    }
    traces
}

/// What the log takes. It says how fine that gets at most, so that whatever is finer is not even looked at.
fn log_filter<S>(level: LevelFilter, asked: &str) -> impl Filter<S> + Send + Sync + use<S> {
    let filter = EnvFilter::builder().with_default_directive(level.into()).parse_lossy(asked);
    let (finest, asked) = (filter.max_level_hint(), asked.to_owned());
    let may_log = filter_fn(move |metadata| {
        metadata.target() != TRACE_TARGET
            && (metadata.level() <= &LevelFilter::INFO || may_be_fine(metadata.target(), &asked))
    });
    filter.and(match finest {
        Some(finest) => may_log.with_max_level_hint(finest),
        None => may_log,
    })
}

/// Hands what is told to those who collect it. A place left empty for `spans` would let each of them be made, for a
/// layer that might want it.
fn collected_by(log: OnRegistry, spans: Option<OnLog>) -> Dispatch {
    let subscriber = tracing_subscriber::registry().with(log);
    match spans {
        Some(spans) => Dispatch::new(subscriber.with(spans)),
        None => Dispatch::new(subscriber),
    }
}

/// Whether a target may log more than its doings at large: ours may, and others when they are asked for by name,
/// but for those that see request heads.
fn may_be_fine(target: &str, asked: &str) -> bool {
    let name = target.split("::").next().unwrap_or(target);
    let is_asked = || asked.split(',').any(|directive| directive.trim().split(['=', ':', '[']).next() == Some(name));
    name == "sealtape" || (!SEE_HEADS.contains(&name) && is_asked())
}

/// What `http` needs to let itself be observed.
pub(super) fn observers() -> Observers {
    Observers {
        metrics: METRICS.get().map(|handle| {
            let render = move || handle.render();
            Arc::new(render) as Arc<dyn Fn() -> String + Send + Sync>
        }),
        adopt: ADOPT.get().cloned(),
    }
}

/// Counts what histograms hold into their buckets, for ever.
pub(super) async fn upkeep() {
    let Some(handle) = METRICS.get() else { return };
    loop {
        tokio::time::sleep(UPKEEP_INTERVAL).await;
        handle.run_upkeep();
    }
}

/// Before anything is counted: handles are resolved once.
fn start_metrics() {
    let full = |name: &str| Matcher::Full(name.to_owned());
    let builder = PrometheusBuilder::new()
        .set_buckets(TIME_BUCKETS)
        .and_then(|builder| builder.set_buckets_for_metric(full(names::STORAGE_TIME), STORAGE_BUCKETS));
    match builder.and_then(PrometheusBuilder::install_recorder) {
        Ok(handle) => {
            for metric in names::ALL {
                let unit = match metric.unit {
                    MetricUnit::Count | MetricUnit::Truth => Unit::Count,
                    MetricUnit::Bytes => Unit::Bytes,
                    MetricUnit::Seconds => Unit::Seconds,
                };
                match metric.kind {
                    MetricKind::Counter => describe_counter!(metric.name, unit, metric.meaning),
                    MetricKind::Gauge => describe_gauge!(metric.name, unit, metric.meaning),
                    MetricKind::Histogram => describe_histogram!(metric.name, unit, metric.meaning),
                }
            }
            let _started_once = METRICS.set(handle);
        }
        Err(error) => tracing::error!(%error, "nothing is counted"),
    }
}

/// Sends traces where the standard environment says, by OTLP over HTTP; nothing when it says nothing.
fn start_traces(runtime: &Handle) -> Result<Option<Traces>, String> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let is_off = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let Some(endpoint) = endpoint.filter(|_| !is_off) else { return Ok(None) };
    if !endpoint.starts_with("http://") {
        return Err("a collector is reached over http://, on this machine or in its network".into());
    }
    let exporter = {
        let _for_its_client = runtime.enter();
        SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()
    };
    let exporter = exporter.map_err(|error| error.to_string())?;
    let exporter = OnRuntime { exporter: Arc::new(exporter), runtime: runtime.clone(), is_failing: Arc::default() };
    let resource = match set("OTEL_SERVICE_NAME") {
        Some(_) => Resource::builder(),
        None => Resource::builder().with_service_name("sealtape"),
    };
    let provider = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter).build())
        .with_resource(resource.build())
        .build();
    let propagator = TraceContextPropagator::new();
    let _started_once = ADOPT.set(Arc::new(move |span, parent| {
        let carrier = std::collections::HashMap::from([("traceparent".to_owned(), parent.to_owned())]);
        // Without a parent that can be read, it begins a trace of its own.
        let _adopted = span.set_parent(propagator.extract(&carrier));
    }));
    Ok(Some(Traces(provider)))
}

impl Traces {
    /// Sends what is left. A collector that does not answer is not waited for.
    pub(super) fn flush(self) {
        if let Err(error) = self.0.shutdown_with_timeout(FLUSH_TIMEOUT) {
            tracing::debug!(%error, "the last traces were not sent");
        }
    }
}

/// The exporter, on the runtime that its client needs: batches are made on a thread that has none.
struct OnRuntime {
    exporter: Arc<SpanExporter>,
    runtime: Handle,
    /// So that a collector that is away is one line in the log.
    is_failing: Arc<AtomicBool>,
}

impl Debug for OnRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnRuntime")
    }
}

impl opentelemetry_sdk::trace::SpanExporter for OnRuntime {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let (exporter, is_failing) = (Arc::clone(&self.exporter), Arc::clone(&self.is_failing));
        let sending = self.runtime.spawn(async move {
            let outcome = exporter.export(batch).await;
            let was_failing = is_failing.swap(outcome.is_err(), Ordering::Relaxed);
            match &outcome {
                Err(error) if !was_failing => tracing::warn!(%error, "traces do not reach their collector"),
                Ok(()) if was_failing => tracing::info!("traces reach their collector again"),
                Ok(()) | Err(_) => {}
            }
            outcome
        });
        async move { sending.await.unwrap_or_else(|_| Err(OTelSdkError::InternalFailure(Ended.to_string()))) }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    /// Whether the span of a request, and what is told at that level, reach anybody.
    fn is_taken(asked: &str, spans: Option<OnLog>, level: Level) -> (bool, bool) {
        let log = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
        let log: OnRegistry = log.with_filter(log_filter(LevelFilter::INFO, asked)).boxed();
        tracing::dispatcher::with_default(&collected_by(log, spans), || {
            let span = tracing::info_span!(target: TRACE_TARGET, "request");
            let told = match level {
                Level::INFO => tracing::enabled!(target: "sealtape::http", Level::INFO),
                _ => tracing::enabled!(target: "sealtape::http", Level::DEBUG),
            };
            (!span.is_disabled(), told)
        })
    }

    #[test]
    fn what_nobody_collects_is_not_made() {
        assert_eq!(is_taken("", None, Level::INFO), (false, true));
        assert_eq!(is_taken("", None, Level::DEBUG), (false, false));
        assert_eq!(is_taken("sealtape=debug", None, Level::DEBUG), (false, true));
        let spans = || {
            let all = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
            Some(all.with_filter(filter_fn(|metadata| metadata.target() == TRACE_TARGET)).boxed())
        };
        assert_eq!(is_taken("", spans(), Level::INFO), (true, true));
        assert_eq!(is_taken("off", spans(), Level::INFO), (true, false));
    }

    #[test]
    fn only_our_own_log_is_fine_grained_unless_asked_by_name() {
        for (target, asked, expected) in [
            ("sealtape::http", "trace", true),
            ("sqlx::query", "trace", false),
            ("sqlx::query", "info,sqlx::query=debug", true),
            ("sqlx::query", "sqlx=debug", true),
            ("sqlx_core", "sqlx=debug", false),
            ("h2::hpack", "h2=trace", false),
            ("hyper::proto", "hyper=trace,sealtape=debug", false),
        ] {
            assert_eq!(may_be_fine(target, asked), expected, "{target} {asked}");
        }
    }
}

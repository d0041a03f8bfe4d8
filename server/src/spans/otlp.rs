//! The export of spans: OTLP over HTTP, by the SDK of OpenTelemetry, from a thread of its own. What it cannot
//! send in time is dropped.

use crate::ground::trace::TraceParent;
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{
        Span as _, SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer as _, TracerProvider,
    },
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider, Span},
};
use std::{env, pin::Pin, sync::OnceLock, time::Duration};
use tracing::info;

/// The service's name, unless OTEL_SERVICE_NAME says another.
const SERVICE: &str = "driftless";
/// How long the collector may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long the end of the program waits for what is to be sent.
const LAST: Duration = Duration::from_secs(2);

// The tracer of a process, as its log.
static EXPORT: OnceLock<Export> = OnceLock::new();

/// How spans are made.
#[derive(Debug)]
struct Export {
    tracer: SdkTracer,
    /// Traces whose numbers are below it are recorded, whoever wants more.
    below: u64,
}

/// Sends spans while it lives.
#[derive(Debug)]
pub(super) struct Exporter(SdkTracerProvider);

/// A span that is exported.
#[derive(Debug)]
pub(super) struct Exported(Span);

pub(super) fn start(to: Option<String>, percent: u8) -> Result<Option<Exporter>, String> {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    if to.is_none() && !set("OTEL_EXPORTER_OTLP_ENDPOINT") && !set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
        return Ok(None);
    }
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(ANSWER))
        .http_status_as_error(false)
        .max_redirects(0)
        .build();
    let exporter = SpanExporter::builder().with_http().with_http_client(Post(agent.into()));
    let exporter = match &to {
        Some(url) => exporter.with_endpoint(url),
        None => exporter, // the library reads the environment
    };
    let exporter = exporter.build().map_err(|error| format!("traces cannot be exported: {error}"))?;
    let share = f64::from(percent) / 100.0;
    let resource =
        Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let resource = match set("OTEL_SERVICE_NAME") {
        true => resource,
        false => resource.with_service_name(SERVICE),
    };
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share))))
        .with_resource(resource.build())
        .build();
    let export = Export { tracer: provider.tracer(SERVICE), below: (share * (1u64 << 63) as f64) as u64 };
    EXPORT.set(export).map_err(|_| "traces are exported already".to_owned())?;
    info!(to, percent, "traces are exported");
    Ok(Some(Exporter(provider)))
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.0.shutdown_with_timeout(LAST);
    }
}

impl Exported {
    pub(super) fn of_request(name: &'static str, parent: Option<TraceParent>) -> Option<Self> {
        let export = EXPORT.get()?;
        let context = parent.map_or_else(Context::new, |parent| {
            // Strangers can ask for every trace to be recorded; they get the share that the operator wants.
            let within_share = (parent.trace as u64) >> 1 < export.below;
            context(TraceParent { sampled: parent.sampled && within_share, ..parent }, true)
        });
        let builder = export.tracer.span_builder(name).with_kind(SpanKind::Server);
        Some(Self(builder.start_with_context(&export.tracer, &context)))
    }

    pub(super) fn within(name: &'static str, parent: TraceParent) -> Option<Self> {
        let tracer = &EXPORT.get()?.tracer;
        Some(Self(tracer.span_builder(name).start_with_context(tracer, &context(parent, false))))
    }

    pub(super) fn here(&self) -> TraceParent {
        let context = self.0.span_context();
        TraceParent {
            trace: u128::from_be_bytes(context.trace_id().to_bytes()),
            span: u64::from_be_bytes(context.span_id().to_bytes()),
            sampled: context.is_sampled(),
        }
    }

    pub(super) fn set(&mut self, key: &'static str, value: &str) {
        self.0.set_attribute(KeyValue::new(key, value.to_owned()));
    }

    pub(super) fn fails(&mut self, why: &str) {
        self.0.set_status(Status::error(why.to_owned()));
    }
}

fn context(TraceParent { trace, span, sampled }: TraceParent, remote: bool) -> Context {
    let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace, span) = (TraceId::from_bytes(trace.to_be_bytes()), SpanId::from_bytes(span.to_be_bytes()));
    Context::new().with_remote_span_context(SpanContext::new(
        trace,
        span,
        flags,
        remote,
        TraceState::default(),
    ))
}

/// Sends with the HTTP client that the server has anyway. It blocks, and is called on the thread of the
/// export alone.
#[derive(Debug)]
struct Post(ureq::Agent);

impl HttpClient for Post {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let answer = self.0.run(request.map(Vec::<u8>::from))?;
            let (head, mut body) = answer.into_parts();
            Ok(Response::from_parts(head, body.read_to_vec()?.into()))
        })
    }
}

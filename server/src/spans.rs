//! Spans of distributed traces: how somebody comes in, from the request to the game's start.
//!
//! ```text
//!  (the page's own span) ─► connect ─┬─ authenticate
//!                                    └─ join ── room.start
//! ```
//!
//! They are exported if the server is built with the feature `otlp` and told where to. Otherwise a span only
//! passes on the parent that it was given. What happens a tick is never one.

#[cfg(feature = "otlp")]
mod otlp;

use crate::ground::trace::TraceParent;

/// Something that takes time. It ends when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Span {
    parent: Option<TraceParent>,
    #[cfg(feature = "otlp")]
    exported: Option<otlp::Exported>,
}

/// Ends the export when it is dropped: waits a moment for what has not been sent.
#[derive(Debug)]
pub(crate) struct Exporter {
    #[cfg(feature = "otlp")]
    _otlp: Option<otlp::Exporter>,
}

/// Exports spans from now on, to this address or else to that of the environment, if there is one. Of 100
/// traces, so many. Call once.
///
/// # Errors
/// This build cannot, or the environment has an address that is none.
#[cfg(feature = "otlp")]
pub(crate) fn export(to: Option<String>, percent: u8) -> Result<Exporter, String> {
    Ok(Exporter { _otlp: otlp::start(to, percent)? })
}

/// As above.
#[cfg(not(feature = "otlp"))]
pub(crate) fn export(to: Option<String>, _: u8) -> Result<Exporter, String> {
    let cannot = "this program was built without the export of traces";
    match to {
        Some(_) => Err(format!("{cannot}: build it with --features otlp, or leave --otlp out")),
        None => {
            if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_some_and(|url| !url.is_empty()) {
                tracing::info!("OTEL_EXPORTER_OTLP_ENDPOINT is set, but {cannot}");
            }
            Ok(Exporter {})
        }
    }
}

impl Span {
    /// Somebody's request, which may be part of a trace that began elsewhere.
    pub(crate) fn of_request(name: &'static str, parent: Option<TraceParent>) -> Self {
        #[cfg(not(feature = "otlp"))]
        let _ = name;
        Self {
            parent,
            #[cfg(feature = "otlp")]
            exported: otlp::Exported::of_request(name, parent),
        }
    }

    /// A part of what the parent stands for. Without a parent there is none.
    pub(crate) fn within(name: &'static str, parent: Option<TraceParent>) -> Self {
        #[cfg(not(feature = "otlp"))]
        let _ = name;
        Self {
            parent,
            #[cfg(feature = "otlp")]
            exported: parent.and_then(|parent| otlp::Exported::within(name, parent)),
        }
    }

    /// What the spans within this one have as parent.
    pub(crate) fn here(&self) -> Option<TraceParent> {
        #[cfg(feature = "otlp")]
        if let Some(exported) = &self.exported {
            return Some(exported.here());
        }
        self.parent
    }

    /// Adds what is known of it. Nothing secret.
    pub(crate) fn set(&mut self, key: &'static str, value: &str) {
        #[cfg(not(feature = "otlp"))]
        let _ = (key, value);
        #[cfg(feature = "otlp")]
        if let Some(exported) = &mut self.exported {
            exported.set(key, value);
        }
    }

    /// It is over.
    pub(crate) fn end(self) {}

    /// It was in vain.
    pub(crate) fn fails(&mut self, why: &str) {
        #[cfg(not(feature = "otlp"))]
        let _ = why;
        #[cfg(feature = "otlp")]
        if let Some(exported) = &mut self.exported {
            exported.fails(why);
        }
    }
}

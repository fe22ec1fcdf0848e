//! What every request shares.

use std::sync::Arc;

use bytes::Bytes;
use nimbus_engine::Engine;

use crate::metrics::HttpMetrics;
use crate::options::HttpOptions;
use crate::origin::OriginRules;

/// The shared state of the door; cheap to clone.
#[derive(Clone)]
pub(crate) struct Door(Arc<Shared>);

struct Shared {
    engine: Engine,
    options: HttpOptions,
    origins: OriginRules,
    metrics: HttpMetrics,
    description: Bytes,
}

impl Door {
    /// Shares what the door was given; `description` is the text of `/openapi.json`.
    pub(crate) fn new(
        engine: Engine,
        options: HttpOptions,
        port: u16,
        metrics: HttpMetrics,
        description: Bytes,
    ) -> Self {
        let origins = OriginRules::new(port, &options.allowed_origins);
        Self(Arc::new(Shared { engine, options, origins, metrics, description }))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn options(&self) -> &HttpOptions {
        &self.0.options
    }

    pub(crate) fn origins(&self) -> &OriginRules {
        &self.0.origins
    }

    pub(crate) fn metrics(&self) -> &HttpMetrics {
        &self.0.metrics
    }

    pub(crate) fn description(&self) -> Bytes {
        self.0.description.clone()
    }
}

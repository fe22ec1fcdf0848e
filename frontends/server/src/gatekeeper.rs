//! What the doors ask of their host: the admin token and the audit log, together.
//!
//! Deliberately unknown: which door asks, and about which route.

use std::sync::Arc;

use nimbus_http::{Decision, Gatekeeper};

use crate::audit::AuditLog;
use crate::token::TokenWatch;

/// Judges presented tokens and writes decisions down.
pub(crate) struct LocalGatekeeper {
    /// The token in force.
    pub(crate) token: TokenWatch,
    /// Where decisions go.
    pub(crate) audit: Arc<AuditLog>,
}

impl Gatekeeper for LocalGatekeeper {
    fn admits(&self, presented_token: &str) -> bool {
        self.token.admits(presented_token)
    }

    fn record(&self, decision: Decision) {
        self.audit.record(&decision);
    }
}

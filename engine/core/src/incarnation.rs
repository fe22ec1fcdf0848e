//! Which of the tenants that have had an id one after the other something belongs to.
//!
//! Promises: what a cursor or a feed of changes has begun with one tenant does not go on with another that was made
//! under the same id, while the same tenant is recognised after it was closed and opened again. Deliberately
//! unknown: what tenants hold; what another server has removed and made anew while the tenant was closed here.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use nimbus_types::TenantId;
use parking_lot::Mutex;

use crate::error::{EngineError, Result};

/// One tenant from its making to its removal; equal to itself only.
#[derive(Debug, Clone)]
pub struct Incarnation(Arc<TenantId>);

impl PartialEq for Incarnation {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Incarnation {}

impl Incarnation {
    /// Refuses what was begun with another tenant, be it of the same id.
    pub(crate) fn check(&self, now: &Self) -> Result<()> {
        if self == now { Ok(()) } else { Err(EngineError::TenantNotFound(TenantId::clone(&self.0))) }
    }
}

/// The incarnations that somebody remembers.
#[derive(Default)]
pub(crate) struct Incarnations(Mutex<HashMap<TenantId, Weak<TenantId>>>);

impl Incarnations {
    /// The present one of a tenant.
    pub(crate) fn of(&self, tenant: &TenantId) -> Incarnation {
        let mut known = self.0.lock();
        if let Some(present) = known.get(tenant).and_then(Weak::upgrade) {
            return Incarnation(present);
        }
        let present = Arc::new(tenant.clone());
        known.insert(tenant.clone(), Arc::downgrade(&present));
        Incarnation(present)
    }

    /// The tenant has been removed; one that is made under its id is another.
    pub(crate) fn end(&self, tenant: &TenantId) {
        self.0.lock().remove(tenant);
    }

    /// Forgets those that nobody remembers.
    pub(crate) fn tidy(&self) {
        self.0.lock().retain(|_, incarnation| incarnation.strong_count() > 0);
    }
}

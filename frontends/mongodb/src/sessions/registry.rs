//! Which logical sessions of which tenant are alive.
//!
//! A driver names a session of its own making with any command, and may use it with several databases; each
//! tenant then knows it on its own. Promises: at most [`SESSIONS_PER_TENANT`] of a tenant, each forgotten
//! [`TIMEOUT_US`] after its last use. Deliberately unknown: cursors and transactions; whoever ends a session
//! ends those too.

use std::collections::HashMap;

use nimbus_types::TenantId;
use parking_lot::Mutex;

use crate::error::{CommandError, Result, codes};
use crate::generic::SessionId;
use crate::handshake::SESSION_TIMEOUT_MINUTES;

/// Most sessions that one tenant may have at once.
const SESSIONS_PER_TENANT: usize = 100_000;
/// How long a session lives without being used: what `hello` calls `logicalSessionTimeoutMinutes`.
pub(crate) const TIMEOUT_US: u64 = SESSION_TIMEOUT_MINUTES as u64 * 60 * 1_000_000;

/// The sessions of all tenants.
#[derive(Default)]
pub(crate) struct Sessions {
    tenants: Mutex<HashMap<TenantId, HashMap<SessionId, u64>>>,
}

impl Sessions {
    /// Notes that a session is used.
    pub(crate) fn touch(&self, tenant: &TenantId, session: SessionId, now_us: u64) -> Result<()> {
        let mut tenants = self.tenants.lock();
        let sessions = match tenants.get_mut(tenant) {
            Some(sessions) => sessions,
            None => tenants.entry(tenant.clone()).or_default(),
        };
        if sessions.len() >= SESSIONS_PER_TENANT && !sessions.contains_key(&session) {
            sessions.retain(|_, used_us| !is_over(*used_us, now_us));
            if sessions.len() >= SESSIONS_PER_TENANT {
                return Err(CommandError::new(
                    codes::TOO_MANY_LOGICAL_SESSIONS,
                    format!("Unable to add session: a database may have at most {SESSIONS_PER_TENANT}"),
                ));
            }
        }
        sessions.insert(session, now_us);
        Ok(())
    }

    /// Forgets a session in every tenant.
    pub(crate) fn end(&self, session: SessionId) {
        for sessions in self.tenants.lock().values_mut() {
            sessions.remove(&session);
        }
    }

    /// Forgets all sessions, and names them.
    pub(crate) fn end_all(&self) -> Vec<SessionId> {
        self.tenants.lock().drain().flat_map(|(_, sessions)| sessions.into_keys()).collect()
    }

    /// Forgets the sessions that nobody has used for long, and names them with the tenant that did not see them;
    /// another may know them still.
    pub(crate) fn sweep(&self, now_us: u64) -> Vec<(TenantId, SessionId)> {
        let mut over = Vec::new();
        self.tenants.lock().retain(|tenant, sessions| {
            sessions.retain(|session, used_us| {
                let keep = !is_over(*used_us, now_us);
                if !keep {
                    over.push((tenant.clone(), *session));
                }
                keep
            });
            !sessions.is_empty()
        });
        over
    }

    /// The sessions that have been used with a tenant.
    pub(crate) fn of_tenant(&self, tenant: &TenantId) -> Vec<SessionId> {
        self.tenants.lock().get(tenant).map(|sessions| sessions.keys().copied().collect()).unwrap_or_default()
    }

    /// How many there are, over all tenants.
    pub(crate) fn count(&self) -> usize {
        self.tenants.lock().values().map(HashMap::len).sum()
    }
}

fn is_over(used_us: u64, now_us: u64) -> bool {
    now_us.saturating_sub(used_us) >= TIMEOUT_US
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    #[test]
    fn sessions_end_when_they_are_not_used() {
        let sessions = Sessions::default();
        let (old, new) = (SessionId([1; 16]), SessionId([2; 16]));
        sessions.touch(&tenant("a"), old, 0).unwrap();
        sessions.touch(&tenant("a"), new, TIMEOUT_US - 1).unwrap();
        assert_eq!(sessions.sweep(TIMEOUT_US), [(tenant("a"), old)]);
        assert_eq!(sessions.count(), 1);
        sessions.end(new);
        assert_eq!(sessions.count(), 0);
    }

    #[test]
    fn one_tenants_many_sessions_leave_room_for_anothers() {
        let sessions = Sessions::default();
        let id = |n: usize| SessionId((n as u128).to_le_bytes());
        for n in 0..SESSIONS_PER_TENANT {
            sessions.touch(&tenant("a"), id(n), 0).unwrap();
        }
        let refused = sessions.touch(&tenant("a"), id(SESSIONS_PER_TENANT), 0).unwrap_err();
        assert_eq!(refused.code, codes::TOO_MANY_LOGICAL_SESSIONS);
        sessions.touch(&tenant("a"), id(0), 0).unwrap();
        sessions.touch(&tenant("b"), id(SESSIONS_PER_TENANT), 0).unwrap();
    }
}

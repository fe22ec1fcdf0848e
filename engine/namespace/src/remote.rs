//! What every provider on a shared server needs: names, the lives of tenants, work carried to its end.
//!
//! Promises: a tenant's namespace on the server is named by [`NamespaceName`], which no other tenant,
//! prefix or earlier tenant of the same id ever has; [`Directory`] makes and removes tenants so that a
//! kill at any step leaves something the next use finishes or clears, and two servers at once come to one
//! result. Deliberately unknown: which server it is and what it is asked in.

mod carried;
mod commit;
mod directory;
mod name;

pub use carried::carried_task;
pub use commit::{NetChanges, WriterMark};
pub use directory::{Catalog, Directory, Remnant, RemnantChange, TenantRow, TenantState};
pub use name::{NamespaceName, Prefix};

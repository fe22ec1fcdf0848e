//! The mysql provider: one database for each tenant.

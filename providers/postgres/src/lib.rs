//! The postgres provider: one schema for each tenant.

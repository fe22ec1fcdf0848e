//! The libsql-replica provider: one namespace on a libSQL primary for each tenant, read from a local replica.

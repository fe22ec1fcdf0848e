//! Runs: immutable sorted files of keys and where their values lie.

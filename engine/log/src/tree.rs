//! The delta: a persistent B+-tree of the keys written since the last checkpoint.

//! Packs: values that outlive the log, in compressed blocks.

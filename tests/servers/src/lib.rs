//! Database servers that tests start themselves.

//! `serverStatus`: figures of the door and the engine.

use std::sync::atomic::{AtomicU64, Ordering};

use bson::{Bson, Document, doc};

use super::{VERSION, host};
use crate::connection::ConnectionState;
use crate::door::Door;

/// The answer.
pub(super) fn server_status(door: &Door, _connection: &ConnectionState) -> Document {
    let metrics = &door.metrics;
    let open = get(&metrics.connections_open);
    let uptime_us = door.options.clock.monotonic_us().saturating_sub(door.opened_us);
    let mut status = doc! {
        "host": door.address.to_string(),
        "version": VERSION,
        "process": "nimbus",
        "pid": i64::from(std::process::id()),
        "uptime": uptime_us as f64 / 1e6,
        "uptimeMillis": int(uptime_us / 1000),
        "localTime": door.now(),
        "connections": {
            "current": open,
            "available": i64::try_from(door.options.max_connections).unwrap_or(i64::MAX).saturating_sub(open),
            "totalCreated": get(&metrics.connections_total),
        },
        "network": {
            "bytesIn": get(&metrics.received_bytes_total),
            "bytesOut": get(&metrics.sent_bytes_total),
            "numRequests": get(&metrics.requests_total),
        },
        "opcounters": opcounters(door),
        "security": { "authentication": { "failures": get(&metrics.authentication_failures_total) } },
        "storageEngine": { "name": door.engine.provider_name(), "persistent": true },
        "mem": host::memory(),
        "engine": engine(door),
    };
    status.extend(door.registries.status());
    status
}

/// Commands served, by what they do. A batch counts once.
fn opcounters(door: &Door) -> Document {
    let of = |names: &[&str]| int(names.iter().map(|name| door.metrics.commands(name)).sum());
    let named = [
        ("insert", of(&["insert"])),
        ("query", of(&["find"])),
        ("update", of(&["update"])),
        ("delete", of(&["delete"])),
        ("getmore", of(&["getMore"])),
    ];
    let others = get(&door.metrics.requests_total) - named.iter().map(|(_, count)| count).sum::<i64>();
    let mut counters: Document =
        named.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect();
    counters.insert("command", others.max(0));
    counters
}

/// The engine's figures over all tenants.
fn engine(door: &Door) -> Document {
    let figures = serde_json::to_value(door.engine.metrics()).unwrap_or_default();
    let numbers = figures.as_object().into_iter().flatten().filter_map(|(name, value)| {
        Some((name.clone(), value.as_i64().map(Bson::from).or_else(|| value.as_f64().map(Bson::from))?))
    });
    numbers.collect()
}

fn get(counter: &AtomicU64) -> i64 {
    int(counter.load(Ordering::Relaxed))
}

fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

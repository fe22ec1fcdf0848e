//! The audit log: one JSON line per decision on an admin surface.
//!
//! Promises: a line is written whole, in one append, to a file of mode 0600, in the order the decisions
//! were recorded; what a client sent is escaped, cut to length, and a tenant that is no valid id stands
//! as null. Recording never waits for the disk: lines pass through a bounded queue to one thread, and
//! what does not fit or cannot be written is counted and logged instead. Deliberately unknown: tokens,
//! credentials and documents, none of which ever reaches this module.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use nimbus_http::Decision;
use nimbus_io::Clock;
use nimbus_types::TenantId;
use parking_lot::Mutex;
use serde::Serialize;

use crate::private_file;
use crate::timestamp;

/// Lines that may wait for the disk. At a few hundred bytes each this is about 2 MiB.
const QUEUE_LINES: usize = 8192;
/// Longest `Origin` that is written, in characters; a real one is a scheme and a host name.
const ORIGIN_CHARACTERS: usize = 256;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    ts: String,
    route_family: &'static str,
    tenant_id: Option<&'a str>,
    auth_method: &'static str,
    success: bool,
    origin: Option<String>,
    reason: &'static str,
}

/// The open log. [`close`](Self::close) writes what still waits; so does dropping it.
pub(crate) struct AuditLog {
    clock: Arc<dyn Clock>,
    writer: Mutex<Option<Writer>>,
    lost_lines: Arc<AtomicU64>,
}

struct Writer {
    queue: SyncSender<Vec<u8>>,
    thread: JoinHandle<()>,
}

impl AuditLog {
    /// Opens the log for appending, and makes it and its directory when they are missing. A server
    /// that could not keep its audit log should not start, so this is an error.
    pub(crate) fn open(path: &Path, clock: Arc<dyn Clock>) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            private_file::create_directory(directory)?;
        }
        let file = private_file::open_append(path)?;
        private_file::check_mode(path, &file.metadata()?, 0o600).map_err(io::Error::other)?;
        let (queue, lines) = sync_channel(QUEUE_LINES);
        let lost_lines = Arc::new(AtomicU64::new(0));
        let thread = std::thread::Builder::new().name("audit-log".to_owned()).spawn({
            let (path, lost_lines) = (path.to_owned(), Arc::clone(&lost_lines));
            move || write_lines(&lines, file, &path, &lost_lines)
        })?;
        Ok(Self { clock, writer: Mutex::new(Some(Writer { queue, thread })), lost_lines })
    }

    /// Hands one decision to the writer. Never waits.
    pub(crate) fn record(&self, decision: &Decision) {
        let line = Line {
            ts: timestamp::format(self.clock.now_ms()),
            route_family: decision.route_family,
            tenant_id: decision.tenant_id.as_deref().filter(|id| TenantId::parse(id).is_ok()),
            auth_method: decision.auth_method,
            success: decision.success,
            origin: decision.origin.as_ref().map(|origin| origin.chars().take(ORIGIN_CHARACTERS).collect()),
            reason: decision.reason,
        };
        let Ok(mut bytes) = serde_json::to_vec(&line) else { return self.lose("cannot be written as JSON") };
        bytes.push(b'\n');
        // Held while queueing, so that lines are in the order they were recorded.
        match self.writer.lock().as_ref().map(|writer| writer.queue.try_send(bytes)) {
            Some(Ok(())) => {}
            Some(Err(TrySendError::Full(_))) => self.lose("the disk does not keep up"),
            Some(Err(TrySendError::Disconnected(_))) | None => self.lose("the log is closed"),
        }
    }

    /// Writes what still waits and syncs it to the disk. Later decisions are lost, and counted.
    pub(crate) fn close(&self) {
        let Some(Writer { queue, thread }) = self.writer.lock().take() else { return };
        drop(queue);
        if thread.join().is_err() {
            self.lose("its writer stopped");
        }
        let lost_lines = self.lost_lines.load(Ordering::Relaxed);
        if lost_lines > 0 {
            tracing::error!(lost_lines, "the audit log is not complete");
        }
    }

    fn lose(&self, why: &str) {
        lose(&self.lost_lines, why);
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.close();
    }
}

/// Counts a lost line, and tells the operator about the first; the sum is told at the end.
fn lose(lost_lines: &AtomicU64, why: &str) {
    if lost_lines.fetch_add(1, Ordering::Relaxed) == 0 {
        tracing::error!("a line of the audit log was lost: {why}");
    }
}

fn write_lines(lines: &Receiver<Vec<u8>>, mut file: File, path: &Path, lost_lines: &AtomicU64) {
    for line in lines {
        if let Err(error) = file.write_all(&line) {
            lose(lost_lines, &format!("{}: {error}", path.display()));
        }
    }
    if let Err(error) = file.sync_all() {
        tracing::error!("cannot sync the audit log {}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nimbus_io::SimulatedClock;
    use serde_json::{Value, json};

    use super::*;

    fn decision(tenant_id: Option<&str>, origin: Option<&str>) -> Decision {
        Decision {
            route_family: "documents",
            tenant_id: tenant_id.map(str::to_owned),
            auth_method: "bearer",
            success: true,
            origin: origin.map(str::to_owned),
            reason: "ok",
        }
    }

    fn written(decisions: &[Decision]) -> (Vec<String>, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nimbus/logs/access.jsonl");
        let log = AuditLog::open(&path, Arc::new(SimulatedClock::new(1_767_225_600_000))).unwrap();
        for decision in decisions {
            log.record(decision);
        }
        log.close();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        (text.lines().map(str::to_owned).collect(), directory)
    }

    #[test]
    fn a_line_holds_the_documented_fields_in_order() {
        let (lines, _directory) = written(&[decision(Some("acme"), Some("http://localhost:8080"))]);
        assert_eq!(
            lines,
            [
                r#"{"ts":"2026-01-01T00:00:00.000Z","routeFamily":"documents","tenantId":"acme","authMethod":"bearer","success":true,"origin":"http://localhost:8080","reason":"ok"}"#
            ]
        );
    }

    #[test]
    fn what_a_client_sends_cannot_make_a_second_line() {
        let long = "x".repeat(10_000);
        let (lines, _directory) = written(&[
            decision(Some("a\n{}"), Some("http://a\r\n{\"success\":true}\u{1b}[2J")),
            decision(Some("_reserved"), Some(&long)),
        ]);
        assert_eq!(lines.len(), 2);
        assert!(!lines[0].contains('\u{1b}'));
        let parsed: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(parsed[0]["origin"], "http://a\r\n{\"success\":true}\u{1b}[2J");
        assert_eq!([&parsed[0]["tenantId"], &parsed[1]["tenantId"]], [&json!(null); 2]);
        assert_eq!(parsed[1]["origin"].as_str().unwrap().len(), ORIGIN_CHARACTERS);
    }

    #[test]
    fn a_reopened_log_is_appended_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.jsonl");
        for _ in 0..2 {
            let log = AuditLog::open(&path, Arc::new(SimulatedClock::new(0))).unwrap();
            (0..100).for_each(|_| log.record(&decision(None, None)));
            // Dropping writes what waits, as closing does.
        }
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 200);
    }

    #[test]
    fn lines_after_closing_are_counted_and_harm_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.jsonl");
        let log = AuditLog::open(&path, Arc::new(SimulatedClock::new(0))).unwrap();
        log.close();
        log.record(&decision(None, None));
        log.record(&decision(None, None));
        assert_eq!(log.lost_lines.load(Ordering::Relaxed), 2);
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_counted_and_recording_goes_on() {
        let full = fs::OpenOptions::new().append(true).open("/dev/full").unwrap();
        let (queue, lines) = sync_channel(4);
        (0..3).for_each(|_| queue.send(b"line\n".to_vec()).unwrap());
        drop(queue);
        let lost_lines = AtomicU64::new(0);
        write_lines(&lines, full, Path::new("/dev/full"), &lost_lines);
        assert_eq!(lost_lines.load(Ordering::Relaxed), 3);
    }

    #[cfg(unix)]
    #[test]
    fn the_log_is_private_and_a_wider_one_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_, directory) = written(&[]);
        let path = directory.path().join("nimbus/logs/access.jsonl");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = AuditLog::open(&path, Arc::new(SimulatedClock::new(0)));
        assert!(refused.err().unwrap().to_string().contains("chmod 600"));
    }
}

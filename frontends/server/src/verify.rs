//! `nimbus verify`: the consistency check, on a data directory that no server holds or on the tenants of a
//! database server.
//!
//! Promises: no tenant's data is changed; every tenant is checked even after one has failed; a tenant that cannot be
//! opened or read counts as a mismatch. Deliberately unknown: what is checked, which is the engine's.

use std::io::{self, Write};

use nimbus_engine::{ConsistencyReport, Engine, EngineError, EngineOptions, Mismatch};
use nimbus_types::TenantId;
use serde::Serialize;

use crate::cli::{Format, VerifyArguments};
use crate::config::{self, Storage, Values};
use crate::environment::Environment;
use crate::exit::{CannotRun, Exit};
use crate::progress::Progress;
use crate::{logging, providers};

/// A checked tenant is not needed again, so it need not stay open.
const IDLE_CLOSE_MS: u64 = 1000;

/// What was found about all tenants.
#[derive(Serialize)]
struct Findings {
    ok: bool,
    tenants: Vec<Finding>,
}

/// What was found about one tenant: a report, or why there is none.
#[derive(Serialize)]
struct Finding {
    tenant: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<ConsistencyReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Checks one tenant or all, and prints what was found.
pub(crate) fn verify(
    arguments: &VerifyArguments,
    flags: &Values,
    environment: &Environment,
) -> Result<Exit, CannotRun> {
    let loaded = config::load(flags, arguments.config.as_deref(), environment)?;
    logging::set_up(environment);
    let settings = loaded.log_warnings();
    let tenant = arguments.tenant.as_deref().map(TenantId::parse).transpose()?;
    let runtime = tokio::runtime::Runtime::new().map_err(CannotRun::Process)?;
    let findings = runtime.block_on(examine(&settings.storage, tenant))?;
    print(&findings, arguments.format, &mut io::stdout().lock()).map_err(CannotRun::Output)?;
    Ok(if findings.ok { Exit::Clean } else { Exit::Failed })
}

async fn examine(storage: &Storage, only: Option<TenantId>) -> Result<Findings, CannotRun> {
    // Opening would make the directory, and a mistyped name would then verify as clean.
    if let Some(missing) = storage.data_dir().filter(|data_dir| !data_dir.is_dir()) {
        return Err(CannotRun::NoDataDirectory(missing.to_owned()));
    }
    let options = EngineOptions {
        idle_close_ms: IDLE_CLOSE_MS,
        finish_schema_changes: false,
        ..EngineOptions::default()
    };
    let engine = Engine::new(providers::open(storage).await?, options);
    let findings = check(&engine, only).await;
    engine.close().await;
    findings
}

async fn check(engine: &Engine, only: Option<TenantId>) -> Result<Findings, CannotRun> {
    let all = engine.list_tenants().await?;
    let chosen = match only {
        None => all,
        Some(tenant) if all.contains(&tenant) => vec![tenant],
        Some(tenant) => return Err(EngineError::TenantNotFound(tenant).into()),
    };
    let mut progress = Progress::new(chosen.len());
    let mut tenants = Vec::with_capacity(chosen.len());
    for tenant in &chosen {
        progress.step(&format!("checking tenant {tenant}"));
        tenants.push(check_tenant(engine, tenant).await);
    }
    Ok(Findings { ok: tenants.iter().all(|finding| finding.ok), tenants })
}

async fn check_tenant(engine: &Engine, id: &TenantId) -> Finding {
    let report = match engine.tenant(id).await {
        Ok(tenant) => tenant.verify().await,
        Err(error) => Err(error),
    };
    let tenant = id.to_string();
    match report {
        Ok(report) => Finding { tenant, ok: report.ok, report: Some(report), error: None },
        Err(error) => Finding { tenant, ok: false, report: None, error: Some(error.to_string()) },
    }
}

fn print(findings: &Findings, format: Format, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, findings)?;
            writeln!(out)?;
        }
        Format::Text => print_text(findings, out)?,
    }
    out.flush()
}

fn print_text(findings: &Findings, out: &mut impl Write) -> io::Result<()> {
    for Finding { tenant, report, error, .. } in &findings.tenants {
        match (report, error) {
            (Some(report), _) => print_report(tenant, report, out)?,
            (None, error) => {
                writeln!(out, "tenant {tenant}: cannot be read: {}", error.as_deref().unwrap_or_default())?;
            }
        }
    }
    let bad = findings.tenants.iter().filter(|finding| !finding.ok).count();
    writeln!(out, "tenants checked: {}, with mismatches: {bad}", findings.tenants.len())
}

fn print_report(tenant: &str, report: &ConsistencyReport, out: &mut impl Write) -> io::Result<()> {
    let state = if report.ok { "ok".to_owned() } else { format!("mismatches: {}", report.mismatch_count) };
    let counts = &report.counts;
    writeln!(
        out,
        "tenant {tenant}: {state} (commit {}, documents {}, index entries {}, log records {})",
        report.sequence, counts.documents, counts.index_entries, counts.log_records
    )?;
    for mismatch in &report.mismatches {
        writeln!(out, "  {}{}", place(mismatch), mismatch.message)?;
    }
    let unlisted = report.mismatch_count.saturating_sub(report.mismatches.len() as u64);
    if unlisted > 0 { writeln!(out, "  and {unlisted} more") } else { Ok(()) }
}

/// Where a mismatch is, as far as it is known: `table t, index i, key k: `.
fn place(mismatch: &Mismatch) -> String {
    let sequence = mismatch.sequence.map(|sequence| sequence.to_string());
    let parts = [
        ("table", mismatch.table.as_deref()),
        ("index", mismatch.index.as_deref()),
        ("key", mismatch.key.as_deref()),
        ("commit", sequence.as_deref()),
    ];
    let known: Vec<_> =
        parts.into_iter().filter_map(|(what, value)| Some(format!("{what} {}", value?))).collect();
    if known.is_empty() { String::new() } else { format!("{}: ", known.join(", ")) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::environment::Platform;

    fn storage(data_dir: &Path) -> Storage {
        let flags = Values::from([("data_dir", json!(data_dir))]);
        let loaded = config::load(&flags, None, &Environment::new([("", ""); 0], Platform::Xdg));
        loaded.unwrap().log_warnings().storage
    }

    fn id(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    async fn make_tenants(storage: &Storage, names: &[&str]) {
        let engine = Engine::new(providers::open(storage).await.unwrap(), EngineOptions::default());
        for name in names {
            engine.create_tenant(&id(name)).await.unwrap();
        }
        engine.close().await;
    }

    fn printed(findings: &Findings, format: Format) -> String {
        let mut out = Vec::new();
        print(findings, format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn a_damaged_tenant_is_found_and_the_others_are_still_checked() {
        let directory = tempfile::tempdir().unwrap();
        let storage = storage(directory.path());
        make_tenants(&storage, &["a", "b", "c"]).await;
        assert!(examine(&storage, None).await.unwrap().ok);

        fs::write(directory.path().join("b.sqlite3"), "not a database").unwrap();
        let findings = examine(&storage, None).await.unwrap();
        let ok: Vec<_> =
            findings.tenants.iter().map(|finding| (finding.tenant.as_str(), finding.ok)).collect();
        assert_eq!((findings.ok, ok), (false, vec![("a", true), ("b", false), ("c", true)]));

        let text = printed(&findings, Format::Text);
        assert!(text.contains("tenant a: ok (") && text.contains("tenant b: "), "{text}");
        assert!(text.ends_with("tenants checked: 3, with mismatches: 1\n"), "{text}");
        let parsed: serde_json::Value = serde_json::from_str(&printed(&findings, Format::Json)).unwrap();
        assert_eq!((&parsed["ok"], &parsed["tenants"][0]["report"]["ok"]), (&json!(false), &json!(true)));

        assert!(examine(&storage, Some(id("a"))).await.unwrap().ok, "one tenant alone");
    }

    #[tokio::test]
    async fn a_directory_that_is_missing_or_held_cannot_be_verified() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        let answer = examine(&storage(&missing), None).await;
        assert!(matches!(answer, Err(CannotRun::NoDataDirectory(_))) && !missing.exists());

        let storage = storage(directory.path());
        let holder = providers::open(&storage).await.unwrap();
        let error = examine(&storage, None).await.err().unwrap();
        assert!(error.to_string().contains("busy"), "{error}");
        drop(holder);

        let error = examine(&storage, Some(id("nobody"))).await.err().unwrap();
        assert!(error.to_string().contains("nobody"), "{error}");
    }
}

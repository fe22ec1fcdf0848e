//! Many tenants in one process: what each costs in time, open files and memory.
//!
//! A peer's tenant is a database, environment or file of its own, as small as the store offers. Tenants
//! are made one after the other: create, one table with one index, one durable commit with
//! [`TENANT_DOCUMENTS`] documents; all stay open.

use std::fs;
use std::path::Path;
use std::time::Instant;

use nimbus_engine::{Engine, EngineOptions};
use nimbus_types::TenantId;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;

use super::child::Child;
use super::phases::{TENANT_FILES, TENANT_MEMORY, TENANTS};
use super::provider::Provider;
use super::report::{Report, Standing};
use super::side::Side;
use super::{Arguments, files};
use crate::Outcome;
use crate::calibrate;
use crate::embedded::{Footprint, Kind};
use crate::measure::median;
use crate::nimbus;
use crate::work::Write;

/// Documents of one tenant.
const TENANT_DOCUMENTS: u64 = 100;

/// The disk is looked at after this many tenants.
const TENANTS_BETWEEN_CHECKS: u64 = 20;

/// What all tenants together cost.
#[derive(Clone, Copy)]
pub(super) struct Cost {
    pub(super) seconds: f64,
    pub(super) open_files: f64,
    pub(super) resident_kib: f64,
}

/// Measures everybody, each round in a process of its own.
pub(super) fn tenants(arguments: &Arguments, folder: &Path, report: &mut Report) -> Outcome<()> {
    let phases = [&TENANTS, &TENANT_FILES, &TENANT_MEMORY];
    if !phases.iter().any(|phase| arguments.measuring.wants(phase.name)) {
        return Ok(());
    }
    let tenants = arguments.tenants;
    let mut costs: Vec<_> = arguments.sides().into_iter().map(|side| (side, Vec::new())).collect();
    for _ in 0..arguments.measuring.rounds {
        costs.retain_mut(|(side, costs)| {
            eprintln!("measuring {}: {} …", TENANTS.name, side.name());
            let cost = tempfile::tempdir_in(folder)
                .map_err(Into::into)
                .and_then(|folder| Child::tenants(*side, folder.path(), tenants));
            match cost {
                Ok(cost) => costs.push(cost),
                Err(error) => report.note(&TENANTS, &format!("{} is left out: {error}", side.name())),
            }
            !costs.is_empty()
        });
    }
    let count = tenants as f64;
    let figures: [fn(&Cost, f64) -> f64; 3] = [
        |cost, count| count / cost.seconds,
        |cost, count| cost.open_files / count,
        |cost, count| cost.resident_kib / count,
    ];
    for (phase, figure) in phases.into_iter().zip(figures) {
        let mut standing = Standing::default();
        for (side, costs) in &costs {
            standing.add(*side, median(costs.iter().map(|cost| figure(cost, count)).collect()));
        }
        report.phase(phase, &standing);
    }
    let sync_time = calibrate::sync_time(folder)?;
    report.note(&TENANTS, &format!("{tenants} tenants of {TENANT_DOCUMENTS} documents; {sync_time}"));
    Ok(())
}

/// Makes the tenants of one side in this process.
pub(super) fn make(side: Side, runtime: &Runtime, folder: &Path, tenants: u64) -> Outcome<Cost> {
    raise_open_files_limit()?;
    match side {
        Side::Nimbus(provider) => make_of_nimbus(provider, runtime, folder, tenants),
        Side::Peer(kind) => make_of_peer(kind, folder, tenants),
    }
}

fn make_of_nimbus(provider: Provider, runtime: &Runtime, folder: &Path, tenants: u64) -> Outcome<Cost> {
    let provider = provider.open(folder)?;
    runtime.block_on(async {
        let options = EngineOptions { max_open_tenants: tenants as usize, ..EngineOptions::default() };
        let engine = Engine::new(provider, options);
        let table = nimbus::table()?;
        let meter = Meter::start()?;
        for n in 0..tenants {
            check_room(folder, n)?;
            let tenant = nimbus::new_tenant(&engine, &TenantId::parse(&format!("tenant-{n}"))?).await?;
            let documents = (0..TENANT_DOCUMENTS).map(|n| nimbus::insert(&table, n));
            tenant.transact(documents.collect()).await?;
        }
        meter.read()
    })
}

fn make_of_peer(kind: Kind, folder: &Path, tenants: u64) -> Outcome<Cost> {
    let mut open = Vec::new();
    let meter = Meter::start()?;
    for n in 0..tenants {
        check_room(folder, n)?;
        let store = kind.open(&folder.join(format!("tenant-{n}")), Footprint::OneOfThousands)?;
        let mut session = store.session()?;
        session.write((0..TENANT_DOCUMENTS).map(Write::insert).collect())?;
        open.push((store, session));
    }
    meter.read()
}

fn check_room(folder: &Path, tenants_made: u64) -> Outcome<()> {
    if !tenants_made.is_multiple_of(TENANTS_BETWEEN_CHECKS) {
        return Ok(());
    }
    files::check_room(folder).map_err(|error| format!("after {tenants_made} tenants {error}").into())
}

/// What there was before the first tenant.
struct Meter {
    begin: Instant,
    open_files: f64,
    resident_kib: f64,
}

impl Meter {
    fn start() -> Outcome<Self> {
        Ok(Self { begin: Instant::now(), open_files: open_files()?, resident_kib: resident_kib()? })
    }

    fn read(&self) -> Outcome<Cost> {
        Ok(Cost {
            seconds: self.begin.elapsed().as_secs_f64(),
            open_files: open_files()? - self.open_files,
            resident_kib: resident_kib()? - self.resident_kib,
        })
    }
}

fn open_files() -> Outcome<f64> {
    Ok(fs::read_dir("/proc/self/fd")?.count() as f64)
}

fn resident_kib() -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|line| line.split_whitespace().next());
    Ok(kib.ok_or("the system does not say how much memory is resident")?.parse()?)
}

/// Lets the process open as many files as it may ask for.
fn raise_open_files_limit() -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

//! Programs a check needs besides cargo, where they are, and what happens where one is missing.
//!
//! Promises: a missing program fails the run under CI (`CI` or `NIMBUS_CI` set to something other than
//! `0` or `false`) and is a visible line elsewhere, `SKIPPED <check>: <why>`, which `.ci/run` counts.

use std::env;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Whether `name` can be run; where it cannot, `check` is reported as skipped.
pub fn tool(name: &str, check: &str) -> bool {
    let answer = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = answer.is_ok_and(|status| status.success());
    if !there {
        skip(check, &format!("{name} is not installed"));
    }
    there
}

/// Reports `check` as skipped; fails under CI.
///
/// # Panics
/// Under CI, where nothing may be skipped.
pub fn skip(check: &str, why: &str) {
    assert!(!under_ci(), "{check} cannot run: {why}");
    forbidden(check, why);
}

/// Reports `check` as skipped because this machine does not allow it, which nothing that is installed mends.
pub fn forbidden(check: &str, why: &str) {
    // Written to the stream itself: `eprintln!` would be captured with a passing test's output.
    writeln!(std::io::stderr(), "SKIPPED {check}: {why}").expect("stderr takes a line");
}

/// The program that the variable names, else the first that exists among `folders` and those of `PATH`.
///
/// # Panics
/// When the variable names something that is not there.
pub(crate) fn program(variable: &str, names: &[&str], folders: Vec<PathBuf>) -> Option<PathBuf> {
    if let Some(path) = env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from) {
        assert!(path.is_file(), "{variable} names {}, which is not there", path.display());
        return Some(path);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = folders.into_iter().chain(env::split_paths(&path)).collect();
    let candidates = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

fn under_ci() -> bool {
    ["CI", "NIMBUS_CI"]
        .iter()
        .any(|name| env::var(name).is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false")))
}

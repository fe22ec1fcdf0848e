//! Rules about the source itself that no compiler holds: file headers, lengths, banned calls, the
//! crate graph, the top level, and that nothing of one machine stands in the tree.
//!
//! A rule that must be broken somewhere has a named exception with a reason in the tables below. The
//! tests read what git would hand to a clone: tracked files, and new ones that are not ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Longest source file. The aim is 150 to 300 lines, one idea a file.
const MOST_LINES: usize = 600;

/// Which crates of the workspace each crate may name in its normal dependencies, and does. `tests` and
/// `benches` know everything and are not listed.
const CRATE_GRAPH: &[(&str, &[&str])] = &[
    ("nimbus-types", &[]),
    ("nimbus-io", &[]),
    ("nimbus-query", &["nimbus-types"]),
    ("nimbus-namespace", &["nimbus-types"]),
    ("nimbus-log", &["nimbus-io", "nimbus-namespace", "nimbus-types"]),
    ("nimbus-engine", &["nimbus-io", "nimbus-namespace", "nimbus-query", "nimbus-types"]),
    ("nimbus-libsql", &["nimbus-namespace", "nimbus-sqlite", "nimbus-types"]),
    ("nimbus-mysql", &["nimbus-namespace", "nimbus-sql", "nimbus-types"]),
    ("nimbus-postgres", &["nimbus-namespace", "nimbus-sql", "nimbus-types"]),
    ("nimbus-redb", &["nimbus-namespace", "nimbus-types"]),
    ("nimbus-sql", &["nimbus-namespace", "nimbus-types"]),
    ("nimbus-sqlite", &["nimbus-namespace", "nimbus-types"]),
    ("nimbus-http", &["nimbus-engine", "nimbus-io", "nimbus-query", "nimbus-types"]),
    ("nimbus-mongodb", &["nimbus-engine", "nimbus-io", "nimbus-query", "nimbus-types"]),
    (
        "nimbus-server",
        &[
            "nimbus-engine",
            "nimbus-http",
            "nimbus-io",
            "nimbus-libsql",
            "nimbus-log",
            "nimbus-mongodb",
            "nimbus-mysql",
            "nimbus-namespace",
            "nimbus-postgres",
            "nimbus-redb",
            "nimbus-sqlite",
            "nimbus-types",
        ],
    ),
];

/// Crates that stand beside the graph and may name all of it.
const KNOW_EVERYTHING: &[&str] = &["nimbus-tests", "nimbus-test-servers", "nimbus-benches"];

/// Every folder the top level may hold.
const TOP_LEVEL_FOLDERS: &[&str] =
    &[".ci", "engine", "providers", "frontends", "runtime", "fuzz", "benches", "tests"];

/// A call that is banned outside tests.
struct Ban {
    text: &'static str,
    why: &'static str,
    /// Path prefixes where it may stand, each with its reason.
    except: &'static [(&'static str, &'static str)],
}

const BANS: &[Ban] = &[
    Ban { text: ".unwrap()", why: "errors are typed; an invariant is stated with expect", except: &[] },
    Ban { text: "todo!(", why: "no stubs", except: &[] },
    Ban { text: "unimplemented!(", why: "no stubs", except: &[] },
    Ban { text: "dbg!(", why: "left from debugging", except: &[] },
    Ban {
        text: "println!(",
        why: "a library logs through tracing and never prints",
        except: &[
            ("frontends/server/", "the command line's own output"),
            ("engine/namespace/src/conformance/", "a test suite, which prints its seeds"),
        ],
    },
    Ban {
        text: "SystemTime::now",
        why: "time comes in through nimbus-io, so that runs repeat from a seed",
        except: &[("engine/io/", "the real clock")],
    },
    Ban {
        text: "Instant::now",
        why: "time comes in through nimbus-io, so that runs repeat from a seed",
        except: &[
            ("engine/io/", "the real clock"),
            ("providers/sql/", "time limits on a network, which no seed repeats"),
            ("providers/libsql/", "time limits on a network, which no seed repeats"),
        ],
    },
    Ban {
        text: "getrandom::",
        why: "randomness comes in through nimbus-io, so that runs repeat from a seed",
        except: &[
            ("engine/io/", "the real randomness"),
            ("engine/namespace/src/remote/commit.rs", "two processes with one seed must not share a mark"),
        ],
    },
    Ban {
        text: "unsafe {",
        why: "unsafe code is denied",
        except: &[("engine/io/src/disk_real/ring.rs", "io_uring; the file's header proves it sound")],
    },
    Ban { text: "unsafe fn", why: "unsafe code is denied", except: &[] },
    Ban { text: "unsafe impl", why: "unsafe code is denied", except: &[] },
    Ban { text: "allow(dead_code", why: "no dead code", except: &[] },
];

#[test]
fn every_source_file_says_what_lives_in_it() {
    let missing: Vec<_> =
        sources().into_iter().filter(|file| !read(file).starts_with("//! ")).map(show).collect();
    assert!(missing.is_empty(), "these files do not open with a `//! ` header:\n{}", missing.join("\n"));
}

#[test]
fn no_source_file_is_long() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|file| (read(&file).lines().count(), file))
        .filter(|(lines, _)| *lines > MOST_LINES)
        .map(|(lines, file)| format!("{}: {lines} lines", file.display()))
        .collect();
    assert!(long.is_empty(), "split these by idea (more than {MOST_LINES} lines):\n{}", long.join("\n"));
}

#[test]
fn banned_calls_stand_only_where_they_are_excused() {
    let mut found = Vec::new();
    for file in sources().into_iter().filter(|file| !is_test_only(file)) {
        let path = show(&file);
        for (number, line) in production_lines(&read(&file)) {
            for ban in BANS.iter().filter(|ban| line.contains(ban.text)) {
                if !ban.except.iter().any(|(prefix, _)| path.starts_with(prefix)) {
                    found.push(format!("{path}:{number}: {} ({})", ban.text, ban.why));
                }
            }
        }
    }
    assert!(found.is_empty(), "banned outside tests:\n{}", found.join("\n"));
}

#[test]
fn the_search_for_banned_calls_sees_code_and_not_tests_or_comments() {
    let source =
        "fn a() { x.unwrap() }\n// x.unwrap()\n#[cfg(test)]\nmod tests {\n x.unwrap()\n}\nfn b() {}\n";
    let seen: Vec<_> = production_lines(source).collect();
    assert_eq!(seen, [(1, "fn a() { x.unwrap() }"), (7, "fn b() {}")]);
}

#[test]
fn crates_name_only_what_lies_below_them() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let mut found = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name").to_owned();
        let dependencies: BTreeSet<_> = package["dependencies"]
            .as_array()
            .expect("dependencies")
            .iter()
            .filter(|dependency| dependency["kind"].is_null() && dependency["path"].is_string())
            .map(|dependency| dependency["name"].as_str().expect("a name").to_owned())
            .collect();
        if !KNOW_EVERYTHING.contains(&name.as_str()) {
            found.insert(name, dependencies);
        }
    }
    let expected: BTreeMap<_, _> = CRATE_GRAPH
        .iter()
        .map(|(name, below)| ((*name).to_owned(), below.iter().map(|name| (*name).to_owned()).collect()))
        .collect();
    assert_eq!(found, expected, "the crate graph (left) is not the one written down (right)");
}

#[test]
fn the_top_level_holds_the_known_folders_only() {
    let unknown: BTreeSet<_> = files()
        .into_iter()
        .filter(|file| file.components().count() > 1)
        .filter_map(|file| {
            file.components().next().map(|first| first.as_os_str().to_string_lossy().into_owned())
        })
        .filter(|folder| !TOP_LEVEL_FOLDERS.contains(&folder.as_str()))
        .collect();
    assert!(unknown.is_empty(), "unknown folders on the top level: {unknown:?}");
}

#[test]
fn nothing_of_one_machine_stands_in_the_tree() {
    // Spelled in pieces, so that this file does not find itself.
    let paths = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/", "plan")];
    let hosts = [
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("python", "hosted.org"),
        concat!("npmjs", ".org"),
        concat!("proxy.golang", ".org"),
        concat!("arti", "factory"),
    ];
    let mut found = Vec::new();
    // The lock file is cargo's; it names the registry as its format demands.
    for file in files().into_iter().filter(|file| file != Path::new("Cargo.lock")) {
        for (number, line) in read(&file).lines().enumerate() {
            let path = paths.iter().find(|path| names_path(line, path));
            if let Some(text) = path.or_else(|| hosts.iter().find(|host| line.contains(*host))) {
                found.push(format!("{}:{}: {text}", file.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "paths of a machine or registry hosts:\n{}", found.join("\n"));
}

#[test]
fn the_commands_of_the_readme_are_those_that_ci_runs() {
    let readme = read(Path::new("README.md"));
    let ci = read(Path::new(".ci/run"));
    let commands: Vec<_> = readme
        .split("```")
        .skip(1)
        .step_by(2)
        .flat_map(str::lines)
        .map(|line| line.trim().trim_start_matches("$ "))
        .filter(|line| line.starts_with("cargo "))
        .map(|line| line.split('#').next().unwrap_or(line).trim())
        .collect();
    assert!(commands.len() >= 2, "the README shows how to start and how to test: {commands:?}");
    for command in commands {
        assert!(ci.contains(command), "the README says `{command}`, which .ci/run does not run");
    }
}

/// Whether `line` has `path` as the beginning of an absolute path, not inside a longer one.
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '}'))
    })
}

/// Files that no server runs: integration tests, benches, examples, modules named `tests`.
fn is_test_only(file: &Path) -> bool {
    let path = show(file);
    let name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.starts_with("tests/")
        || path.starts_with("benches/")
        || path.contains("/tests/")
        || path.contains("/benches/")
        || path.contains("/examples/")
        || name == "tests"
        || name.ends_with("_tests")
        || read(file).contains("#![cfg(test)]")
}

/// Numbered lines without comments and without the items of the top level that only tests have.
fn production_lines(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut skipping = false;
    source.lines().enumerate().filter_map(move |(index, line)| {
        if line == "#[cfg(test)]" || line.starts_with("#[cfg(all(test,") {
            skipping = true;
        }
        let skipped = skipping;
        // rustfmt closes an item of the top level with a brace or semicolon at the line's beginning or
        // end; everything inside is indented.
        if skipping && (line == "}" || (line.ends_with(';') && !line.starts_with(' '))) {
            skipping = false;
        }
        (!skipped && !line.trim_start().starts_with("//")).then_some((index + 1, line))
    })
}

fn sources() -> Vec<PathBuf> {
    let sources: Vec<_> = files()
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    assert!(sources.len() > 20, "the search for source files is broken: {sources:?}");
    sources
}

/// Text files that git has or would take, relative to the root.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output()
        .expect("git lists the files; install it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let list = String::from_utf8(output.stdout).expect("file names are UTF-8");
    list.split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .filter(|file| fs::read_to_string(root().join(file)).is_ok())
        .collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the workspace's root")
}

#[allow(clippy::needless_pass_by_value, reason = "used as the last step of iterator chains")]
fn show(file: impl AsRef<Path>) -> String {
    file.as_ref().to_string_lossy().into_owned()
}

//! Where the `nimbus` binary under test is.
//!
//! Promises: the binary of the same build profile and target folder as the running test. Cargo builds
//! it with `cargo test --workspace`, because its package has integration tests of its own.

use std::env;
use std::path::PathBuf;

/// The binary under test: `NIMBUS_BIN` where that is set, else the one beside this test's folder.
///
/// # Panics
/// When there is none, with the command that builds it.
pub fn nimbus_binary() -> PathBuf {
    if let Some(path) = env::var_os("NIMBUS_BIN") {
        return path.into();
    }
    // A test runs as <target>/<profile>/deps/<test>-<hash>; binaries are put into <target>/<profile>.
    let test = env::current_exe().expect("a running test has a path");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("a test runs inside the target folder");
    let binary = profile.join(format!("nimbus{}", env::consts::EXE_SUFFIX));
    assert!(
        binary.is_file(),
        "there is no nimbus binary at {}; `cargo test --workspace` or `cargo build` builds it",
        binary.display()
    );
    binary
}

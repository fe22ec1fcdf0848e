//! The binary starts and knows its name. Having a test here is also what makes `cargo test --workspace`
//! build it, for the end-to-end suites under `tests/` to find.

use std::process::Command;

#[test]
fn it_says_its_name_and_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_nimbus")).arg("--version").output().expect("it starts");
    assert!(output.status.success());
    let expected = concat!("nimbus ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

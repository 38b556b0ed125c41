//! Programs that a test makes. Other processes write them: a program that this one has open for writing, even in a child
//! that another test has just forked, cannot be run.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::EXECUTABLE;

/// Copies the executable under test to where other users can reach it.
pub(crate) fn copy_executable(to: &Path) {
    assert!(Command::new("cp").arg(EXECUTABLE).arg(to).status().unwrap().success());
}

/// Writes a program with that mode, as `chmod` takes it.
pub(crate) fn write_program(path: &Path, text: &str, mode: &str) {
    let mut writer = Command::new("sh")
        .args(["-c", r#"cat > "$0" && chmod "$1" "$0""#])
        .arg(path)
        .arg(mode)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
}

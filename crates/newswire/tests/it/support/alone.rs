//! A test in a process that runs nothing else. What it tests is not known here.

use std::future::Future;
use std::process::Command;
use tokio::runtime::Builder;

/// Runs the test called `name` of a module in a process that runs nothing else: `test` there.
pub(crate) fn alone(module: &str, name: &str, test: impl Future<Output = ()>) {
    const IS_ALONE: &str = "NEWSWIRE_TEST_IS_ALONE";
    if std::env::var_os(IS_ALONE).is_some() {
        let runtime = Builder::new_current_thread().enable_all().build();
        return runtime.unwrap().block_on(test);
    }
    let this = std::env::current_exe().unwrap();
    let mut command = Command::new(this);
    let (_binary, module) = module.split_once("::").unwrap();
    command.args([&format!("{module}::{name}"), "--exact", "--nocapture"]);
    let output = command.env(IS_ALONE, "1").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}{errors}"
    );
}

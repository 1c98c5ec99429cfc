//! What the figures depend on besides the code: machine, kernel, compiler, versions, commit, date. Asked of the system
//! once, before anything runs; what cannot be learnt is said to be unknown.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use load::Result;
use serde::Serialize;

/// The facts, as the JSON file has them.
#[derive(Default, Serialize)]
pub(crate) struct Facts {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) congestion_control: String,
    /// Load average before the first run: what else the machine was doing.
    pub(crate) load_average: String,
    pub(crate) rustc: String,
    pub(crate) rustflags: String,
    /// Server to package and version.
    pub(crate) versions: BTreeMap<String, String>,
}

/// The `bench` directory that this program was built from.
pub(crate) fn bench_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("")
}

impl Facts {
    pub(crate) fn gather(servers: &[(&str, &str)]) -> Result<Self> {
        let lock_path = bench_directory().join("Cargo.lock");
        let lock = fs::read_to_string(&lock_path)
            .map_err(|error| format!("{}: {error}", lock_path.display()))?;
        let describe =
            |package: &str| format!("{package} {}", version(&lock, package).unwrap_or("unknown"));
        let cpu_info = read("/proc/cpuinfo");
        let models = || {
            cpu_info
                .lines()
                .filter_map(|line| line.strip_prefix("model name")?.split_once(": "))
        };
        let mut commit = output("git", &["rev-parse", "--short", "HEAD"]);
        if !output("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty() {
            commit += " and uncommitted changes";
        }
        Ok(Self {
            date: output("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            commit,
            cpu: models()
                .next()
                .map_or("unknown".into(), |(_, model)| model.to_string()),
            cores: cpu_info
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            kernel: read("/proc/sys/kernel/osrelease"),
            congestion_control: read("/proc/sys/net/ipv4/tcp_congestion_control"),
            load_average: read("/proc/loadavg"),
            rustc: output("rustc", &["--version"]),
            rustflags: std::env::var("RUSTFLAGS").unwrap_or_default(),
            versions: servers
                .iter()
                .map(|(server, package)| ((*server).into(), describe(package)))
                .collect(),
        })
    }
}

/// A package's version in the text of a `Cargo.lock`.
fn version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    lines
        .nth(1)?
        .strip_prefix("version = \"")?
        .strip_suffix('"')
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or("unknown".into(), |text| text.trim().to_string())
}

/// What a command says, or that it is unknown.
fn output(program: &str, arguments: &[&str]) -> String {
    match Command::new(program)
        .args(arguments)
        .current_dir(bench_directory())
        .output()
    {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_string()
        }
        _ => "unknown".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = "[[package]]\nname = \"yawc\"\nversion = \"0.5.0\"\nsource = \"x\"\n\n[[package]]\nname = \"zz\"\nversion = \"1.0.0\"\n";
        assert_eq!(version(lock, "yawc"), Some("0.5.0"));
        assert_eq!(version(lock, "zz"), Some("1.0.0"));
        assert_eq!(version(lock, "yaw"), None);
    }

    #[test]
    fn the_bench_directory_holds_the_lock_file() {
        assert!(
            bench_directory().join("Cargo.lock").is_file(),
            "{}",
            bench_directory().display()
        );
    }
}

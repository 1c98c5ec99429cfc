//! What the figures depend on besides the code: machine, kernel, compiler, versions, commit, date. Asked of the system
//! once, before anything runs; what cannot be learnt is said to be unknown.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

/// The facts, as the JSON file has them.
#[derive(Debug, Default, Serialize)]
pub struct Facts {
    /// When.
    pub date: String,
    /// Of this repository, and whether there was more.
    pub commit: String,
    /// The processor's name.
    pub cpu: String,
    /// How many it has.
    pub cores: usize,
    /// Linux's version.
    pub kernel: String,
    /// TCP's.
    pub congestion_control: String,
    /// Load average before the first run: what else the machine was doing.
    pub load_average: String,
    /// The compiler's version.
    pub rustc: String,
    /// What the build was told besides.
    pub rustflags: String,
    /// Server to package and version.
    pub versions: BTreeMap<String, String>,
}

/// The `bench` directory that this program was built from.
pub fn bench_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("")
}

impl Facts {
    /// `versions` is what stands for each server.
    pub fn gather(versions: BTreeMap<String, String>) -> Self {
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
        Self {
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
            versions,
        }
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = match self.rustflags.as_str() {
            "" => "no RUSTFLAGS",
            flags => flags,
        };
        write!(
            f,
            "{}, commit {}. {}, {} cores, Linux {}, TCP {}, load average before {}. {}, {flags}.",
            self.date,
            self.commit,
            self.cpu,
            self.cores,
            self.kernel,
            self.congestion_control,
            self.load_average,
            self.rustc
        )
    }
}

/// A Rust package's version in this workspace.
pub fn locked_version(package: &str) -> Option<String> {
    let lock = fs::read_to_string(bench_directory().join("Cargo.lock")).ok()?;
    version(&lock, package).map(String::from)
}

/// A package's version in the text of a `Cargo.lock`. Of several versions it is the one that this workspace's own
/// packages ask for: there the lock file writes the version behind the name.
fn version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let of = |name: &str| {
        let name = format!("name = \"{name}\"");
        lock.split("[[package]]")
            .find(|entry| entry.lines().any(|line| line == name))
    };
    let asked_for = of("peers").and_then(|peers| {
        peers
            .lines()
            .find_map(|line| line.trim().strip_prefix('"')?.strip_prefix(package))
            .and_then(|rest| rest.strip_prefix(' ')?.strip_suffix("\","))
    });
    asked_for.or_else(|| {
        of(package)?
            .lines()
            .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
    })
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
        let lock = "[[package]]\nname = \"yawc\"\nversion = \"0.4.0\"\nsource = \"x\"\n\n\
                    [[package]]\nname = \"yawc\"\nversion = \"0.5.0\"\n\n\
                    [[package]]\nname = \"peers\"\nversion = \"0.0.0\"\ndependencies = [\n \"yawc 0.5.0\",\n \"zz\",\n]\n\n\
                    [[package]]\nname = \"zz\"\nversion = \"1.0.0\"\n";
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

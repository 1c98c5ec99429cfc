//! Which servers there are, where each comes from, and whether it is here. Starts nothing and installs nothing.

use std::fs;
use std::path::PathBuf;

use load::{Program, Result, bench_directory, locked_version};

use crate::job::Question;

/// Where a server comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// `echo_FILE` of this workspace, and the package whose version stands for it.
    Built(&'static str),
    /// `echo_FILE` of this workspace, which is no WebSocket server.
    Floor,
    /// `peers/node/echo_FILE.cjs`, and the npm package that it needs.
    Node(&'static str),
    /// `peers/python/echo_FILE.py`, and the PyPI package that it needs.
    Python(&'static str),
}

/// The servers, in the order of the table: name, which is FILE, and where it comes from.
const SERVERS: &[(&str, Origin)] = &[
    ("raw", Origin::Floor),
    ("newswire", Origin::Built("newswire")),
    ("tungstenite", Origin::Built("tokio-tungstenite")),
    ("tungstenite_forward", Origin::Built("tokio-tungstenite")),
    ("tungstenite_buf", Origin::Built("tokio-tungstenite")),
    ("fastwebsockets", Origin::Built("fastwebsockets")),
    ("tokio_websockets", Origin::Built("tokio-websockets")),
    ("yawc", Origin::Built("yawc")),
    ("yawc_tuned", Origin::Built("yawc")),
    ("sockudo", Origin::Built("sockudo-ws")),
    ("sockudo_buf", Origin::Built("sockudo-ws")),
    ("soketto", Origin::Built("soketto")),
    ("axum", Origin::Built("axum")),
    ("ws", Origin::Node("ws")),
    ("websockets", Origin::Python("websockets")),
    ("picows", Origin::Python("picows")),
];

/// The servers that compress, in the order of the table: name, FILE, its arguments, and where it comes from.
const COMPRESSING: &[(&str, &str, &[&str], Origin)] = &[
    ("newswire_shared", NEWSWIRE, &["shared"], OURS),
    ("newswire_shared_1", NEWSWIRE, &["shared", "1"], OURS),
    (
        "newswire_shared_1_8K",
        NEWSWIRE,
        &["shared", "1", "8192"],
        OURS,
    ),
    (
        "newswire_shared_9_16K",
        NEWSWIRE,
        &["shared", "9", "16384"],
        OURS,
    ),
    ("newswire_dedicated", NEWSWIRE, &["dedicated"], OURS),
    ("newswire_dedicated_1", NEWSWIRE, &["dedicated", "1"], OURS),
    ("newswire_dedicated_9", NEWSWIRE, &["dedicated", "9"], OURS),
    ("newswire_off", NEWSWIRE, &["off"], OURS),
    (
        "yawc_balanced",
        "yawc_deflate",
        &["balanced"],
        Origin::Built("yawc"),
    ),
    (
        "yawc_low_latency",
        "yawc_deflate",
        &["low_latency"],
        Origin::Built("yawc"),
    ),
    ("ws_default", "ws", &["default"], Origin::Node("ws")),
    ("ws_tuned", "ws", &["tuned"], Origin::Node("ws")),
];
const NEWSWIRE: &str = "newswire_deflate";

/// The servers with TLS, in the order of the table: name, FILE, its arguments, and where it comes from.
const ENCRYPTING: &[(&str, &str, &[&str], Origin)] = &[
    ("rustls", "raw", &["tls"], Origin::Floor),
    ("newswire_tls", "newswire_tls", &[], OURS),
];
const OURS: Origin = Origin::Built("newswire");

/// A server that is here and takes part.
pub(crate) struct Chosen {
    pub(crate) name: &'static str,
    /// Package and version.
    pub(crate) version: String,
    pub(crate) program: Program,
    /// Whether its replies are to be compared.
    pub(crate) is_websocket: bool,
}

/// One of the servers that there are.
struct Known {
    name: &'static str,
    file: &'static str,
    arguments: &'static [&'static str],
    origin: Origin,
}

/// Those that a question is for.
fn known(question: Question) -> Vec<Known> {
    let chosen = if question == Question::Tls {
        ENCRYPTING
    } else {
        COMPRESSING
    };
    let special = chosen.iter().map(|&(name, file, arguments, origin)| Known {
        name,
        file,
        arguments,
        origin,
    });
    let plain = SERVERS.iter().map(|&(name, origin)| Known {
        name,
        file: name,
        arguments: &[],
        origin,
    });
    match question {
        Question::Deflate | Question::Tls => special.collect(),
        _ => plain.collect(),
    }
}

/// The servers of this question that are asked for, in the table's order, or all; the floor among them, always. Then a
/// line for each that is not installed.
pub(crate) fn chosen(
    question: Question,
    names: &[String],
    floor: Option<&str>,
) -> Result<(Vec<Chosen>, Vec<String>)> {
    let all = known(question);
    let asked = names.iter().map(String::as_str).chain(floor);
    for name in asked {
        if all.iter().all(|known| known.name != name) {
            let known: Vec<_> = all.iter().map(|known| known.name).collect();
            return Err(format!(
                "there is no server {name:?}; there are: {}",
                known.join(", ")
            )
            .into());
        }
    }
    let (mut servers, mut missing) = (Vec::new(), Vec::new());
    for server in all {
        let name = server.name;
        let wanted = match server.origin {
            Origin::Floor => false,
            _ => names.is_empty(),
        };
        if wanted || floor == Some(name) || names.iter().any(|asked| asked == name) {
            match find(&server)? {
                Ok(server) => servers.push(server),
                Err(reason) => missing.push(reason),
            }
        }
    }
    Ok((servers, missing))
}

/// The server, or why it cannot take part. That one of this workspace is not built is an error.
fn find(server: &Known) -> Result<std::result::Result<Chosen, String>> {
    let &Known {
        name,
        file,
        arguments,
        origin,
    } = server;
    let cache = bench_directory().join(".cache");
    let (package, version, mut program) = match origin {
        Origin::Built(package) => (package, locked_version(package), Program::built(file)?),
        Origin::Floor => ("this", Some("workspace".into()), Program::built(file)?),
        Origin::Node(package) => {
            let modules = cache.join("node/node_modules");
            let program = Program {
                path: "node".into(),
                arguments: vec![script(&format!("node/echo_{file}.cjs"))],
                environment: vec![("NODE_PATH".into(), modules.clone())],
            };
            (package, npm_version(&modules.join(package)), program)
        }
        Origin::Python(package) => {
            let program = Program {
                path: cache.join("python/bin/python"),
                arguments: vec![script(&format!("python/echo_{file}.py"))],
                environment: Vec::new(),
            };
            (
                package,
                pypi_version(&cache.join("python"), package),
                program,
            )
        }
    };
    program
        .arguments
        .extend(arguments.iter().map(PathBuf::from));
    let installed = matches!(origin, Origin::Built(_) | Origin::Floor) || version.is_some();
    Ok(if installed {
        Ok(Chosen {
            name,
            version: format!("{package} {}", version.as_deref().unwrap_or("unknown")),
            program,
            is_websocket: origin != Origin::Floor,
        })
    } else {
        Err(format!(
            "{name}: {package} is not installed (`peers/install.sh` installs it)"
        ))
    })
}

fn script(path: &str) -> PathBuf {
    bench_directory().join("peers").join(path)
}

/// The version of an installed npm package.
fn npm_version(package: &std::path::Path) -> Option<String> {
    let text = fs::read_to_string(package.join("package.json")).ok()?;
    let json: serde_json::Value = serde_json::from_str(&text).ok()?;
    json["version"].as_str().map(String::from)
}

/// The version of a PyPI package that is installed in a virtual environment.
fn pypi_version(environment: &std::path::Path, package: &str) -> Option<String> {
    let entries = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
    entries(environment.join("lib"))
        .flat_map(|python| entries(python.path().join("site-packages")))
        .find_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix(package)?.strip_prefix('-')?;
            version.strip_suffix(".dist-info").map(String::from)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_of_the_table_is_there() {
        let all = [Question::Echo, Question::Deflate, Question::Tls].map(known);
        for Known { file, origin, .. } in all.into_iter().flatten() {
            let path = match origin {
                Origin::Node(_) => format!("node/echo_{file}.cjs"),
                Origin::Python(_) => format!("python/echo_{file}.py"),
                Origin::Built(package) => {
                    assert!(locked_version(package).is_some(), "{package}");
                    continue;
                }
                Origin::Floor => continue,
            };
            assert!(script(&path).is_file(), "{path}");
        }
    }

    #[test]
    fn a_server_that_does_not_exist_is_refused_with_those_that_do() {
        let error = chosen(Question::Echo, &["uws".into()], None)
            .map(|_| ())
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("\"uws\"; there are: raw, newswire")
        );
    }

    #[test]
    fn what_is_not_installed_has_no_version() {
        let nowhere = bench_directory().join("nowhere");
        assert_eq!(npm_version(&nowhere), None);
        assert_eq!(pypi_version(&nowhere, "picows"), None);
    }
}

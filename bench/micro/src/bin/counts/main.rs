//! `counts`: instructions a message of each hot path, counted by valgrind's callgrind, against `bench/counts.json`.
//! What a profile says is `profile`'s business; which paths there are, `hot_paths`'s.

mod profile;

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;
use serde::{Deserialize, Serialize};

use profile::Count;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// More than this of the baseline is a failure.
const TOLERANCE: f64 = 1.03;
/// Where `hot_paths` calls between two counts: warm-up ends, N ends, 2N begins, 2N ends.
const MARKS: usize = 4;

/// Count the instructions of the hot paths and compare them with the baseline
#[derive(Parser)]
struct Arguments {
    /// Make what is counted now the baseline, and forget those of other compilers: they were of other code
    #[arg(long)]
    write: bool,
    /// Add a baseline for this compiler and processor to those of others; the code must be that of theirs
    #[arg(long, conflicts_with = "write")]
    add: bool,
    /// The baseline
    #[arg(long, value_name = "FILE", default_value_os_t = baseline_path())]
    baseline: PathBuf,
}

/// Instructions and calls a message, and what they hold for.
#[derive(Serialize, Deserialize)]
struct Baseline {
    conditions: Conditions,
    paths: BTreeMap<String, Figures>,
}

/// Counts can be compared only where all of this is the same.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct Conditions {
    architecture: String,
    /// The vector instructions that the code chooses; under valgrind not more than AVX2.
    vectors: String,
    /// Another compiler makes other instructions.
    rustc: String,
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.architecture, self.vectors, self.rustc)
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Figures {
    instructions: f64,
    /// Calls of the C library: allocations and copies.
    calls: f64,
}

impl Figures {
    /// From the counts of N messages and of 2N: what both have once, such as entering a loop, goes away.
    fn of(once: Count, twice: Count, messages: u64) -> Self {
        let each = |once: u64, twice: u64| (twice as f64 - once as f64) / messages as f64;
        Self {
            instructions: round(each(once.instructions, twice.instructions)),
            calls: round(each(once.calls, twice.calls)),
        }
    }

    fn exceeds(self, baseline: Self) -> bool {
        self.instructions > baseline.instructions * TOLERANCE
            || self.calls > baseline.calls * TOLERANCE
    }
}

/// To a thousandth, so that the file is readable.
fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn baseline_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("counts.json")
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let now = count()?;
    if arguments.write {
        return write(&arguments.baseline, vec![now]);
    }
    let shown = arguments.baseline.display();
    let text = fs::read_to_string(&arguments.baseline)
        .map_err(|error| format!("{shown}: {error}; --write makes one"))?;
    let mut baselines = baselines(&text).map_err(|error| format!("{shown}: {error}"))?;
    if arguments.add {
        baselines.retain(|baseline| baseline.conditions != now.conditions);
        baselines.push(now);
        return write(&arguments.baseline, baselines);
    }
    let Some(baseline) = baselines
        .iter()
        .find(|baseline| baseline.conditions == now.conditions)
    else {
        println!("{}", table(&BTreeMap::new(), &now.paths));
        println!("{}", nothing_to_compare(&baselines, &now.conditions));
        return Ok(ExitCode::SUCCESS);
    };
    println!("{}", table(&baseline.paths, &now.paths));
    let problems = problems(&baseline.paths, &now.paths);
    if problems.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    for problem in &problems {
        println!("{problem}");
    }
    println!(
        "If this is meant to be: `bench/counts.sh --write` makes it the baseline; say why in the commit."
    );
    Ok(ExitCode::FAILURE)
}

/// The file: a JSON object for each set of conditions, one after the other.
fn baselines(text: &str) -> serde_json::Result<Vec<Baseline>> {
    serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect()
}

fn write(file: &Path, baselines: Vec<Baseline>) -> Result<ExitCode> {
    let mut text = String::new();
    for baseline in &baselines {
        text += &(serde_json::to_string_pretty(baseline)? + "\n");
    }
    fs::write(file, text)?;
    if let Some(now) = baselines.last() {
        println!("{}", table(&now.paths, &now.paths));
    }
    println!("written: {}", file.display());
    Ok(ExitCode::SUCCESS)
}

/// What is said where there is no baseline for the conditions: it is no failure of the code, and must not look like a
/// check that has passed.
fn nothing_to_compare(baselines: &[Baseline], here: &Conditions) -> String {
    let mut out =
        format!("NOTHING WAS COMPARED: there is no baseline for\n  {here}\nThere is one for:\n");
    for baseline in baselines {
        out += &format!("  {}\n", baseline.conditions);
    }
    out + "To compare here from now on: check out the commit that wrote bench/counts.json, run `bench/counts.sh --add` \
           there, and take the file along. The counts above are those of now."
}

/// Runs `hot_paths`, built beside this program, under callgrind.
fn count() -> Result<Baseline> {
    let program = env::current_exe()?.with_file_name("hot_paths");
    let directory = env::temp_dir().join(format!("newswire-counts-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let counted = count_in(&program, &directory);
    fs::remove_dir_all(&directory)?;
    counted
}

fn count_in(program: &Path, directory: &Path) -> Result<Baseline> {
    let out = directory.join("callgrind");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--dump-before=*hot_paths*mark*"])
        // Whole names in each profile, and nothing else that has to be undone.
        .args(["--compress-strings=no", "--compress-pos=no"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        // What the allocator does must not depend on who runs this.
        .env_clear()
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    if !output.status.success() {
        return Err(format!("valgrind of {}: {}", program.display(), output.status).into());
    }
    let mut conditions = None;
    let mut paths = BTreeMap::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        match line.split('\t').collect::<Vec<_>>()[..] {
            ["processor", architecture, vectors] => {
                conditions = Some(Conditions {
                    architecture: architecture.into(),
                    vectors: vectors.into(),
                    rustc: rustc()?,
                });
            }
            ["path", name, messages] => {
                let first = paths.len() * MARKS;
                let part = |number: usize| -> Result<Count> {
                    let file = directory.join(format!("callgrind.{}", first + number));
                    let text = fs::read_to_string(&file)
                        .map_err(|error| format!("{}: {error}", file.display()))?;
                    if !text.contains("Trigger: --dump-before=hot_paths::mark") {
                        return Err(format!("{name}: this profile does not end at a mark").into());
                    }
                    profile::count(&text, "hot_paths")
                        .map_err(|error| format!("{name}: {error}").into())
                };
                let figures = Figures::of(part(2)?, part(4)?, messages.parse()?);
                paths.insert(name.to_string(), figures);
            }
            _ => return Err(format!("hot_paths said {line:?}").into()),
        }
    }
    Ok(Baseline {
        conditions: conditions.ok_or("hot_paths did not say what it runs on")?,
        paths,
    })
}

fn rustc() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

fn table(baseline: &BTreeMap<String, Figures>, now: &BTreeMap<String, Figures>) -> String {
    let mut out = format!(
        "{:<46} {:>12} {:>12} {:>7} {:>14}\n",
        "instructions a message", "baseline", "now", "ratio", "calls to libc"
    );
    for (name, now) in now {
        let (was, ratio, calls) = match baseline.get(name) {
            Some(was) => (
                format!("{:.1}", was.instructions),
                format!("{:.3}", now.instructions / was.instructions),
                format!("{:.2} → {:.2}", was.calls, now.calls),
            ),
            None => ("-".into(), "new".into(), format!("{:.2}", now.calls)),
        };
        out += &format!(
            "{name:<46} {was:>12} {:>12.1} {ratio:>7} {calls:>14}\n",
            now.instructions
        );
    }
    out
}

/// What is wrong: a path that needs more than it may, or that only one side has.
fn problems(baseline: &BTreeMap<String, Figures>, now: &BTreeMap<String, Figures>) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, figures) in now {
        match baseline.get(name) {
            None => problems.push(format!("{name}: not in the baseline")),
            Some(was) if figures.exceeds(*was) => problems.push(format!(
                "{name}: {:.1} instructions and {:.2} calls a message, were {:.1} and {:.2}",
                figures.instructions, figures.calls, was.instructions, was.calls
            )),
            Some(_) => {}
        }
    }
    let gone = baseline.keys().filter(|name| !now.contains_key(*name));
    problems.extend(gone.map(|name| format!("{name}: in the baseline, and no longer counted")));
    problems
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("counts: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(figures: &[(&str, f64, f64)]) -> BTreeMap<String, Figures> {
        figures
            .iter()
            .map(|&(name, instructions, calls)| {
                let figures = Figures {
                    instructions,
                    calls,
                };
                (name.to_string(), figures)
            })
            .collect()
    }

    #[test]
    fn three_percent_more_pass_and_anything_above_fails() {
        let baseline = paths(&[("a", 100.0, 1.0)]);
        assert!(problems(&baseline, &paths(&[("a", 103.0, 1.0)])).is_empty());
        assert!(problems(&baseline, &paths(&[("a", 50.0, 0.0)])).is_empty());
        let slower = problems(&baseline, &paths(&[("a", 103.1, 1.0)]));
        assert!(slower[0].starts_with("a: 103.1 instructions"), "{slower:?}");
        assert_eq!(problems(&baseline, &paths(&[("a", 100.0, 2.0)])).len(), 1);
    }

    #[test]
    fn a_path_that_only_one_side_has_is_a_problem() {
        let (one, two) = (paths(&[("a", 1.0, 0.0)]), paths(&[("b", 1.0, 0.0)]));
        assert_eq!(
            problems(&one, &two),
            [
                "b: not in the baseline",
                "a: in the baseline, and no longer counted"
            ]
        );
    }

    fn baseline(rustc: &str) -> Baseline {
        Baseline {
            conditions: Conditions {
                architecture: "x".into(),
                vectors: "y".into(),
                rustc: rustc.into(),
            },
            paths: paths(&[("a", 1.0, 0.0)]),
        }
    }

    #[test]
    fn a_file_holds_a_baseline_for_each_compiler() {
        let file = env::temp_dir().join(format!("newswire-counts-test-{}", std::process::id()));
        write(&file, vec![baseline("one"), baseline("two")]).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let read = baselines(&text).unwrap();
        assert_eq!(read.len(), 2);
        assert!(read[1].conditions == baseline("two").conditions);
        assert_eq!(read[0].paths["a"].instructions, 1.0);
        assert!(baselines(&text[..text.len() - 3]).is_err());
    }

    #[test]
    fn a_compiler_without_a_baseline_is_told_so_and_how_to_make_one() {
        let said = nothing_to_compare(&[baseline("one")], &baseline("two").conditions);
        assert!(said.starts_with("NOTHING WAS COMPARED"), "{said}");
        for part in ["x, y, one", "x, y, two", "counts.sh --add"] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }

    #[test]
    fn what_does_not_grow_with_the_messages_is_not_counted() {
        let count = |instructions, calls| Count {
            instructions,
            calls,
        };
        let figures = Figures::of(count(1_050, 7), count(2_050, 12), 10);
        assert_eq!((figures.instructions, figures.calls), (100.0, 0.5));
    }
}

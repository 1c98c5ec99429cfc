//! What the command tells shells and `man` about itself: completions and manual pages.

use crate::support::{newswire, run};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

/// Standard output of a run that must succeed in silence.
#[track_caller]
fn stdout_of(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(str::from_utf8(&output.stderr), Ok(""));
    assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A command, by the words that lead to it, and its help.
struct Helped {
    path: Vec<String>,
    help: String,
}

/// Every command with its help, as the program lists them.
fn commands() -> Vec<Helped> {
    let mut found: Vec<Helped> = Vec::new();
    let mut waiting = vec![Vec::new()];
    while let Some(path) = waiting.pop() {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let help = stdout_of(&[&words[..], &["--help"]].concat());
        let listed = help.split_once("Commands:\n").map_or("", |(_, rest)| rest);
        for line in listed.lines().take_while(|line| !line.is_empty()) {
            // What goes on in another line is further to the right.
            let Some(name) = line
                .strip_prefix("  ")
                .filter(|line| !line.starts_with(' '))
            else {
                continue;
            };
            let name = name.split_whitespace().next().unwrap();
            if name != "help" {
                waiting.push([&path[..], &[name.to_owned()]].concat());
            }
        }
        found.push(Helped { path, help });
    }
    assert!(found.len() > 10, "commands are listed");
    found
}

impl Helped {
    /// The long flags, without their hyphens.
    fn flags(&self) -> BTreeSet<&str> {
        let lines = self.help.lines().map(str::trim_start);
        let flags: BTreeSet<&str> = lines
            .filter(|line| line.starts_with('-'))
            .filter_map(|line| line.split_once("--"))
            .map(|(_, flag)| {
                let end = flag.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
                &flag[..end.unwrap_or(flag.len())]
            })
            .collect();
        assert!(flags.contains("help"), "{:?}: {flags:?}", self.path);
        flags
    }

    /// The codes of the sentence at the end of the help.
    fn exit_codes(&self) -> Vec<&str> {
        let Some((_, sentence)) = self.help.split_once("Exit codes: ") else {
            return Vec::new();
        };
        sentence
            .split(',')
            .map(|entry| entry.split_whitespace().next().unwrap())
            .collect()
    }

    fn page(&self) -> String {
        let words: Vec<&str> = self.path.iter().map(String::as_str).collect();
        stdout_of(&[&["man"], &words[..]].concat())
    }

    /// `newswire-connect`
    fn title(&self) -> String {
        [&["newswire".to_owned()], &self.path[..]]
            .concat()
            .join("-")
    }
}

#[test]
fn completions_of_every_shell_know_every_flag() {
    let scripts = SHELLS.map(|shell| (shell, stdout_of(&["completions", shell])));
    for command in commands() {
        for flag in command.flags() {
            for (shell, script) in &scripts {
                let written = match *shell {
                    "fish" => format!("-l {flag} "),
                    _ => format!("--{flag}"),
                };
                // fish's last word of a line has no blank behind it.
                let is_there = script.replace('\n', " \n").contains(&written);
                assert!(is_there, "{shell}: no {written} of {:?}", command.path);
            }
        }
    }
}

/// What bash completes: the words before the cursor, the last of them begun.
#[cfg(unix)]
#[track_caller]
fn bash_completes(words: &[&str]) -> Vec<String> {
    let script = r#"
        set -eu
        eval "$completions"
        # The function that a Tab at this command runs.
        tab=$(complete -p "$1"); tab=${tab#*-F }; tab=${tab%% *}
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        "$tab" "$1" "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output = Command::new("bash")
        .args(["--norc", "-c", script, "bash", "newswire"])
        .args(words)
        .env("completions", stdout_of(&["completions", "bash"]))
        .output()
        .unwrap();
    assert_eq!(str::from_utf8(&output.stderr), Ok(""));
    assert!(output.status.success(), "{words:?}: {}", output.status);
    let found = String::from_utf8(output.stdout).unwrap();
    found.lines().map(str::to_owned).collect()
}

#[cfg(unix)]
#[test]
fn bash_completes_commands_flags_and_values() {
    assert_eq!(bash_completes(&["con"]), ["connect"]);
    assert_eq!(
        bash_completes(&["connect", "--ex"]),
        ["--execute", "--expect"]
    );
    assert_eq!(
        bash_completes(&["connect", "--compression", "o"]),
        ["on", "off"]
    );
    assert_eq!(bash_completes(&["bench", "ec"]), ["echo"]);
    assert_eq!(bash_completes(&["completions", "z"]), ["zsh"]);
    // A flag that wants a file.
    let folder = crate::support::folder("completions");
    std::fs::write(folder.join("authority.pem"), "").unwrap();
    let begun = folder.join("auth").display().to_string();
    let whole = folder.join("authority.pem").display().to_string();
    assert_eq!(bash_completes(&["connect", "--ca", &begun]), [whole]);
}

#[test]
fn names_of_values_cannot_end_a_specification_of_zsh() {
    let script = stdout_of(&["completions", "zsh"]);
    assert!(script.contains(r":NAME\: VALUE:"), "--header NAME: VALUE");
    assert!(script.contains(r":NAME\:PASSWORD:"), "--auth NAME:PASSWORD");
}

#[test]
fn every_command_has_a_page_that_names_its_flags_and_exit_codes() {
    for command in commands() {
        let page = command.page();
        let title = command.title();
        assert!(
            page.starts_with(&format!(".TH {title} 1 \"\" \"newswire ")),
            "{title}"
        );
        let plain = page
            .replace(r"\-", "-")
            .replace(r"\fB", "")
            .replace(r"\fR", "");
        assert!(
            plain.contains(&format!("\n.SH NAME\n{title} - ")),
            "{title}"
        );
        let options = plain.split_once("\n.SH OPTIONS\n").unwrap().1;
        let headers: BTreeSet<&str> = options
            .lines()
            .filter(|line| line.starts_with('-'))
            .filter_map(|line| line.split_once("--"))
            .map(|(_, flag)| flag.split([' ', '[', '=']).next().unwrap())
            .collect();
        assert_eq!(headers, command.flags(), "{title}");
        let codes: Vec<&str> = plain
            .split_once("\n.SH \"EXIT STATUS\"\n")
            .map_or("", |(_, rest)| rest.split("\n.SH").next().unwrap())
            .split(".TP\n")
            .skip(1)
            .map(|entry| entry.lines().next().unwrap())
            .collect();
        assert_eq!(codes, command.exit_codes(), "{title}");
    }
}

#[test]
fn all_pages_are_written_to_a_directory() {
    let folder = crate::support::folder("manual").join("share/man1");
    assert_eq!(stdout_of(&["man", "--dir", folder.to_str().unwrap()]), "");
    let entries = std::fs::read_dir(&folder).unwrap();
    let names: BTreeSet<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let commands = commands();
    let titles = commands
        .iter()
        .map(|command| format!("{}.1", command.title()));
    assert_eq!(names, titles.collect());
    for command in &commands {
        let page = std::fs::read_to_string(folder.join(format!("{}.1", command.title())));
        assert_eq!(page.unwrap(), command.page());
    }
}

#[test]
fn what_has_no_page_is_2_and_a_directory_that_cannot_be_is_1() {
    let file = crate::support::folder("manual-file").join("file");
    std::fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, code, part) in [
        (&["man", "no-such"][..], 2, "connect"),
        (&["man", "bench", "no-such"], 2, "echo"),
        (&["man", "serve", "more"], 2, "newswire-serve"),
        (&["man", "--dir", file, "serve"], 2, "--dir"),
        (&["man", "--dir", file], 1, file),
        (&["completions", "no-such"], 2, "bash"),
        (&["completions"], 2, "SHELL"),
    ] {
        let output = run(arguments);
        let stderr = str::from_utf8(&output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert_eq!(output.stdout, b"", "{arguments:?}");
        assert!(
            stderr.starts_with("newswire: ") && stderr.contains(part),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn that_nobody_reads_them_is_no_error() {
    for arguments in [&["completions", "bash"][..], &["man", "connect"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = newswire(arguments);
        let output = command.stdout(Stdio::from(writer)).output().unwrap();
        assert_eq!(str::from_utf8(&output.stderr), Ok(""));
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}

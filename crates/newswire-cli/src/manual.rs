//! `newswire man`: the manual pages, made from the help of `args` and of each command's folder. What
//! a page says is there; here is how it is laid out.

use crate::exit_code::ExitCode;
use crate::output;
use clap::Args;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io;
use std::path::{Path, PathBuf};

/// Print a manual page, or write all of them to a directory
///
/// newswire man connect | man -l - shows one. With --dir /usr/local/share/man/man1, or
/// ~/.local/share/man/man1 where ~/.local/bin is in PATH, all are where man looks for them: man
/// newswire-connect.
#[derive(Debug, Args)]
pub(crate) struct ManualOptions {
    /// The command whose page is printed, such as connect or bench echo; that of newswire if there is
    /// none
    command: Vec<String>,

    /// Write newswire.1 and a page for each command to this directory, which is made if need be
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

/// Prints a page of `program`, or writes all.
pub(crate) fn run(options: &ManualOptions, program: clap::Command) -> ExitCode {
    // `newswire help connect` is a way to see what a page says.
    let mut program = program.disable_help_subcommand(true);
    program.build();
    if let Some(dir) = &options.dir {
        return match std::fs::create_dir_all(dir).and_then(|()| write_all(&program, &[], dir)) {
            Ok(()) => ExitCode::Success,
            Err(error) => {
                output::error(format!("{}: {error}", dir.display()));
                ExitCode::Failure
            }
        };
    }
    let mut command = &program;
    let mut parents = Vec::new();
    for name in &options.command {
        parents.push(command);
        let Some(found) = command.find_subcommand(name) else {
            let known: Vec<_> = shown(command).map(clap::Command::get_name).collect();
            output::error(match known[..] {
                [] => format!("{} has no commands (try --help)", title(command)),
                _ => format!(
                    "there is no command {name:?}: there are {}",
                    known.join(", ")
                ),
            });
            return ExitCode::Usage;
        };
        command = found;
    }
    match page(command, &parents) {
        Ok(page) => output::document(&page),
        Err(error) => {
            output::error(error);
            ExitCode::Failure
        }
    }
}

/// Writes the page of this command and of all below it.
fn write_all(command: &clap::Command, parents: &[&clap::Command], dir: &Path) -> io::Result<()> {
    let file = dir.join(format!("{}.1", title(command)));
    std::fs::write(file, page(command, parents)?)?;
    let parents = [parents, &[command]].concat();
    shown(command).try_for_each(|below| write_all(below, &parents, dir))
}

/// The commands below this one that its help shows.
fn shown(command: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
}

/// `newswire-connect`
fn title(command: &clap::Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

fn page(command: &clap::Command, parents: &[&clap::Command]) -> io::Result<Vec<u8>> {
    let mut laid_out = command.clone().subcommand_help_heading("COMMANDS");
    if laid_out.has_subcommands() {
        laid_out = laid_out.subcommand_value_name("command");
    }
    let man = Man::new(laid_out);
    // Without a date, so that the same program has the same pages. `render_title` leaves out what is
    // empty, and then the version stands where the date belongs.
    let version = env!("CARGO_PKG_VERSION");
    let title_line = format!(
        ".TH {} 1 \"\" \"newswire {version}\" newswire\n",
        title(command)
    );
    let mut page = title_line.into_bytes();
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut roff = Roff::new();
    if let Some(text) = command.get_after_help() {
        last_words(&mut roff, &text.to_string());
    }
    see_also(&mut roff, parents.iter().copied().chain(shown(command)));
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// What stands at the end of a help: the exit codes, or how else to give the settings.
fn last_words(roff: &mut Roff, text: &str) {
    let codes = text.strip_prefix("Exit codes: ");
    let Some(codes) = codes.and_then(|codes| codes.strip_suffix('.')) else {
        roff.control("SH", ["NOTES"]).text([roman(text)]);
        return;
    };
    roff.control("SH", ["EXIT STATUS"]);
    for entry in codes.split(", ") {
        let (code, meaning) = entry.split_once(' ').unwrap_or((entry, ""));
        roff.control("TP", [])
            .text([bold(code)])
            .text([roman(meaning)]);
    }
}

fn see_also<'a>(roff: &mut Roff, commands: impl Iterator<Item = &'a clap::Command>) {
    let mut names = commands.map(title).peekable();
    if names.peek().is_none() {
        return;
    }
    roff.control("SH", ["SEE ALSO"]);
    let mut line = Vec::new();
    while let Some(name) = names.next() {
        let comma = if names.peek().is_some() { ", " } else { "" };
        line.extend([bold(name), roman(format!("(1){comma}"))]);
    }
    roff.text(line);
}

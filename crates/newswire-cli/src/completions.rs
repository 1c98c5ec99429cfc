//! `newswire completions`: what a shell needs to complete the arguments of this program. What these
//! are is in `args` and in each command's folder.

use crate::exit_code::ExitCode;
use crate::output;
use clap::Args;
use clap_complete::Shell;

/// Print the completions for a shell
///
/// They go where the shell looks for them, or are read when it starts:
///
/// bash: eval "$(newswire completions bash)" in ~/.bashrc
///
/// zsh: newswire completions zsh > _newswire, in a directory of $fpath
///
/// fish: newswire completions fish > ~/.config/fish/completions/newswire.fish
///
/// elvish: eval (newswire completions elvish | slurp) in ~/.config/elvish/rc.elv
///
/// powershell: newswire completions powershell | Out-String | Invoke-Expression in $PROFILE
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CompletionsOptions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completions of `program`.
pub(crate) fn run(options: &CompletionsOptions, mut program: clap::Command) -> ExitCode {
    if options.shell == Shell::Zsh {
        program = with_colons_escaped(program);
    }
    // To memory first: `generate` panics when nobody reads what it writes.
    let mut script = Vec::new();
    let name = program.get_name().to_owned();
    clap_complete::generate(options.shell, &mut program, name, &mut script);
    output::document(&script)
}

/// The command with the colons of its value names escaped. In a specification of zsh they end the
/// name, and what follows would be run; `clap_complete` leaves them as they are.
fn with_colons_escaped(command: clap::Command) -> clap::Command {
    command
        .mut_args(|arg| {
            let names: Vec<_> = arg.get_value_names().unwrap_or_default().to_vec();
            if !names.iter().any(|name| name.contains(':')) {
                return arg;
            }
            arg.value_names(names.iter().map(|name| name.replace(':', "\\:")))
        })
        .mut_subcommands(with_colons_escaped)
}

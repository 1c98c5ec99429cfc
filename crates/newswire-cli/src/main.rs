//! The `newswire` command: reads the arguments, runs what they ask for, and decides the exit
//! code. No logic lives here.

mod args;
mod bench;
mod completions;
mod connect;
mod exit_code;
mod manual;
mod output;
mod process;
mod serve;
mod values;

use args::Command;

fn main() -> std::process::ExitCode {
    let code = match args::parse() {
        Ok(Command::Serve(flags)) => serve::run(&flags),
        Ok(Command::Connect(options)) => connect::run(&options),
        Ok(Command::Bench(options)) => bench::run(&options),
        Ok(Command::Completions(options)) => completions::run(&options, args::program()),
        Ok(Command::Manual(options)) => manual::run(&options, args::program()),
        Err(code) => code,
    };
    code.into()
}

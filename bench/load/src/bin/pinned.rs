//! `pinned CORE PROGRAM [ARGUMENT…]`: becomes PROGRAM on one core, killed when its starter dies. The other commands start servers so.

use std::env;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let core = arguments
        .first()
        .and_then(|core| core.to_str()?.parse().ok());
    let (Some(core), [_, program, rest @ ..]) = (core, arguments.as_slice()) else {
        eprintln!("usage: pinned CORE PROGRAM [ARGUMENT…]");
        return ExitCode::from(2);
    };
    eprintln!(
        "pinned: {}",
        load::exec_pinned(core, Path::new(program), rest)
    );
    ExitCode::FAILURE
}

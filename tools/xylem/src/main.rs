//! The command line: builds, packs, runs and watches systems.
//!
//! Invariant: results go to standard output, all else to standard error; an error is one message that says what to do,
//! and a status that is not 0.
#![forbid(unsafe_code)]

mod args;
mod bench;
mod check;
mod code;
mod failure;
mod files;
mod link;
mod live;
mod new;
mod paint;
mod place;
mod rig_command;
mod run;
mod stop;
mod swaps;
mod system;
mod test;
mod ui;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use ipc::manage::Action;

use args::{Cli, Command};
use failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::check(args),
        Command::Pack(args) => check::pack(args),
        Command::New(args) => new::new(args),
        Command::Stop(args) => stop::stop(args),
        Command::Ps(args) => live::ps(args),
        Command::Top(args) => live::top(args),
        Command::Log(args) => live::log(args),
        Command::Events(args) => live::events(args),
        Command::Restart(args) => live::act(&args.place, &args.server, Action::Restart),
        Command::Start(args) => live::act(&args.place, &args.server, Action::Start),
        Command::Kill(args) => live::kill(args),
        Command::Crash(args) => live::crash(args),
        Command::Console(args) => stop::console(args),
        Command::Test(args) => test::test(args),
        Command::Bench(args) => bench::bench(args),
        Command::Rig(command) => rig_command::act(command),
    };
    match result {
        Ok(code) => code,
        Err(Failure::Interrupted) => ExitCode::from(130),
        Err(error) => {
            // The packer's words begin so by themselves.
            let text = error.to_string();
            eprintln!("error: {}", text.strip_prefix("error: ").unwrap_or(&text));
            ExitCode::from(error.code())
        }
    }
}

//! The command line: one file or folder for each subcommand.
//!
//! `review`, `approvals`, `grants`, `runs`, `stats` and parts of `policy` are ordinary clients of
//! the HTTP endpoint; they use neither the journal nor a connector. `serve` is a host. `run` and
//! `demo` start a host in a [`session`] and are its clients. **Invariant:** an agent's text is
//! printed only through [`review`](crate::review).
//!
//! Read in this order: [`args`], [`exit`], [`output`], [`client`], then the subcommands.

mod approvals;
pub mod args;
mod check;
pub mod client;
mod completions;
mod config;
mod demo;
mod dev;
pub mod exit;
mod grants;
mod host;
mod inspect;
mod isolated;
mod listening;
mod logging;
mod new;
mod notify;
pub mod output;
mod policy;
mod review;
mod run;
mod runs;
mod script;
mod serve;
mod session;
mod sign_in;
mod socket;
mod stats;
mod watch;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::config::Config;
use args::{Cli, Command, Global};
use exit::{Exit, Failure};
use output::Output;

/// Runs the command line. A usage error ends the program here with clap's message and code 2.
pub fn main() -> ExitCode {
    // Files that the parent process had open, such as a lock or a pipe, must not be inherited by
    // programs that this one starts.
    close_fds::set_fds_cloexec(3, &[]);
    let cli = Cli::parse();
    let output = Output::new(cli.global.json, cli.global.no_color);
    let exit = dispatch(cli, &output).unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.exit
    });
    exit.into()
}

fn dispatch(cli: Cli, output: &Output) -> Result<Exit, Failure> {
    let Cli { global, command } = cli;
    match command {
        Command::Run(args) => run::run(&args, &global, load(&global)?, output),
        Command::Serve(args) => serve::run(&args, load(&global)?, output),
        Command::Demo(args) => demo::run(&args, output),
        Command::New(args) => new::run(&args, output),
        Command::Dev(args) => dev::run(&args, &global, &load(&global)?, output),
        Command::Check(args) => check::run(&args, &load(&global)?, output),
        Command::Inspect(args) => inspect::run(&args, &load(&global)?, output),
        Command::Review => review::run(client::connect(&global, &load(&global)?, output)?, output),
        Command::Approvals(args) => approvals::run(args, &client::connect(&global, &load(&global)?, output)?, output),
        Command::Runs(args) => runs::run(args, &global, &load(&global)?, output),
        Command::Stats(args) => stats::run(&args, &client::connect(&global, &load(&global)?, output)?, output),
        Command::SignIn(args) => sign_in::run(&args, &client::connect(&global, &load(&global)?, output)?, output),
        Command::Grants(args) => grants::run(args, &client::connect(&global, &load(&global)?, output)?, output),
        Command::Notify { action } => notify::run(&action, &load(&global)?, output),
        Command::Policy { action } => policy::run(&action, &global, &load(&global)?, output),
        Command::Config => config::run(&load(&global)?, output),
        Command::Isolated(args) => isolated::run(args, output),
        Command::Completions { shell } => completions::run(shell, output),
    }
}

/// Loads the configuration for the current folder.
pub fn load(global: &Global) -> Result<Config, Failure> {
    Ok(Config::load(global.config.as_deref(), Path::new("."))?)
}

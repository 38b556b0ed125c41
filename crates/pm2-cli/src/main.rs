//! The executable `pm2-rs`: the command line and, as a hidden subcommand, the daemon.

mod command_line;
mod connected;
mod daemon;
mod processes;
mod query;
mod saved;
mod startup;
mod update;

use std::process::ExitCode;

fn main() -> ExitCode {
    match command_line::parse().and_then(command_line::Action::perform) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("[PM2][ERROR] {error:#}");
            ExitCode::FAILURE
        }
    }
}

//! What can be typed, and what it does.

use clap::{Arg, ArgAction, Command};
use pm2_daemon::Lifetime;

use crate::{daemon, query};

/// A command line, understood.
pub(crate) enum Action {
    Daemon(Lifetime),
    Ping,
    List,
    Kill,
}

/// Reads the arguments. Help and mistakes in them end the process here, with clap's texts.
pub(crate) fn parse() -> anyhow::Result<Action> {
    let matches = command().get_matches();
    Ok(match matches.subcommand() {
        Some(("daemon", arguments)) => Action::Daemon(if arguments.get_flag("attached") {
            Lifetime::Attached
        } else {
            Lifetime::Detached
        }),
        Some(("ping", _)) => Action::Ping,
        Some(("jlist", _)) => Action::List,
        Some(("kill", _)) => Action::Kill,
        _ => anyhow::bail!("Command not found"),
    })
}

fn command() -> Command {
    Command::new("pm2-rs")
        .about("Process manager, a drop-in replacement for PM2")
        .version(pm2_core::VERSION)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("daemon").about("Serve PM2_HOME in the foreground").hide(true).arg(
                Arg::new("attached")
                    .long("attached")
                    .action(ArgAction::SetTrue)
                    .help("End, with all apps, when standard input ends"),
            ),
        )
        .subcommand(
            Command::new("ping").about("Launch the daemon if there is none, and ask it for an answer"),
        )
        .subcommand(Command::new("jlist").about("Print the process list as JSON"))
        .subcommand(Command::new("kill").about("Stop all apps and the daemon"))
}

impl Action {
    pub(crate) fn perform(self) -> anyhow::Result<()> {
        match self {
            Action::Daemon(lifetime) => daemon::run(lifetime),
            Action::Ping => query::ping(),
            Action::List => query::list(),
            Action::Kill => query::kill(),
        }
    }
}

//! What can be typed, and what it does.

use clap::{Arg, ArgAction, ArgMatches, Command};
use pm2_core::app::Map;
use pm2_core::startup;
use pm2_daemon::{Lifetime, RunOptions};

use crate::processes::{self, Verb};
use crate::startup::change_init_system;
use crate::{daemon, query, saved, update};

/// A command line, understood.
pub(crate) enum Action {
    Daemon(RunOptions),
    ReadsState(u32),
    Update,
    Save { force: bool },
    Resurrect,
    Startup { action: startup::Action, request: startup::Request },
    Ping,
    List,
    Kill,
    Change { verb: Verb, targets: Vec<String>, options: Map },
}

/// Reads the arguments. Help and mistakes in them end the process here, with clap's texts and PM2's exit code.
pub(crate) fn parse() -> anyhow::Result<Action> {
    let matches = command().try_get_matches().unwrap_or_else(|told| {
        // Nobody may be reading.
        drop(told.print());
        std::process::exit(i32::from(told.use_stderr()))
    });
    Ok(match matches.subcommand() {
        Some(("daemon", arguments)) => match arguments.get_one("reads-state") {
            Some(version) => Action::ReadsState(*version),
            None => {
                let is_attached = arguments.get_flag("attached");
                let lifetime = if is_attached { Lifetime::Attached } else { Lifetime::Detached };
                Action::Daemon(RunOptions { lifetime, resurrect: arguments.get_flag("resurrect") })
            }
        },
        Some(("update", _)) => Action::Update,
        Some(("save", arguments)) => Action::Save { force: arguments.get_flag("force") },
        Some(("resurrect", _)) => Action::Resurrect,
        Some(("startup", arguments)) => {
            Action::Startup { action: startup::Action::Install, request: startup_request(arguments) }
        }
        Some(("unstartup", arguments)) => {
            Action::Startup { action: startup::Action::Remove, request: startup_request(arguments) }
        }
        Some(("ping", _)) => Action::Ping,
        Some(("jlist", _)) => Action::List,
        Some(("kill", _)) => Action::Kill,
        Some((name, arguments)) => match VERBS.iter().find(|(verb, ..)| *verb == name) {
            Some((_, verb, _)) => Action::Change {
                verb: *verb,
                targets: arguments.get_many("target").into_iter().flatten().cloned().collect(),
                options: options(arguments),
            },
            None => anyhow::bail!("Command not found"),
        },
        None => anyhow::bail!("Command not found"),
    })
}

const VERBS: [(&str, Verb, &str); 5] = [
    (
        "start",
        Verb::Start,
        "Start scripts or what configuration files describe; without target ecosystem.config.js",
    ),
    ("restart", Verb::Restart, "Restart processes, or those of a configuration file"),
    ("reload", Verb::Reload, "Reload processes, or those of a configuration file"),
    ("stop", Verb::Stop, "Stop processes, or those of a configuration file"),
    ("delete", Verb::Delete, "Stop processes and forget them"),
];

/// Options with a text, and switches: name of the option, on the command line and for the verb, and help.
const TEXTS: [(&str, &str, &str); 2] = [
    ("only", "only", "Of a file: only the apps of these names"),
    ("env", "env", "Of a file: lay env_<name> over env"),
];
const SWITCHES: [(&str, &str, &str); 2] = [
    ("update-env", "updateEnv", "Lay this shell's variables over those of the app"),
    ("force", "force", "Start a script that already runs again; reload although another reload is under way"),
];

fn options(arguments: &ArgMatches) -> Map {
    let mut options = Map::new();
    for (name, option, _) in TEXTS {
        if let Some(value) = arguments.get_one::<String>(name) {
            options.insert(option.to_owned(), value.clone().into());
        }
    }
    for (name, option, _) in SWITCHES {
        if arguments.get_flag(name) {
            options.insert(option.to_owned(), true.into());
        }
    }
    options
}

fn verb(name: &'static str, verb: Verb, about: &'static str) -> Command {
    let target = Arg::new("target").num_args(1..).required(verb != Verb::Start);
    let texts = TEXTS.map(|(name, _, help)| Arg::new(name).long(name).help(help));
    let switches =
        SWITCHES.map(|(name, _, help)| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help));
    Command::new(name).about(about).arg(target).args(texts).args(switches)
}

fn startup_request(arguments: &ArgMatches) -> startup::Request {
    let text = |name: &str| arguments.get_one::<String>(name).cloned();
    startup::Request {
        platform: text("platform"),
        user: text("user"),
        hp: text("hp").map(Into::into),
        service_name: text("service-name"),
        wait_ip: arguments.get_flag("wait-ip"),
    }
}

fn startup_command(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).args([
        Arg::new("platform").help("systemd, upstart, systemv, openrc, launchd, rcd, rcd-openbsd, smf, or a system that has one; absent: the one that is found"),
        Arg::new("user").short('u').long("user").help("Whom the daemon and its apps belong to"),
        Arg::new("hp").long("hp").help("Folder in which .pm2 is"),
        Arg::new("service-name").long("service-name").help("Name of the service; absent: pm2-<user>"),
        Arg::new("wait-ip").long("wait-ip").action(ArgAction::SetTrue).help("Wait until the machine has an address"),
    ])
}

fn command() -> Command {
    Command::new("pm2-rs")
        .about("Process manager, a drop-in replacement for PM2")
        .version(pm2_core::VERSION)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("daemon").about("Serve PM2_HOME in the foreground").hide(true).args([
                Arg::new("attached")
                    .long("attached")
                    .action(ArgAction::SetTrue)
                    .help("End, with all apps, when standard input ends"),
                Arg::new("resurrect")
                    .long("resurrect")
                    .action(ArgAction::SetTrue)
                    .help("Bring the saved processes back"),
                Arg::new("reads-state")
                    .long("reads-state")
                    .value_name("version")
                    .value_parser(clap::value_parser!(u32))
                    .help("Only say whether what a daemon leaves can be read"),
            ]),
        )
        .subcommand(
            Command::new("ping").about("Launch the daemon if there is none, and ask it for an answer"),
        )
        .subcommand(Command::new("jlist").about("Print the process list as JSON"))
        .subcommand(Command::new("kill").about("Stop all apps and the daemon"))
        .subcommand(
            Command::new("update").about("Let the daemon go on with this executable; the apps do not notice"),
        )
        .subcommand(
            Command::new("save").visible_alias("dump").about("Save the process list for resurrect").arg(
                Arg::new("force")
                    .short('f')
                    .long("force")
                    .action(ArgAction::SetTrue)
                    .help("Save an empty list, too"),
            ),
        )
        .subcommand(Command::new("resurrect").about("Bring the saved processes back"))
        .subcommand(startup_command("startup", "Start the daemon with the machine, with the saved processes"))
        .subcommand(startup_command("unstartup", "Undo startup"))
        .subcommands(VERBS.map(|(name, which, about)| verb(name, which, about)))
}

impl Action {
    pub(crate) fn perform(self) -> anyhow::Result<()> {
        match self {
            Action::Daemon(options) => daemon::run(options),
            Action::ReadsState(version) => daemon::reads_state(version),
            Action::Update => update::update(),
            Action::Save { force } => saved::save(force),
            Action::Resurrect => saved::resurrect(),
            Action::Startup { action, request } => change_init_system(action, &request),
            Action::Ping => query::ping(),
            Action::List => query::list(),
            Action::Kill => query::kill(),
            Action::Change { verb, targets, options } => processes::change(verb, &targets, &options),
        }
    }
}

//! What there is to do: decided and rendered, nothing done.

use std::path::PathBuf;

use super::error::StartupError;
use super::init_system::InitSystem;
use super::request::{Action, Facts, Request, sudo_line, text};
use super::{quote, template};

/// The folders that every PATH of a service has.
const STANDARD_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How the daemon gets to be started with the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The init system.
    pub init: InitSystem,
    /// Its name as it was asked for.
    pub platform: String,
    /// The home of the daemon that will be started.
    pub home: PathBuf,
    /// The init file.
    pub destination: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// Its text.
    pub template: String,
    /// What makes it known to the init system, in this order: programs with their arguments.
    pub commands: Vec<Vec<String>>,
}

/// How all that is undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The init system's name as it was asked for.
    pub platform: String,
    /// In this order.
    pub steps: Vec<RemovalStep>,
}

/// A part of undoing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemovalStep {
    /// A program with its arguments.
    Command(Vec<String>),
    /// Removing the init file.
    File(PathBuf),
}

impl RemovalStep {
    /// As a shell would do it.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Command(command) => super::command_text(command),
            Self::File(path) => format!("rm {}", quote::shell(&text(path))),
        }
    }
}

/// What `startup` has to do.
///
/// # Errors
/// Everything of [`StartupError`] that can be known before something is done.
pub fn plan(request: &Request, facts: &Facts) -> Result<Plan, StartupError> {
    let (platform, init) = resolve(Action::Install, request, facts)?;
    let service = Service::new(init, request, facts)?;
    let home = request.home(facts);
    let file = service.file.to_string_lossy().into_owned();
    let name = service.name.as_str();
    let commands: Vec<Vec<&str>> = match init {
        InitSystem::Systemd => vec![vec!["systemctl", "enable", name]],
        InitSystem::Upstart | InitSystem::Systemv => {
            let mut commands =
                vec![vec!["mkdir", "-p", "/var/lock/subsys"], vec!["touch", service.lock.as_str()]];
            if init == InitSystem::Upstart {
                commands.push(vec!["update-rc.d", name, "defaults"]);
            } else {
                commands.push(vec!["chkconfig", "--add", name]);
                commands.push(vec!["chkconfig", name, "on"]);
            }
            commands
        }
        InitSystem::Openrc => vec![vec!["rc-update", "add", name, "default"]],
        InitSystem::Launchd => vec![vec!["launchctl", "load", "-w", &file]],
        InitSystem::Rcd => vec![vec!["sysrc", &service.switch_on]],
        InitSystem::RcdOpenbsd => vec![vec!["rcctl", "enable", name], vec!["rcctl", "start", name]],
        InitSystem::Smf => vec![vec!["svccfg", "import", &file], vec!["svcadm", "enable", name]],
    };
    let mode = match init {
        InitSystem::Systemd | InitSystem::Launchd | InitSystem::Smf => 0o644,
        _ => 0o755,
    };
    Ok(Plan {
        init,
        platform,
        template: render(init, &service, request, facts)?,
        commands: owned(commands),
        destination: service.file,
        home,
        mode,
    })
}

/// What `uninstallStartup` has to do.
///
/// # Errors
/// As [`plan`].
pub fn removal(request: &Request, facts: &Facts) -> Result<Removal, StartupError> {
    let (platform, init) = resolve(Action::Remove, request, facts)?;
    let service = Service::new(init, request, facts)?;
    let name = service.name.as_str();
    let file = service.file.to_string_lossy().into_owned();
    let commands: Vec<Vec<&str>> = match init {
        InitSystem::Systemd => vec![vec!["systemctl", "stop", name], vec!["systemctl", "disable", name]],
        InitSystem::Upstart => {
            vec![vec!["update-rc.d", name, "disable"], vec!["update-rc.d", "-f", name, "remove"]]
        }
        InitSystem::Systemv => vec![vec!["chkconfig", name, "off"]],
        InitSystem::Openrc => vec![vec![&file, "stop"], vec!["rc-update", "delete", name, "default"]],
        InitSystem::Launchd => vec![vec!["launchctl", "remove", name]],
        InitSystem::Rcd => vec![vec![&file, "stop"], vec!["sysrc", "-x", &service.switch]],
        InitSystem::RcdOpenbsd => vec![vec!["rcctl", "stop", name], vec!["rcctl", "disable", name]],
        InitSystem::Smf => vec![vec!["svcadm", "disable", name], vec!["svccfg", "delete", "-f", name]],
    };
    let mut steps: Vec<_> = owned(commands).into_iter().map(RemovalStep::Command).collect();
    steps.push(RemovalStep::File(service.file));
    Ok(Removal { platform, steps })
}

/// The name that was asked for, and what it means. Who is not root is told so first, as by PM2.
fn resolve(action: Action, request: &Request, facts: &Facts) -> Result<(String, InitSystem), StartupError> {
    let platform = request.platform_name(facts)?;
    if !facts.may_change {
        let verb = if action == Action::Install { "setup" } else { "unsetup" };
        return Err(StartupError::NotRoot { verb, line: sudo_line(action, request, facts)? });
    }
    let init = InitSystem::named(&platform, facts.detected).ok_or(StartupError::UnknownPlatform)?;
    Ok((platform, init))
}

/// The service as an init system knows it.
struct Service {
    user: String,
    name: String,
    file: PathBuf,
    /// `/etc/init.d`: the file that says that it runs.
    lock: String,
    /// FreeBSD: its variable, and that variable's assignment.
    switch: String,
    switch_on: String,
}

impl Service {
    fn new(init: InitSystem, request: &Request, facts: &Facts) -> Result<Service, StartupError> {
        let user = request.user_name(facts);
        check("user", &user, is_user)?;
        let given = request.service_name.clone().filter(|name| !name.is_empty());
        if let Some(name) = &given {
            check("service name", name, is_service)?;
        }
        let name = match init {
            InitSystem::Systemd | InitSystem::Upstart | InitSystem::Systemv => {
                given.unwrap_or_else(|| format!("pm2-{}", replaced(&user, ".@-")))
            }
            // Fixed in PM2, and the file that `/etc/conf.d/pm2` belongs to.
            InitSystem::Openrc => "pm2".to_owned(),
            InitSystem::Launchd => format!("pm2.{}", replaced(&user, ".@-")),
            // The names become part of variables.
            InitSystem::Rcd | InitSystem::RcdOpenbsd | InitSystem::Smf => {
                format!("pm2_{}", replaced(&user, ""))
            }
        };
        let file = match init {
            InitSystem::Systemd => format!("/etc/systemd/system/{name}.service").into(),
            InitSystem::Upstart | InitSystem::Systemv | InitSystem::Openrc => {
                format!("/etc/init.d/{name}").into()
            }
            InitSystem::Launchd => {
                request.user_folder(facts).join(format!("Library/LaunchAgents/{name}.plist"))
            }
            InitSystem::Rcd => format!("/usr/local/etc/rc.d/{name}").into(),
            InitSystem::RcdOpenbsd => format!("/etc/rc.d/{name}").into(),
            InitSystem::Smf => std::env::temp_dir().join(format!("{name}.xml")),
        };
        let lock = format!("/var/lock/subsys/{name}");
        let switch = format!("{name}_enable");
        Ok(Service { user, file, lock, switch_on: format!("{switch}=YES"), switch, name })
    }
}

fn render(
    init: InitSystem,
    service: &Service,
    request: &Request,
    facts: &Facts,
) -> Result<String, StartupError> {
    let home = request.home(facts);
    let (pid, log) = (text(&home.join("pm2.pid")), text(&home.join("pm2.log")));
    let (executable, home) = (text(&facts.executable), text(&home));
    let path = service_path(&facts.path);
    for (what, value) in [("executable's path", &executable), ("home", &home), ("PATH", &path)] {
        check(what, value, |value| !value.is_empty() && !value.contains(char::is_control))?;
    }
    let word = |value: &str| quote::shell(value);
    let command = format!("exec env PATH={} PM2_HOME={} {}", word(&path), word(&home), word(&executable));
    let bare_command = format!("exec env PATH={} PM2_HOME=\"$PM2_HOME\" {}", word(&path), word(&executable));
    let after = match request.wait_ip {
        true => "network-online.target\nWants=network-online.target",
        false => "network.target",
    };
    let values = [
        ("user", service.user.clone()),
        ("user.unit", quote::unit(&service.user)),
        ("user.shell", word(&service.user)),
        ("user.xml", quote::xml(&service.user)),
        ("service", service.name.clone()),
        ("service.shell", word(&service.name)),
        ("service.xml", quote::xml(&service.name)),
        ("executable.unit", quote::unit(&executable)),
        ("executable.shell", word(&executable)),
        ("executable.xml", quote::xml(&executable)),
        ("executable.shell.xml", quote::xml(&word(&executable))),
        ("PATH=.unit", quote::unit(&format!("PATH={path}"))),
        ("path.xml", quote::xml(&path)),
        ("PM2_HOME=.unit", quote::unit(&format!("PM2_HOME={home}"))),
        ("home.shell", word(&home)),
        ("home.xml", quote::xml(&home)),
        ("pid.shell", word(&pid)),
        ("log.xml", quote::xml(&log)),
        ("command.shell", word(&command)),
        ("bare command.shell", word(&bare_command)),
        ("after", after.to_owned()),
    ];
    Ok(template::fill(template::of(init), &values))
}

/// The PATH of who asks, then the standard folders; each once, relative ones left out.
fn service_path(path: &str) -> String {
    let mut folders: Vec<&str> = Vec::new();
    for folder in path.split(':').chain(STANDARD_PATH.split(':')) {
        if folder.starts_with('/') && !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders.join(":")
}

fn owned(commands: Vec<Vec<&str>>) -> Vec<Vec<String>> {
    commands.into_iter().map(|command| command.into_iter().map(str::to_owned).collect()).collect()
}

fn check(what: &'static str, value: &str, is_good: impl Fn(&str) -> bool) -> Result<(), StartupError> {
    if is_good(value) { Ok(()) } else { Err(StartupError::Value { what, value: value.to_owned() }) }
}

fn is_user(name: &str) -> bool {
    let is_bad =
        |letter: char| letter.is_control() || letter.is_whitespace() || "/:'\"\\%`;<>&|(){}".contains(letter);
    !name.is_empty() && !name.starts_with('-') && !name.contains(is_bad)
}

/// What every init system takes, and what stays in its folder.
fn is_service(name: &str) -> bool {
    let is_good = |letter: char| letter.is_ascii_alphanumeric() || ":_.@-".contains(letter);
    !name.starts_with(['.', '-']) && name.chars().all(is_good)
}

/// A user's name as part of a service's.
fn replaced(user: &str, also: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || also.contains(letter);
    user.chars().map(|letter| if fits(letter) { letter } else { '_' }).collect()
}

#[cfg(test)]
mod tests;

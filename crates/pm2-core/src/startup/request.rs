//! What is asked for, by whom, and where.

use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid};
use serde::Deserialize;

use super::error::StartupError;
use super::init_system::{InitSystem, detect};
use super::perform::Place;
use super::quote;
use crate::home::Home;

/// The two directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `startup`.
    Install,
    /// `unstartup`, `uninstallStartup`.
    Remove,
}

/// `startup(platform, {user, hp, serviceName, waitIp})`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    /// An init system, or a name that stands for one. Absent or empty: the detected one.
    pub platform: Option<String>,
    /// Whom the daemon and its apps belong to. Absent: `$USER`, `$LOGNAME`, else who asks.
    pub user: Option<String>,
    /// The folder in which `.pm2` is. Absent: the home of who asks; with another `user` that user's.
    pub hp: Option<PathBuf>,
    /// Name of the service. Absent: `pm2-<user>`.
    pub service_name: Option<String>,
    /// Whether to wait until the machine has an address.
    pub wait_ip: bool,
}

/// Who asks, from where.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The executable `pm2-rs`.
    pub executable: PathBuf,
    /// The PM2 home of who asks.
    pub home: PathBuf,
    /// `HOME`.
    pub user_home: PathBuf,
    /// `PATH`.
    pub path: String,
    /// Who asks, as `whoami` says.
    pub user: String,
    /// `$USER`, `$LOGNAME`.
    pub env_user: Option<String>,
    /// Whether the init system may be changed: as root, or with a folder for tests.
    pub may_change: bool,
    /// The detected init system.
    pub detected: Option<InitSystem>,
    /// The folder of a user.
    pub home_of: fn(&str) -> Option<PathBuf>,
}

impl Facts {
    /// What is so for this process, with that environment.
    #[must_use]
    pub fn of_this_process(
        executable: PathBuf,
        home: &Home,
        place: &Place,
        get: &dyn Fn(&str) -> Option<String>,
    ) -> Facts {
        let variable = |name: &str| get(name).filter(|value| !value.is_empty());
        let own = User::from_uid(geteuid()).ok().flatten();
        let own_dir = own.as_ref().map_or_else(|| PathBuf::from("/"), |user| user.dir.clone());
        let path = variable("PATH").unwrap_or_default();
        Facts {
            executable,
            home: home.dir.clone(),
            user_home: variable("HOME").map_or(own_dir, PathBuf::from),
            user: own.map_or_else(|| geteuid().to_string(), |user| user.name),
            env_user: variable("USER").or_else(|| variable("LOGNAME")),
            may_change: place.is_elsewhere() || geteuid().is_root(),
            detected: detect(&path),
            path,
            home_of: |name| User::from_name(name).ok().flatten().map(|user| user.dir),
        }
    }
}

impl Request {
    /// The name that counts, as it was written; else that of the detected init system.
    pub(super) fn platform_name(&self, facts: &Facts) -> Result<String, StartupError> {
        let given = self.platform.clone().filter(|name| !name.is_empty());
        given.or_else(|| Some(facts.detected?.name().to_owned())).ok_or(StartupError::NotFound)
    }

    pub(super) fn user_name(&self, facts: &Facts) -> String {
        let given = self.user.clone().filter(|user| !user.is_empty());
        given.or_else(|| facts.env_user.clone()).unwrap_or_else(|| facts.user.clone())
    }

    fn given_hp(&self) -> Option<PathBuf> {
        self.hp.clone().filter(|hp| !hp.as_os_str().is_empty())
    }

    /// The PM2 home of the service.
    pub(super) fn home(&self, facts: &Facts) -> PathBuf {
        if let Some(hp) = self.given_hp() {
            return std::path::absolute(&hp).unwrap_or(hp).join(".pm2");
        }
        let user = self.user_name(facts);
        // The daemon of another user could not even enter the home of who asks. One that was chosen is kept.
        let is_anothers = user != facts.user && facts.home == facts.user_home.join(".pm2");
        let folder = is_anothers.then(|| (facts.home_of)(&user)).flatten();
        folder.map_or_else(|| facts.home.clone(), |folder| folder.join(".pm2"))
    }

    /// The folder of the user, where launchd looks for its files.
    pub(super) fn user_folder(&self, facts: &Facts) -> PathBuf {
        self.given_hp().unwrap_or_else(|| facts.user_home.clone())
    }
}

/// The command that root has to run, as PM2 prints it.
///
/// # Errors
/// [`StartupError::NotFound`] when no platform is named and none is found.
pub fn sudo_line(action: Action, request: &Request, facts: &Facts) -> Result<String, StartupError> {
    let verb = match action {
        Action::Install => "startup",
        Action::Remove => "unstartup",
    };
    let given_user = request.user.clone().filter(|user| !user.is_empty());
    // As PM2: who names a user gets the bare command, which the PATH before it finds.
    let bare = facts.executable.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let command = given_user.as_ref().map_or_else(|| text(&facts.executable), |_| bare);
    let hp = request.given_hp().unwrap_or_else(|| facts.user_home.clone());
    let mut words = vec![
        quote::shell(&command),
        verb.to_owned(),
        quote::shell(&request.platform_name(facts)?),
        "-u".to_owned(),
        quote::shell(&given_user.unwrap_or_else(|| facts.user.clone())),
        "--hp".to_owned(),
        quote::shell(&text(&hp)),
    ];
    if let Some(name) = &request.service_name {
        words.extend(["--service-name".to_owned(), quote::shell(name)]);
    }
    if request.wait_ip && action == Action::Install {
        words.push("--wait-ip".to_owned());
    }
    let folder = facts.executable.parent().unwrap_or(Path::new("/"));
    Ok(format!("sudo env PATH=$PATH:{} {}", quote::shell(&text(folder)), words.join(" ")))
}

pub(super) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

//! Doing it: the file, the commands, and the list before them.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::geteuid;

use super::error::StartupError;
use super::init_system::InitSystem;
use super::plan::{Plan, Removal, RemovalStep};
use crate::atomic_file;
use crate::client::verbs::{self, Session, VerbError};
use crate::client::{ConnectError, ConnectRequest, connect};
use crate::home::Home;

/// For tests: the folder that stands for `/`. Files are written below it, by any user; commands are not run but added to
/// its file `commands`, one a line.
pub const ROOT_VARIABLE: &str = "PM2_RS_STARTUP_ROOT";

/// Where init files go, and what happens to commands.
#[derive(Debug, Clone, Default)]
pub struct Place {
    elsewhere: Option<PathBuf>,
}

impl Place {
    /// The machine itself, unless [`ROOT_VARIABLE`] names a folder.
    #[must_use]
    pub fn from_env(get: &dyn Fn(&str) -> Option<String>) -> Place {
        Place { elsewhere: get(ROOT_VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from) }
    }

    pub(super) fn is_elsewhere(&self) -> bool {
        self.elsewhere.is_some()
    }

    fn path(&self, path: &Path) -> PathBuf {
        match &self.elsewhere {
            Some(folder) => folder.join(path.strip_prefix("/").unwrap_or(path)),
            None => path.to_owned(),
        }
    }

    /// Runs a command, its output as one text with what it says of its end.
    fn run(&self, command: &[String]) -> Result<String, String> {
        let text = super::command_text(command);
        if let Some(folder) = &self.elsewhere {
            return record(folder, &text).map(|()| String::new()).map_err(|error| error.to_string());
        }
        let [program, arguments @ ..] = command else { return Ok(String::new()) };
        let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("{program}: {error}\n"))?;
        let said = [output.stdout, output.stderr].concat();
        let mut said = String::from_utf8_lossy(&said).into_owned();
        if output.status.success() {
            return Ok(said);
        }
        if !said.is_empty() && !said.ends_with('\n') {
            said.push('\n');
        }
        let end = output.status.code().map_or_else(|| output.status.to_string(), |code| code.to_string());
        Err(format!("{said}[ERROR] Exit code : {end}\n"))
    }
}

fn record(folder: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(folder.join("commands"))?;
    writeln!(file, "{text}")
}

/// What happens, as it happens.
#[derive(Debug)]
pub enum Step<'a> {
    /// The file will be written.
    Writing,
    /// It is; now the commands.
    Written,
    /// This command, or removal of a file, will be run.
    Running(&'a str),
    /// It has succeeded, with this output.
    Succeeded(&'a str),
    /// It has failed, with this output.
    Failed(&'a str),
}

/// A part of undoing that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// As in [`RemovalStep::text`].
    pub command: String,
    /// What it said.
    pub output: String,
}

/// Writes the init file and makes it known. The first command that fails ends it.
///
/// # Errors
/// [`StartupError::Write`], [`StartupError::Command`].
pub fn install(plan: &Plan, place: &Place, tell: &mut dyn FnMut(Step<'_>)) -> Result<(), StartupError> {
    tell(Step::Writing);
    let path = place.path(&plan.destination);
    if let Some(folder) = path.parent() {
        // The other folders are those of the init system: without them it is not the one of this machine.
        if plan.init == InitSystem::Launchd || place.is_elsewhere() {
            fs::create_dir_all(folder).map_err(|source| atomic_file::AtomicFileError {
                action: "create",
                path: folder.to_owned(),
                source,
            })?;
        }
    }
    atomic_file::install(&path, plan.template.as_bytes(), plan.mode)?;
    tell(Step::Written);
    for command in &plan.commands {
        let text = super::command_text(command);
        tell(Step::Running(&text));
        match place.run(command) {
            Ok(output) => tell(Step::Succeeded(&output)),
            Err(output) => {
                tell(Step::Failed(&output));
                return Err(StartupError::Command { command: text, output });
            }
        }
    }
    Ok(())
}

/// Undoes it, every part whatever becomes of the others; gives those that failed. A file that is not there is none of
/// them.
pub fn remove(removal: &Removal, place: &Place, tell: &mut dyn FnMut(Step<'_>)) -> Vec<Failed> {
    let mut failed = Vec::new();
    for step in &removal.steps {
        let command = step.text();
        tell(Step::Running(&command));
        let done = match step {
            RemovalStep::Command(words) => place.run(words),
            RemovalStep::File(path) => match fs::remove_file(place.path(path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{error}\n")),
                _ => Ok(String::new()),
            },
        };
        match done {
            Ok(output) => tell(Step::Succeeded(&output)),
            Err(output) => {
                tell(Step::Failed(&output));
                failed.push(Failed { command, output });
            }
        }
    }
    failed
}

/// Saves the process list of the home that will be served, if a daemon is there; gives the file.
///
/// The home of another user is left to that user: root would follow the links in it, and leave files that the daemon
/// cannot read.
///
/// # Errors
/// [`StartupError::Save`]. No daemon and an empty list are none.
pub async fn save_list(home: &Path, executable: &Path) -> Result<Option<PathBuf>, StartupError> {
    let failed = |error: &dyn std::fmt::Display| StartupError::Save(error.to_string());
    let home = Home::at(home, &|_| None).map_err(|error| failed(&error))?;
    let Ok(found) = fs::metadata(&home.dir) else { return Ok(None) };
    let session = match connect(&ConnectRequest { home: home.clone(), launch: None }).await {
        Ok(connected) => Session { connection: connected.connection, home: home.clone() },
        Err(ConnectError::NotRunning { .. }) => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    if geteuid().is_root() && found.uid() != 0 {
        drop(session);
        save_as_owner(&home, executable, &found).await?;
        return Ok(Some(home.dump_file));
    }
    match verbs::dump(&session, false).await {
        Ok(()) => Ok(Some(home.dump_file)),
        Err(VerbError::EmptyList) => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

async fn save_as_owner(home: &Home, executable: &Path, owner: &fs::Metadata) -> Result<(), StartupError> {
    let mut command = Command::new(executable);
    command
        .arg("save")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin")))
        .env("PM2_HOME", &home.dir)
        .current_dir("/")
        .stdin(Stdio::null())
        .uid(owner.uid())
        .gid(owner.gid());
    let failed = StartupError::Save;
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.map_err(|error| failed(error.to_string()))?;
    let output = output.map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim_end().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &str) -> Vec<String> {
        ["sh", "-c", text].map(str::to_owned).to_vec()
    }

    fn plan(destination: PathBuf, commands: Vec<Vec<String>>) -> Plan {
        Plan {
            init: InitSystem::Systemd,
            platform: "systemd".to_owned(),
            home: "/root/.pm2".into(),
            destination,
            mode: 0o644,
            template: "text".to_owned(),
            commands,
        }
    }

    #[test]
    fn the_first_command_that_fails_ends_it() {
        let dir = tempfile::tempdir().unwrap();
        let (file, mark) = (dir.path().join("a.service"), dir.path().join("mark"));
        let failing = shell("echo out; echo err >&2; exit 3");
        let never = shell(&format!("touch {}", mark.display()));
        let plan = plan(file.clone(), vec![shell("echo fine"), failing, never]);
        let mut told = Vec::new();
        let error =
            install(&plan, &Place::default(), &mut |step| told.push(format!("{step:?}"))).unwrap_err();
        assert_eq!(error.to_string(), "sh -c 'echo out; echo err >&2; exit 3' failed, see error above.");
        let message = "failed, see error above.\nout\nerr\n[ERROR] Exit code : 3";
        assert!(error.to_failure().message.ends_with(message), "{:?}", error.to_failure());
        assert_eq!(fs::read_to_string(&file).unwrap(), "text");
        assert!(!mark.exists());
        let expected = [
            "Writing",
            "Written",
            r#"Running("sh -c 'echo fine'")"#,
            r#"Succeeded("fine\n")"#,
            r#"Running("sh -c 'echo out; echo err >&2; exit 3'")"#,
            r#"Failed("out\nerr\n[ERROR] Exit code : 3\n")"#,
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_folder_of_the_init_system_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(dir.path().join("init.d/pm2"), vec![shell("exit 0")]);
        let error = install(&plan, &Place::default(), &mut |_| {}).unwrap_err();
        assert_eq!(error.to_failure().code, Some("ENOENT"));
        assert!(error.to_string().starts_with("Failure when trying to write startup script\ncannot create "));
    }

    #[test]
    fn undoing_goes_on_after_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.service");
        fs::write(&file, "").unwrap();
        let missing = vec!["/nonexistent/pm2-rs-test".to_owned(), "x".to_owned()];
        let steps = vec![
            RemovalStep::Command(missing),
            RemovalStep::Command(shell("exit 5")),
            RemovalStep::File(file.clone()),
            RemovalStep::File(file.clone()),
        ];
        let removal = Removal { platform: "systemd".to_owned(), steps };
        let failed = remove(&removal, &Place::default(), &mut |_| {});
        let said: Vec<_> = failed.iter().map(|failed| failed.command.as_str()).collect();
        assert_eq!(said, ["/nonexistent/pm2-rs-test x", "sh -c 'exit 5'"]);
        assert_eq!(failed[1].output, "[ERROR] Exit code : 5\n");
        assert!(failed[0].output.contains("No such file"), "{failed:?}");
        assert!(!file.exists());
    }
}

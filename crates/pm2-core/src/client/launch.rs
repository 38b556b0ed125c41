//! Launching a daemon: its own session, its log, a pipe on which it says that it is ready.
//!
//! Any number of processes may do this at once: the daemon that gets the home's lock stays, the others say
//! so and end. The spawned process is waited for by a thread of its own, so no zombie stays, and that
//! thread ends with this process.

use std::fs::{File, OpenOptions};
use std::io::{self, PipeWriter};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::timeout;

use super::error::LaunchError;
use crate::home::Home;

/// How long a daemon may take to be ready.
pub const READY_LIMIT: Duration = Duration::from_secs(10);
/// The descriptor on which the daemon says that it is ready; also told by `PM2_RS_READY_FD`.
pub const READY_FD: i32 = 3;
/// Longest line it may say.
const MAX_LINE_BYTES: u64 = 64 * 1024;
/// The thread that waits for the process needs next to no stack.
const REAPER_STACK_BYTES: usize = 64 * 1024;

/// What to launch, and how.
#[derive(Debug, Clone, Copy)]
pub struct LaunchRequest<'a> {
    /// The executable `pm2-rs`.
    pub executable: &'a Path,
    /// The home it serves; must exist, see [`Home::create`].
    pub home: &'a Home,
    /// The directory the daemon works in for its life; the home when it is none.
    pub cwd: &'a Path,
    /// Its environment; `PM2_HOME` is replaced. Names and values the system cannot take are left out.
    pub env: &'a [(String, String)],
    /// Whether the daemon and its apps end with this process.
    pub attached: bool,
}

/// A daemon that is ready.
#[derive(Debug)]
pub struct Launched {
    /// The pid of the daemon that serves the home now.
    pub pid: u32,
    /// The version of PM2 it says it is.
    pub pm2_version: String,
    /// Another daemon had the home already; the launched one has ended.
    pub already: bool,
    /// Attached mode: the daemon ends when this is dropped.
    pub lifeline: Option<Lifeline>,
}

/// Keeps an attached daemon alive; dropping it, or the end of this process, ends the daemon and its apps.
#[derive(Debug)]
pub struct Lifeline {
    _pipe: PipeWriter,
}

/// The line a daemon says.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ready {
    Online {
        pid: u32,
        pm2_version: String,
        #[serde(default)]
        already: bool,
    },
    Failed {
        error: String,
        #[serde(default)]
        code: Option<String>,
    },
}

/// Launches a daemon and waits until it is ready, at most [`READY_LIMIT`]. Must be called inside a tokio runtime.
///
/// A daemon that is not ready by then is ended.
///
/// # Errors
/// Whatever keeps it from being ready, see [`LaunchError`].
pub async fn launch(request: LaunchRequest<'_>) -> Result<Launched, LaunchError> {
    launch_within(request, READY_LIMIT).await
}

async fn launch_within(request: LaunchRequest<'_>, limit: Duration) -> Result<Launched, LaunchError> {
    check_owner(request.home)?;
    let pipe_failed = |source| LaunchError::Pipe { source };
    let (ready, ready_writer) = io::pipe().map_err(pipe_failed)?;
    let (stdin, lifeline) = if request.attached {
        let (reader, writer) = io::pipe().map_err(pipe_failed)?;
        (Stdio::from(reader), Some(Lifeline { _pipe: writer }))
    } else {
        (Stdio::null(), None)
    };
    let log = open_log(request.home)?;
    let mut process = Reaped(Some(spawn(&request, stdin, log, ready_writer)?));
    let ready = pipe::Receiver::from_owned_fd(OwnedFd::from(ready)).map_err(pipe_failed)?;
    match timeout(limit, read_line(ready)).await {
        Ok(line) => understand(&line.map_err(pipe_failed)?, &request, lifeline),
        Err(_) => {
            process.kill();
            Err(LaunchError::TooSlow { limit, log: request.home.log_file.clone() })
        }
    }
}

/// Reads the line, up to its end or the end of the pipe.
async fn read_line(ready: pipe::Receiver) -> io::Result<Vec<u8>> {
    let mut ready = ready.take(MAX_LINE_BYTES);
    let mut line = Vec::new();
    while !line.contains(&b'\n') && ready.read_buf(&mut line).await? > 0 {}
    Ok(line)
}

fn understand(
    line: &[u8],
    request: &LaunchRequest<'_>,
    lifeline: Option<Lifeline>,
) -> Result<Launched, LaunchError> {
    if line.is_empty() {
        let log = request.home.log_file.clone();
        return Err(LaunchError::Ended { log });
    }
    match serde_json::from_slice(line) {
        Ok(Ready::Online { pid, pm2_version, already }) => {
            Ok(Launched { pid, pm2_version, already, lifeline: lifeline.filter(|_| !already) })
        }
        Ok(Ready::Failed { error, code }) => Err(LaunchError::Refused {
            message: error,
            code: code.unwrap_or_else(|| "PM2_LAUNCH_FAILED".to_owned()),
        }),
        Err(_) => Err(LaunchError::NotUnderstood {
            executable: request.executable.to_owned(),
            line: String::from_utf8_lossy(line).chars().take(200).collect(),
        }),
    }
}

/// Refuses a home whose owner is neither this user nor root, unless this user is root.
fn check_owner(home: &Home) -> Result<(), LaunchError> {
    let user = nix::unistd::geteuid().as_raw();
    let owner = home.dir.metadata().map_or(user, |metadata| metadata.uid());
    if user == 0 || owner == user || owner == 0 {
        return Ok(());
    }
    let path = home.dir.clone();
    Err(LaunchError::ForeignHome { path, owner })
}

fn open_log(home: &Home) -> Result<File, LaunchError> {
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&home.log_file);
    opened.map_err(|source| LaunchError::Log { path: home.log_file.clone(), source })
}

fn spawn(
    request: &LaunchRequest<'_>,
    stdin: Stdio,
    log: File,
    ready: PipeWriter,
) -> Result<Child, LaunchError> {
    let log_copy =
        log.try_clone().map_err(|source| LaunchError::Log { path: request.home.log_file.clone(), source })?;
    let usable = |(name, value): &&(String, String)| {
        !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
    };
    let env = request.env.iter().filter(usable);
    // The directory may be gone since the caller chose it, and the system's error would name the executable.
    let cwd = if request.cwd.is_dir() { request.cwd } else { &request.home.dir };
    let mut command = Command::new(request.executable);
    command
        .arg("daemon")
        .args(request.attached.then_some("--attached"))
        .current_dir(cwd)
        .env_clear()
        .envs(env.map(|(name, value)| (name, value)))
        .env("PM2_HOME", &request.home.dir)
        .env("PM2_RS_READY_FD", READY_FD.to_string())
        .stdin(stdin)
        .stdout(log)
        .stderr(log_copy);
    let ready_fd = ready.as_raw_fd();
    // SAFETY: the closure runs between fork and exec and makes only async-signal-safe system calls;
    // `ready` is open until after the spawn.
    unsafe {
        command.pre_exec(move || prepare_child(ready_fd));
    }
    let spawned = command.spawn();
    drop(ready);
    spawned.map_err(|source| LaunchError::Spawn { executable: request.executable.to_owned(), source })
}

/// In the new process: a session of its own, and the pipe as descriptor [`READY_FD`], kept over `exec`.
fn prepare_child(ready: i32) -> io::Result<()> {
    let check = |result: i32| match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    };
    // SAFETY: plain system calls on numbers; no memory is touched.
    unsafe {
        check(libc::setsid())?;
        if ready == READY_FD {
            // `dup2` of a descriptor onto itself would keep its close-on-exec flag.
            check(libc::fcntl(READY_FD, libc::F_SETFD, 0))
        } else {
            check(libc::dup2(ready, READY_FD))
        }
    }
}

/// A child process that is waited for in the background once this is dropped.
struct Reaped(Option<Child>);

impl Reaped {
    fn kill(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended by itself just now.
            let _ = child.kill();
        }
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else {
            return;
        };
        let thread = std::thread::Builder::new().name("pm2-reaper".to_owned()).stack_size(REAPER_STACK_BYTES);
        // Without the thread the process would stay a zombie until this process ends, which is harmless.
        let _ = thread.spawn(move || child.wait());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tempfile::TempDir;

    use super::*;

    const ONLINE: &str = r#"echo '{"online":true,"success":true,"pid":77,"pm2_version":"7.0.4"}' >&3"#;

    /// A home, and a shell script that plays the daemon: `sh` is given its name, `daemon`, as argument.
    struct Stage {
        dir: TempDir,
        home: Home,
    }

    impl Stage {
        fn new(script: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("daemon"), script).unwrap();
            let home = Home::at(dir.path().join("home"), &|_| None).unwrap();
            home.create().unwrap();
            Self { dir, home }
        }

        async fn launch(&self, attached: bool) -> Result<Launched, LaunchError> {
            self.launch_with("/bin/sh", attached, READY_LIMIT).await
        }

        async fn launch_with(
            &self,
            executable: &str,
            attached: bool,
            limit: Duration,
        ) -> Result<Launched, LaunchError> {
            self.launch_in(self.dir.path(), executable, attached, limit).await
        }

        async fn launch_in(
            &self,
            cwd: &Path,
            executable: &str,
            attached: bool,
            limit: Duration,
        ) -> Result<Launched, LaunchError> {
            // The script that plays the daemon is found in the working directory.
            std::fs::copy(self.dir.path().join("daemon"), self.home.dir.join("daemon")).unwrap();
            let env =
                [("PATH", "/usr/bin:/bin"), ("PM2_HOME", "/wrong"), ("", "x"), ("a=b", "x"), ("nul", "\0")];
            let request = LaunchRequest {
                executable: Path::new(executable),
                home: &self.home,
                cwd,
                env: &env.map(|(name, value)| (name.to_owned(), value.to_owned())),
                attached,
            };
            launch_within(request, limit).await
        }

        /// The daemon's log, once it contains `text`.
        async fn log_with(&self, text: &str) -> String {
            let deadline = Instant::now() + Duration::from_secs(10);
            loop {
                let log = std::fs::read_to_string(&self.home.log_file).unwrap();
                if log.contains(text) {
                    return log;
                }
                assert!(Instant::now() < deadline, "no {text} in {log:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    async fn wait_until_gone(pid: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Path::new("/proc").join(pid).exists() {
            assert!(Instant::now() < deadline, "{pid} is still there");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn gives_the_daemon_what_it_needs() {
        let stage = Stage::new(&format!(
            "{ONLINE}\nread x; echo \"in:$?\"; echo \"$PWD $PM2_HOME $PM2_RS_READY_FD $#\" >&2\n\
             echo \"$(cut -d' ' -f6 /proc/$$/stat) $$\"; echo end",
        ));
        let launched = stage.launch(false).await.unwrap();
        assert_eq!((launched.pid, launched.already), (77, false));
        assert_eq!(launched.pm2_version, "7.0.4");
        assert!(launched.lifeline.is_none());
        let log = stage.log_with("end").await;
        let lines: Vec<_> = log.lines().collect();
        let cwd = stage.dir.path().canonicalize().unwrap();
        assert_eq!(lines[0], "in:1");
        let home = stage.home.dir.display();
        assert_eq!(lines[1], format!("{} {home} 3 0", cwd.display()));
        let (session, pid) = lines[2].split_once(' ').unwrap();
        assert_eq!(session, pid, "leads a session of its own");
        wait_until_gone(pid).await;
    }

    #[tokio::test]
    async fn passes_on_what_the_daemon_says() {
        let check = async |script: &str, expected: &str, code: &str| {
            let stage = Stage::new(script);
            let error = stage.launch(false).await.unwrap_err();
            let message = error.to_string();
            assert!(message.contains(expected), "{script}: {message}");
            assert_eq!(error.code(), code, "{script}");
        };
        check(r#"echo '{"error":"no space","code":"ENOSPC"}' >&3"#, "no space", "ENOSPC").await;
        check(r#"echo '{"error":"no"}' >&3"#, "no", "PM2_LAUNCH_FAILED").await;
        check("exit 0", "ended before it was ready", "PM2_LAUNCH_FAILED").await;
        check("kill -9 $$", "pm2.log", "PM2_LAUNCH_FAILED").await;
        check("echo hello >&3", "hello", "PM2_LAUNCH_FAILED").await;
        check("head -c 200000 /dev/zero >&3", "version", "PM2_LAUNCH_FAILED").await;
    }

    #[tokio::test]
    async fn recognises_that_another_was_first() {
        let line = ONLINE.replace('}', r#","already":true}"#);
        let launched = Stage::new(&line).launch(true).await.unwrap();
        assert!(launched.already && launched.lifeline.is_none());
    }

    #[tokio::test]
    async fn ends_a_daemon_that_is_too_slow() {
        let stage = Stage::new("echo $$; exec sleep 60");
        let started = Instant::now();
        let limit = Duration::from_millis(300);
        let error = stage.launch_with("/bin/sh", false, limit).await.unwrap_err();
        assert_eq!(error.code(), "PM2_LAUNCH_TIMEOUT");
        assert!(started.elapsed() < Duration::from_secs(10));
        let log = stage.log_with("\n").await;
        wait_until_gone(log.trim()).await;
    }

    #[tokio::test]
    async fn an_attached_daemon_sees_the_end_of_its_client() {
        let stage = Stage::new(&format!("{ONLINE}\necho $1 $$; read x; echo eof"));
        let launched = stage.launch(true).await.unwrap();
        let log = stage.log_with("--attached").await;
        assert!(!log.contains("eof"));
        drop(launched);
        stage.log_with("eof").await;
        let pid = log.trim().rsplit(' ').next().unwrap();
        wait_until_gone(pid).await;
    }

    #[tokio::test]
    async fn works_in_the_home_when_there_is_no_directory() {
        let stage = Stage::new(&format!("{ONLINE}\necho in $PWD"));
        let gone = stage.dir.path().join("gone");
        stage.launch_in(&gone, "/bin/sh", false, READY_LIMIT).await.unwrap();
        let home = stage.home.dir.canonicalize().unwrap();
        stage.log_with(&format!("in {}\n", home.display())).await;
    }

    #[tokio::test]
    async fn says_why_it_cannot_launch() {
        let stage = Stage::new("");
        let limit = READY_LIMIT;
        let error = stage.launch_with("/nowhere/pm2-rs", false, limit).await.unwrap_err();
        assert_eq!(error.code(), "ENOENT");
        assert!(error.to_string().contains("/nowhere/pm2-rs"), "{error}");

        std::fs::remove_file(&stage.home.log_file).unwrap();
        std::fs::create_dir(&stage.home.log_file).unwrap();
        let error = stage.launch(false).await.unwrap_err();
        assert_eq!(error.code(), "EISDIR");
        assert!(error.to_string().contains("pm2.log"), "{error}");
    }
}

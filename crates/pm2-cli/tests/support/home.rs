//! A home of a test's own, with the daemon in it. Dropping it ends everything that runs there.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Mutex, mpsc};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::client::Client;
use super::proc::{is_alive, processes_of, send, stat};
use super::{DEADLINE, eventually, until};

/// The executable under test.
pub(crate) const EXECUTABLE: &str = env!("CARGO_BIN_EXE_pm2-rs");

/// A temporary PM2_HOME; the directory `home` in it is not made here.
pub(crate) struct TestHome {
    pub(crate) dir: PathBuf,
    pub(crate) env: Vec<(String, String)>,
    children: Mutex<Vec<Child>>,
    /// Declared last: removed when nothing runs in it any more.
    pub(crate) root: TempDir,
}

/// A daemon started by [`TestHome::launch`].
pub(crate) struct Started {
    pub(crate) pid: i32,
    /// What it said on its ready descriptor; `None` when it closed that without a word.
    pub(crate) line: Option<Value>,
    /// Its standard input in attached mode.
    pub(crate) stdin: Option<ChildStdin>,
}

impl TestHome {
    pub(crate) fn new() -> TestHome {
        TestHome::named("home")
    }

    /// With a name of its own for the directory.
    pub(crate) fn named(name: &str) -> TestHome {
        let root = tempfile::Builder::new().prefix("pm2t").tempdir_in("/tmp").unwrap();
        let dir = root.path().join(name);
        TestHome { dir, env: Vec::new(), children: Mutex::default(), root }
    }

    /// Sets a variable for everything that is started here.
    pub(crate) fn with(mut self, key: &str, value: impl AsRef<Path>) -> TestHome {
        self.env.push((key.to_owned(), value.as_ref().to_str().unwrap().to_owned()));
        self
    }

    /// A path beside the home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A path in the home.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A command with this home and nothing else in its environment.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin")))
            .env("HOME", self.root.path())
            .env("PM2_HOME", &self.dir)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .current_dir(self.root.path());
        command
    }

    /// Runs the executable to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(EXECUTABLE).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Starts `pm2-rs <arguments>` as a client does, its log beside the home, and waits for its line.
    pub(crate) fn launch(&self, arguments: &[&str]) -> Started {
        let attached = arguments.contains(&"--attached");
        let mut child = self
            .command("/bin/sh")
            .args(["-c", r#"log=$1; shift; exec "$0" "$@" 3>&1 >>"$log" 2>&1"#, EXECUTABLE])
            .arg(self.path("daemon.log"))
            .args(arguments)
            .env("PM2_RS_READY_FD", "3")
            .stdin(if attached { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let stdin = child.stdin.take();
        let ready = child.stdout.take().unwrap();
        self.children.lock().unwrap().push(child);
        let (say, said) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            drop(BufReader::new(ready).read_line(&mut line));
            drop(say.send(line));
        });
        let line = said.recv_timeout(DEADLINE).expect("the daemon says whether it is ready");
        Started { pid, line: serde_json::from_str(&line).ok(), stdin }
    }

    /// Starts the daemon and returns its pid.
    pub(crate) fn start(&self) -> i32 {
        let started = self.launch(&["daemon"]);
        let line = started.line.unwrap_or_else(|| panic!("no ready line; {}", self.log()));
        assert_eq!(line["online"], true, "{line}");
        started.pid
    }

    /// Waits for the end of a process that [`TestHome::launch`] started.
    pub(crate) fn exit_code(&self, pid: i32) -> Option<i32> {
        let mut children = self.children.lock().unwrap();
        let child = children.iter_mut().find(|child| i32::try_from(child.id()).unwrap() == pid).unwrap();
        eventually("the daemon ends", || child.try_wait().unwrap()).code()
    }

    pub(crate) fn client(&self) -> Client {
        Client::unix(&self.file("rpc.sock"))
    }

    /// What the daemon wrote to its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("daemon.log")).unwrap_or_default()
    }

    /// Waits until nothing runs in this home.
    #[track_caller]
    pub(crate) fn wait_until_empty(&self) {
        until("every process of the home has ended", || processes_of(&self.dir).is_empty());
    }

    fn pid_from_file(&self) -> Option<i32> {
        let overridden = self.env.iter().find(|(key, _)| key == "PM2_PID_FILE_PATH");
        let path = overridden.map_or_else(|| self.file("pm2.pid"), |(_, path)| PathBuf::from(path));
        let pid: i32 = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
        // The number may have been used again since.
        processes_of(&self.dir).contains(&pid).then_some(pid)
    }
}

impl Drop for TestHome {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- log of the daemon\n{}----", self.log());
        }
        let mut children = std::mem::take(self.children.get_mut().unwrap_or_else(|error| error.into_inner()));
        if let Some(pid) = self.pid_from_file() {
            let _ = send(pid, Signal::SIGTERM);
            let patience = std::time::Instant::now() + std::time::Duration::from_secs(5);
            while is_alive(pid) && std::time::Instant::now() < patience {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
        // What the daemon left behind, and the daemon itself if it did not obey.
        for _ in 0..1000 {
            let left = processes_of(&self.dir);
            let children_left = children.iter_mut().any(|child| matches!(child.try_wait(), Ok(None)));
            if left.is_empty() && !children_left {
                return;
            }
            for pid in left.into_iter().filter(|pid| stat(*pid).is_some()) {
                let _ = send(pid, Signal::SIGKILL);
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

//! Where everything lives: the home directory, its files, and the two sockets.
//!
//! Resolution reads the environment only through the function given to it and the working directory only for
//! a relative home, and touches the file system only in [`Home::create`].

use std::ffi::OsStr;
use std::io::{self, Write};
use std::mem::{offset_of, size_of};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Longest path of a Unix socket in bytes: 107 on Linux, 103 on macOS.
pub const MAX_SOCKET_PATH_BYTES: usize =
    size_of::<libc::sockaddr_un>() - offset_of!(libc::sockaddr_un, sun_path) - 1;

/// The home used when neither the environment nor the user has one.
const HOMELESS_DIR: &str = "/etc/.pm2";

/// Why the home cannot be used.
#[derive(Debug, Error)]
pub enum HomeError {
    /// A file or directory of the home could not be made.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: `create the directory`.
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A socket override contains `://` but is neither `tcp://host:port` nor `unix:///path`.
    #[error("{variable}={value} is not a socket address (tcp://127.0.0.1:port or unix:///path)")]
    SocketUrl {
        /// The environment variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// The path of a socket does not fit into a socket address.
    #[error(
        "the socket path {} has {length} bytes, the system allows {MAX_SOCKET_PATH_BYTES}; choose a shorter PM2_HOME",
        path.display()
    )]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// A TCP socket would be reachable from other machines.
    #[error("the socket address {address} is not a loopback address")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
}

impl HomeError {
    /// The code shown to callers: the system's error name for access problems, else `PM2_HOME_INVALID`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => "EACCES",
                io::ErrorKind::NotFound => "ENOENT",
                io::ErrorKind::AlreadyExists => "EEXIST",
                io::ErrorKind::NotADirectory => "ENOTDIR",
                io::ErrorKind::ReadOnlyFilesystem => "EROFS",
                io::ErrorKind::StorageFull => "ENOSPC",
                _ => "PM2_HOME_UNUSABLE",
            },
            Self::SocketUrl { .. } | Self::SocketPathTooLong { .. } | Self::NotLoopback { .. } => {
                "PM2_HOME_INVALID"
            }
        }
    }
}

/// The address of one of the daemon's sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket at this path.
    Unix(PathBuf),
    /// A TCP socket, loopback only (see [`Home::check_sockets`]).
    Tcp(SocketAddr),
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(formatter),
            Self::Tcp(address) => write!(formatter, "tcp://{address}"),
        }
    }
}

/// A resolved home: every path that daemon and clients must agree on.
///
/// Behaviour of PM2 7.0.4, specification `wire.md` §1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The directory itself, absolute: it stays the same home when this process changes its working directory.
    pub dir: PathBuf,
    /// Request socket: `rpc.sock`, or `PM2_DAEMON_RPC_PORT`.
    pub rpc: Endpoint,
    /// Event socket: `pub.sock`, or `PM2_DAEMON_PUB_PORT`.
    pub bus: Endpoint,
    /// The daemon's own log: `pm2.log`, or `PM2_LOG_FILE_PATH`.
    pub log_file: PathBuf,
    /// The daemon's pid, decimal: `pm2.pid`, or `PM2_PID_FILE_PATH`.
    pub pid_file: PathBuf,
    /// Locked by the daemon for its whole life: `pm2.lock`. Not a file of PM2, no override.
    pub lock_file: PathBuf,
    /// Held by a client that reloads: `reload.lock`, or `PM2_RELOAD_LOCKFILE`.
    pub reload_lock_file: PathBuf,
    /// Pid files of the apps: `pids`, or `PM2_DEFAULT_PID_PATH`.
    pub pids_dir: PathBuf,
    /// Logs of the apps: `logs`, or `PM2_DEFAULT_LOG_PATH`.
    pub logs_dir: PathBuf,
    /// Installed modules: `modules`, or `PM2_DEFAULT_MODULE_PATH`.
    pub modules_dir: PathBuf,
    /// The saved process list: `dump.pm2`, or `PM2_DUMP_FILE_PATH`.
    pub dump_file: PathBuf,
    /// The list saved before that: `dump.pm2.bak`, or `PM2_DUMP_BACKUP_FILE_PATH`.
    pub dump_backup_file: PathBuf,
    /// Settings of modules and of PM2 itself: `module_conf.json`, or `PM2_MODULE_CONF_FILE`.
    pub module_conf_file: PathBuf,
}

impl Home {
    /// Resolves the home from the environment: `OVER_HOME`, `PM2_HOME`, `$HOME/.pm2`, `/etc/.pm2`.
    ///
    /// `~` is not expanded; empty values count as absent. A relative directory is made absolute, as in [`Home::at`].
    ///
    /// # Errors
    /// [`HomeError::SocketUrl`] when a socket override cannot be understood.
    pub fn from_env(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, HomeError> {
        let variable = |name: &str| get(name).filter(|value| !value.is_empty());
        let dir = variable("OVER_HOME")
            .or_else(|| variable("PM2_HOME"))
            .map(PathBuf::from)
            .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".pm2")))
            .unwrap_or_else(|| PathBuf::from(HOMELESS_DIR));
        Self::at(dir, get)
    }

    /// The home at `dir`, whatever `PM2_HOME` says; the path overrides of the environment still apply.
    ///
    /// A relative `dir` is seen from the working directory of now.
    ///
    /// # Errors
    /// [`HomeError::SocketUrl`] when a socket override cannot be understood.
    pub fn at(dir: impl Into<PathBuf>, get: &dyn Fn(&str) -> Option<String>) -> Result<Self, HomeError> {
        let dir = dir.into();
        // Fails only for an empty path or when there is no working directory.
        let dir = std::path::absolute(&dir).unwrap_or(dir);
        let path = |variable: &str, default: &str| {
            get(variable).filter(|value| !value.is_empty()).map_or_else(|| dir.join(default), PathBuf::from)
        };
        let socket = |variable: &'static str, default: &str| match get(variable) {
            Some(value) if !value.is_empty() => parse_socket(variable, &value),
            _ => Ok(Endpoint::Unix(dir.join(default))),
        };
        Ok(Self {
            rpc: socket("PM2_DAEMON_RPC_PORT", "rpc.sock")?,
            bus: socket("PM2_DAEMON_PUB_PORT", "pub.sock")?,
            log_file: path("PM2_LOG_FILE_PATH", "pm2.log"),
            pid_file: path("PM2_PID_FILE_PATH", "pm2.pid"),
            lock_file: dir.join("pm2.lock"),
            reload_lock_file: path("PM2_RELOAD_LOCKFILE", "reload.lock"),
            pids_dir: path("PM2_DEFAULT_PID_PATH", "pids"),
            logs_dir: path("PM2_DEFAULT_LOG_PATH", "logs"),
            modules_dir: path("PM2_DEFAULT_MODULE_PATH", "modules"),
            dump_file: path("PM2_DUMP_FILE_PATH", "dump.pm2"),
            dump_backup_file: path("PM2_DUMP_BACKUP_FILE_PATH", "dump.pm2.bak"),
            module_conf_file: path("PM2_MODULE_CONF_FILE", "module_conf.json"),
            dir,
        })
    }

    /// Makes what is missing: the directory (0700), `logs`, `pids`, `modules`, and the settings file `{}` (0600).
    ///
    /// What exists keeps its mode. May be called by any number of processes at once.
    ///
    /// # Errors
    /// [`HomeError::Io`] for the first thing that could not be made.
    pub fn create(&self) -> Result<(), HomeError> {
        create_home_dir(&self.dir)?;
        for dir in [&self.logs_dir, &self.pids_dir, &self.modules_dir] {
            std::fs::create_dir_all(dir).map_err(|source| HomeError::Io {
                action: "create the directory",
                path: dir.clone(),
                source,
            })?;
        }
        create_settings_file(&self.module_conf_file)
    }

    /// Refuses socket addresses that cannot be bound or that other machines could reach.
    ///
    /// # Errors
    /// [`HomeError::SocketPathTooLong`] beyond [`MAX_SOCKET_PATH_BYTES`], [`HomeError::NotLoopback`] for TCP.
    pub fn check_sockets(&self) -> Result<(), HomeError> {
        for endpoint in [&self.rpc, &self.bus] {
            match endpoint {
                Endpoint::Unix(path) => {
                    let length = path.as_os_str().len();
                    if length > MAX_SOCKET_PATH_BYTES {
                        let path = path.clone();
                        return Err(HomeError::SocketPathTooLong { path, length });
                    }
                }
                Endpoint::Tcp(address) if !address.ip().is_loopback() => {
                    return Err(HomeError::NotLoopback { address: *address });
                }
                Endpoint::Tcp(_) => {}
            }
        }
        Ok(())
    }
}

/// Creates the home with mode 0700; its parents get the usual mode.
fn create_home_dir(dir: &Path) -> Result<(), HomeError> {
    let failed = |source| HomeError::Io { action: "create the directory", path: dir.to_owned(), source };
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent()
        && parent.as_os_str() != OsStr::new("")
    {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        // Somebody else made it between the test and here.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        result => result.map_err(failed),
    }
}

/// Creates the settings file as `{}` unless it is there.
fn create_settings_file(path: &Path) -> Result<(), HomeError> {
    let created = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(b"{}"));
    match created {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result.map_err(|source| HomeError::Io {
            action: "create the file",
            path: path.to_owned(),
            source,
        }),
    }
}

/// Reads a socket override: a path, or a URL when it contains `://`.
fn parse_socket(variable: &'static str, value: &str) -> Result<Endpoint, HomeError> {
    let wrong = || HomeError::SocketUrl { variable, value: value.to_owned() };
    let Some((scheme, rest)) = value.split_once("://") else {
        return Ok(Endpoint::Unix(PathBuf::from(value)));
    };
    match scheme {
        "unix" => {
            let path_start = rest.find('/').ok_or_else(wrong)?;
            let path = &rest.as_bytes()[path_start..];
            Ok(Endpoint::Unix(PathBuf::from(OsStr::from_bytes(path))))
        }
        "tcp" => {
            let authority = rest.split('/').next().unwrap_or_default();
            let (host, port) = authority.rsplit_once(':').ok_or_else(wrong)?;
            let port: u16 = port.parse().map_err(|_| wrong())?;
            let ip = match host {
                "" | "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
                host => host.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| wrong())?,
            };
            Ok(Endpoint::Tcp(SocketAddr::new(ip, port)))
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn finds_the_directory() {
        let check = |pairs: &[(&str, &str)], expected: &str| {
            let home = Home::from_env(&env(pairs)).unwrap();
            assert_eq!(home.dir, Path::new(expected), "{pairs:?}");
        };
        check(&[("HOME", "/home/a")], "/home/a/.pm2");
        check(&[("PM2_HOME", "/p"), ("HOME", "/home/a")], "/p");
        check(&[("OVER_HOME", "/o"), ("PM2_HOME", "/p")], "/o");
        check(&[("PM2_HOME", ""), ("HOME", "/home/a")], "/home/a/.pm2");
        check(&[("HOME", "")], "/etc/.pm2");
        check(&[], "/etc/.pm2");
    }

    #[test]
    fn is_absolute() {
        let here = std::env::current_dir().unwrap();
        for relative in ["relative/x", "./relative/x", "~/x"] {
            let home = Home::from_env(&env(&[("PM2_HOME", relative)])).unwrap();
            assert_eq!(home.dir, here.join(relative.trim_start_matches("./")));
            assert_eq!(home.rpc, Endpoint::Unix(home.dir.join("rpc.sock")));
            assert_eq!(Home::at(relative, &env(&[])).unwrap(), home);
        }
    }

    #[test]
    fn explicit_directory_beats_the_environment() {
        let home = Home::at("/h", &env(&[("PM2_HOME", "/p"), ("OVER_HOME", "/o")])).unwrap();
        assert_eq!(home.rpc, Endpoint::Unix("/h/rpc.sock".into()));
        assert_eq!(home.bus, Endpoint::Unix("/h/pub.sock".into()));
        assert_eq!(home.lock_file, Path::new("/h/pm2.lock"));
        assert_eq!(home.dump_backup_file, Path::new("/h/dump.pm2.bak"));
    }

    #[test]
    fn overrides_single_paths() {
        type Field = fn(&Home) -> &PathBuf;
        let check = |variable: &str, default: &str, field: Field| {
            let plain = Home::at("/h", &env(&[])).unwrap();
            assert_eq!(field(&plain), &Path::new("/h").join(default), "{variable}");
            let changed = Home::at("/h", &env(&[(variable, "/elsewhere/x")])).unwrap();
            assert_eq!(field(&changed), Path::new("/elsewhere/x"), "{variable}");
        };
        check("PM2_LOG_FILE_PATH", "pm2.log", |h| &h.log_file);
        check("PM2_PID_FILE_PATH", "pm2.pid", |h| &h.pid_file);
        check("PM2_RELOAD_LOCKFILE", "reload.lock", |h| &h.reload_lock_file);
        check("PM2_DEFAULT_PID_PATH", "pids", |h| &h.pids_dir);
        check("PM2_DEFAULT_LOG_PATH", "logs", |h| &h.logs_dir);
        check("PM2_DEFAULT_MODULE_PATH", "modules", |h| &h.modules_dir);
        check("PM2_DUMP_FILE_PATH", "dump.pm2", |h| &h.dump_file);
        check("PM2_DUMP_BACKUP_FILE_PATH", "dump.pm2.bak", |h| &h.dump_backup_file);
        check("PM2_MODULE_CONF_FILE", "module_conf.json", |h| &h.module_conf_file);
    }

    #[test]
    fn understands_socket_overrides() {
        let check = |value: &str, expected: Option<Endpoint>| {
            let home = Home::at("/h", &env(&[("PM2_DAEMON_RPC_PORT", value)]));
            assert_eq!(home.ok().map(|home| home.rpc), expected, "{value}");
        };
        let tcp = |address: &str| Some(Endpoint::Tcp(address.parse().unwrap()));
        check("/run/x.sock", Some(Endpoint::Unix("/run/x.sock".into())));
        check("unix:///run/x.sock", Some(Endpoint::Unix("/run/x.sock".into())));
        check("tcp://127.0.0.1:4000", tcp("127.0.0.1:4000"));
        check("tcp://localhost:4000/", tcp("127.0.0.1:4000"));
        check("tcp://:4000", tcp("127.0.0.1:4000"));
        check("tcp://[::1]:4000", tcp("[::1]:4000"));
        check("tcp://127.0.0.1", None);
        check("tcp://example.com:1", None);
        check("tcp://127.0.0.1:99999", None);
        check("http://127.0.0.1:1", None);
        check("unix://nothing", None);
    }

    #[test]
    fn refuses_unusable_sockets() {
        let check = |dir: &str, rpc: &str, ok: bool| {
            let home = Home::at(dir, &env(&[("PM2_DAEMON_RPC_PORT", rpc)])).unwrap();
            assert_eq!(home.check_sockets().is_ok(), ok, "{dir} {rpc}");
        };
        let fill = MAX_SOCKET_PATH_BYTES - "/rpc.sock".len();
        check(&format!("/{}", "x".repeat(fill - 1)), "", true);
        check(&format!("/{}", "x".repeat(fill)), "", false);
        check("/h", "tcp://127.0.0.2:1", true);
        check("/h", "tcp://0.0.0.0:1", false);
        check("/h", "tcp://192.168.0.1:1", false);
    }

    #[test]
    fn creates_what_is_missing_and_keeps_the_rest() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::at(temp.path().join("a/b"), &env(&[])).unwrap();
        home.create().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&home.dir), 0o700);
        assert_eq!(mode(&home.module_conf_file), 0o600);
        assert!(home.logs_dir.is_dir() && home.pids_dir.is_dir() && home.modules_dir.is_dir());
        assert_eq!(std::fs::read_to_string(&home.module_conf_file).unwrap(), "{}");

        std::fs::set_permissions(&home.dir, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(&home.module_conf_file, r#"{"a":1}"#).unwrap();
        home.create().unwrap();
        assert_eq!(mode(&home.dir), 0o755);
        assert_eq!(std::fs::read_to_string(&home.module_conf_file).unwrap(), r#"{"a":1}"#);
    }

    #[test]
    fn says_what_could_not_be_made() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = Home::at(file.join("x/home"), &env(&[])).unwrap().create().unwrap_err();
        assert_eq!(error.code(), "ENOTDIR");
        assert!(error.to_string().contains("cannot create the directory"), "{error}");
    }
}

//! The init systems, their names, and how they are found.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What starts services on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitSystem {
    /// systemd.
    Systemd,
    /// Scripts in `/etc/init.d`, made known by `update-rc.d`.
    Upstart,
    /// Scripts in `/etc/init.d`, made known by `chkconfig`.
    Systemv,
    /// OpenRC.
    Openrc,
    /// launchd.
    Launchd,
    /// rc.d of FreeBSD.
    Rcd,
    /// rc.d of OpenBSD.
    RcdOpenbsd,
    /// SMF of Solaris and its heirs.
    Smf,
}

/// The commands that give an init system away, the first one in PATH counts.
const SIGNS: [(&str, InitSystem); 8] = [
    ("systemctl", InitSystem::Systemd),
    ("update-rc.d", InitSystem::Upstart),
    ("chkconfig", InitSystem::Systemv),
    ("rc-update", InitSystem::Openrc),
    ("launchctl", InitSystem::Launchd),
    ("sysrc", InitSystem::Rcd),
    ("rcctl", InitSystem::RcdOpenbsd),
    ("svcadm", InitSystem::Smf),
];

/// The init system of a machine with this PATH.
#[must_use]
pub fn detect(path: &str) -> Option<InitSystem> {
    let is_command = |file: &Path| {
        file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let folders: Vec<_> = path.split(':').filter(|folder| !folder.is_empty()).map(Path::new).collect();
    let is_there = |name: &str| folders.iter().any(|folder| is_command(&folder.join(name)));
    SIGNS.into_iter().find(|(name, _)| is_there(name)).map(|(_, init)| init)
}

impl InitSystem {
    /// What a platform's name means; `None` for an unknown one.
    ///
    /// `redhat` and `gentoo`, which the API document has and PM2 7 does not know, are distributions with two init
    /// systems: there the one that was detected decides.
    #[must_use]
    pub fn named(name: &str, detected: Option<InitSystem>) -> Option<InitSystem> {
        Some(match name {
            "systemd" | "ubuntu" | "centos" | "arch" | "oracle" => Self::Systemd,
            "upstart" | "ubuntu12" | "ubuntu14" => Self::Upstart,
            "systemv" | "amazon" | "centos6" => Self::Systemv,
            "redhat" if detected == Some(Self::Systemd) => Self::Systemd,
            "redhat" => Self::Systemv,
            "gentoo" if detected == Some(Self::Systemd) => Self::Systemd,
            "openrc" | "gentoo" => Self::Openrc,
            "launchd" | "darwin" | "macos" => Self::Launchd,
            "rcd" | "freebsd" => Self::Rcd,
            "rcd-openbsd" | "openbsd" => Self::RcdOpenbsd,
            "smf" | "sunos" | "solaris" => Self::Smf,
            _ => return None,
        })
    }

    /// Its own name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Upstart => "upstart",
            Self::Systemv => "systemv",
            Self::Openrc => "openrc",
            Self::Launchd => "launchd",
            Self::Rcd => "rcd",
            Self::RcdOpenbsd => "rcd-openbsd",
            Self::Smf => "smf",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn names_and_synonyms() {
        let systemd = Some(InitSystem::Systemd);
        let check = |names: &str, detected, expected: &str| {
            for name in names.split(' ') {
                let found = InitSystem::named(name, detected).map(InitSystem::name);
                assert_eq!(found, Some(expected), "{name}");
            }
        };
        check("systemd ubuntu centos arch oracle", None, "systemd");
        check("upstart ubuntu12 ubuntu14", systemd, "upstart");
        check("systemv amazon centos6", systemd, "systemv");
        check("redhat gentoo", systemd, "systemd");
        check("redhat", None, "systemv");
        check("openrc gentoo", None, "openrc");
        check("launchd darwin macos", None, "launchd");
        check("rcd freebsd", None, "rcd");
        check("rcd-openbsd openbsd", None, "rcd-openbsd");
        check("smf sunos solaris", None, "smf");
        for name in ["nope", "", "Ubuntu", "systemd "] {
            assert_eq!(InitSystem::named(name, systemd), None, "{name:?}");
        }
    }

    #[test]
    fn the_first_command_in_path_tells() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("one"), dir.path().join("two"));
        let put = |folder: &Path, name: &str, mode: u32| {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(name), "").unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        let path = format!("{}::{}", first.display(), second.display());
        assert_eq!(detect(""), None);
        assert_eq!(detect(&path), None);
        put(&first, "systemctl", 0o644);
        assert_eq!(detect(&path), None, "not executable");
        let signs = [
            ("svcadm", "smf"),
            ("rcctl", "rcd-openbsd"),
            ("sysrc", "rcd"),
            ("launchctl", "launchd"),
            ("rc-update", "openrc"),
            ("chkconfig", "systemv"),
            ("update-rc.d", "upstart"),
            ("systemctl", "systemd"),
        ];
        for (command, expected) in signs {
            put(&second, command, 0o755);
            assert_eq!(detect(&path).map(InitSystem::name), Some(expected));
        }
    }
}

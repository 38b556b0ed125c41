//! Rotation of the daemon's own log, which is its standard output. By size only, as pm2-logrotate does it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Weak;

use chrono::Local;
use parking_lot::Mutex;
use pm2_core::logs::rotated;

use super::registry::Shared;
use super::rotation::Plan;
use super::settings::{OwnSettings, PlanCache};

/// The daemon's own log, and where it should be.
pub(crate) struct OwnLog {
    path: PathBuf,
    shared: Weak<Shared>,
    plan: Mutex<PlanCache>,
}

impl OwnLog {
    pub(super) fn new(path: PathBuf, shared: Weak<Shared>) -> OwnLog {
        OwnLog { path, shared, plan: Mutex::default() }
    }

    /// Puts a new file in its place when it is as large as logs may be. Nothing may be written to it meanwhile. What
    /// fails is tried again with the next line; there is nobody to tell.
    pub(crate) fn keep_small(&self) {
        // Not while a line is written about this very thing.
        let (Some(shared), Some(mut cache)) = (self.shared.upgrade(), self.plan.try_lock()) else { return };
        if let Some(plan) = shared.settings.plan(&OwnSettings::default(), &mut cache)
            && matches!(self.rotate(&plan), Ok(true))
        {
            shared.archive.tend(&self.path, &self.path, &plan);
        }
    }

    fn rotate(&self, plan: &Plan) -> io::Result<bool> {
        let stdout = io::stdout();
        let old = File::from(stdout.as_fd().try_clone_to_owned()?).metadata()?;
        let is_old = |data: &fs::Metadata| (data.dev(), data.ino()) == (old.dev(), old.ino());
        // It may be a journal or a terminal.
        if !old.is_file() || old.len() < plan.max_size || !is_old(&fs::symlink_metadata(&self.path)?) {
            return Ok(false);
        }
        let target = rotated::free_path(&self.path, &plan.date(&Local::now()));
        fs::rename(&self.path, &target)?;
        let new = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path);
        let new = new.inspect_err(|_| drop(fs::rename(&target, &self.path)))?;
        new.set_permissions(fs::Permissions::from_mode(old.mode() & 0o777))?;
        nix::unistd::dup2_stdout(&new)?;
        let error = File::from(io::stderr().as_fd().try_clone_to_owned()?).metadata()?;
        if is_old(&error) {
            nix::unistd::dup2_stderr(&new)?;
        }
        Ok(true)
    }
}

//! The file that is preloaded into Node apps, written where the apps can read it.
//!
//! Its text is part of the executable: a daemon goes on starting apps although the package it came
//! from has been upgraded or removed.

use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

/// JavaScript of the app runtime.
const TEXT: &str = include_str!("../../../lib/runtime.cjs");

/// Hands out the path of the file and puts it back when it has vanished.
pub(crate) struct RuntimeFile {
    home: PathBuf,
    /// A folder outside the home, for apps of users who may not look into it. The lock also keeps two
    /// starts from writing the file at once.
    public: Mutex<Option<PathBuf>>,
}

impl RuntimeFile {
    pub(crate) fn new(home: &Path) -> RuntimeFile {
        RuntimeFile { home: home.to_owned(), public: Mutex::new(None) }
    }

    /// The folder outside the home, if there is one; whoever is told goes on with it.
    pub(crate) fn public_folder(&self) -> Option<String> {
        self.public.lock().as_ref().and_then(|folder| folder.to_str()).map(str::to_owned)
    }

    /// Goes on with a folder that was made earlier.
    pub(crate) fn set_public_folder(&self, folder: Option<String>) {
        *self.public.lock() = folder.map(PathBuf::from);
    }

    /// The path to preload for an app of the daemon's user (`None`) or of another one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn path_for(&self, uid: Option<u32>) -> io::Result<PathBuf> {
        let mut public = self.public.lock();
        let (folder, mode) = match uid {
            None => (self.home.clone(), 0o600),
            Some(_) => (public_folder(&mut public)?, 0o644),
        };
        let path = folder.join(format!("runtime-{}.cjs", pm2_core::VERSION));
        if !std::fs::read(&path).is_ok_and(|text| text == TEXT.as_bytes()) {
            write(&path, mode)?;
        }
        Ok(path)
    }
}

fn public_folder(public: &mut Option<PathBuf>) -> io::Result<PathBuf> {
    if let Some(folder) = public.as_ref().filter(|folder| folder.is_dir()) {
        return Ok(folder.clone());
    }
    let template = std::env::temp_dir().join("pm2-rs-runtime-XXXXXX");
    let folder = nix::unistd::mkdtemp(&template)?;
    set_mode(&folder, 0o755)?;
    *public = Some(folder.clone());
    Ok(folder)
}

impl Drop for RuntimeFile {
    fn drop(&mut self) {
        if let Some(folder) = self.public.lock().take() {
            // Left over, it is a few kilobytes in the temporary folder.
            drop(std::fs::remove_dir_all(folder));
        }
    }
}

/// Writes the whole file before it gets its name, so that an app never loads half of it.
fn write(path: &Path, mode: u32) -> io::Result<()> {
    let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::write(&unfinished, TEXT)?;
    set_mode(&unfinished, mode)?;
    std::fs::rename(&unfinished, path)
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vanished_or_truncated_file_is_written_again() {
        let home = tempfile::tempdir().unwrap();
        let file = RuntimeFile::new(home.path());
        let path = file.path_for(None).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), TEXT);
        std::fs::write(&path, "").unwrap();
        assert_eq!(std::fs::read_to_string(file.path_for(None).unwrap()).unwrap(), TEXT);
    }

    #[test]
    fn other_users_get_a_file_they_can_read() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let file = RuntimeFile::new(home.path());
        let path = file.path_for(Some(12345)).unwrap();
        assert!(!path.starts_with(home.path()));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o755);
        let folder = path.parent().unwrap().to_owned();
        drop(file);
        assert!(!folder.exists());
    }
}

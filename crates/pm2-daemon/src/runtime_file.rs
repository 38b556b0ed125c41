//! The file that is preloaded into Node apps, written where the apps can read it.
//!
//! Its text is part of the executable: a daemon goes on starting apps although the package it came
//! from has been upgraded or removed.

use std::collections::BTreeSet;
use std::fs::{File, FileTimes};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::unistd::geteuid;
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// JavaScript of the app runtime.
const TEXT: &str = include_str!("../../../lib/runtime.cjs");

/// How often the files are looked at; who cleans temporary folders up leaves alone what is a few days old.
const ATTENTION: Duration = Duration::from_secs(3600);

/// Hands out the path of the file and looks after it: Node reads it again for each worker thread of an app.
pub(crate) struct RuntimeFile {
    home: PathBuf,
    /// An app of root may become another user, who has to read the file then.
    is_public: bool,
    /// For apps of users who may not look into the home: shared by all daemons of this user, so that those which were
    /// killed leave nothing that piles up.
    shared: PathBuf,
    places: Mutex<Places>,
}

/// Where files are. The lock also keeps two starts from writing one at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// Used instead of the shared folder when somebody else has taken its name.
    pub(crate) public: Option<PathBuf>,
    /// What apps were started with, also by a daemon of another version in whose place this one is.
    pub(crate) handed_out: BTreeSet<PathBuf>,
}

impl RuntimeFile {
    pub(crate) fn new(home: &Path) -> RuntimeFile {
        let user = geteuid();
        RuntimeFile {
            home: home.to_owned(),
            is_public: user.is_root(),
            shared: temporary_folder().join(format!("pm2-rs-runtime-{user}")),
            places: Mutex::default(),
        }
    }

    /// Where the files are; whoever is told goes on with them.
    pub(crate) fn places(&self) -> Places {
        self.places.lock().clone()
    }

    /// Goes on with files that were written earlier.
    pub(crate) fn set_places(&self, places: Places) {
        *self.places.lock() = places;
    }

    /// The path to preload for an app of the daemon's user (`None`) or of another one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn path_for(&self, uid: Option<u32>) -> io::Result<PathBuf> {
        let mut places = self.places.lock();
        let mut public = || {
            let path = self.public_folder(&mut places.public)?.join(name());
            self.provide(path)
        };
        let own = || self.provide(self.home.join(name()));
        let path = match uid {
            Some(_) => public()?,
            // An app that stays who it is does not need the folder, which may be read-only or full.
            None if self.is_public => public().or_else(|_| own())?,
            None => own()?,
        };
        places.handed_out.insert(path.clone());
        Ok(path)
    }

    fn provide(&self, path: PathBuf) -> io::Result<PathBuf> {
        if !std::fs::read(&path).is_ok_and(|text| text == TEXT.as_bytes()) {
            self.write(&path)?;
        }
        Ok(path)
    }

    /// Looks after the files for ever.
    pub(crate) async fn keep(&self) {
        let mut times = interval_at(Instant::now() + ATTENTION, ATTENTION);
        times.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            times.tick().await;
            self.look_after();
        }
    }

    /// Puts back what has vanished, and makes the rest look new. What cannot be helped now is tried again.
    pub(crate) fn look_after(&self) {
        for path in &self.places.lock().handed_out {
            let Some(folder) = path.parent() else { continue };
            let is_ours = folder == self.home || make_folder(folder).is_ok() && is_ours(folder);
            if is_ours && touch(path).is_err() {
                // A worker thread needs no more of another version's file than that it can be loaded.
                drop(self.write(path));
            }
            if is_ours && folder != self.home {
                drop(touch(folder));
            }
        }
    }

    fn public_folder(&self, own: &mut Option<PathBuf>) -> io::Result<PathBuf> {
        for folder in [Some(&self.shared), own.as_ref()].into_iter().flatten() {
            if make_folder(folder).is_ok() && is_ours(folder) {
                return Ok(folder.clone());
            }
        }
        let folder = nix::unistd::mkdtemp(&self.shared.with_extension("XXXXXX"))?;
        set_mode(&folder, 0o755)?;
        *own = Some(folder.clone());
        Ok(folder)
    }

    /// Writes the whole file before it gets its name, so that an app never loads half of it.
    fn write(&self, path: &Path) -> io::Result<()> {
        let mode = if path.starts_with(&self.home) { 0o600 } else { 0o644 };
        let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
        std::fs::write(&unfinished, TEXT)?;
        set_mode(&unfinished, mode)?;
        std::fs::rename(&unfinished, path)
    }
}

impl Drop for RuntimeFile {
    fn drop(&mut self) {
        if let Some(folder) = self.places.lock().public.take() {
            // Left over, it is a few kilobytes in the temporary folder.
            drop(std::fs::remove_dir_all(folder));
        }
    }
}

/// Two builds of a version may differ.
fn name() -> String {
    let mut hasher = DefaultHasher::new();
    TEXT.hash(&mut hasher);
    format!("runtime-{}-{:08x}.cjs", pm2_core::VERSION, hasher.finish() as u32)
}

/// One that everybody may look into; `TMPDIR` is its user's own on some systems.
fn temporary_folder() -> PathBuf {
    let is_open = |folder: &Path| folder.metadata().is_ok_and(|data| data.mode() & 0o1 != 0);
    let folder = std::env::temp_dir();
    if folder.ancestors().all(is_open) { folder } else { PathBuf::from("/tmp") }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o755).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        // Whatever the file mode mask has taken away.
        Ok(()) => set_mode(folder, 0o755),
    }
}

/// In a temporary folder anybody can take the name of what has vanished.
fn is_ours(folder: &Path) -> bool {
    let data = folder.symlink_metadata();
    data.is_ok_and(|data| data.is_dir() && data.uid() == geteuid().as_raw() && data.mode() & 0o022 == 0)
}

fn touch(path: &Path) -> io::Result<()> {
    let now = SystemTime::now();
    File::open(path)?.set_times(FileTimes::new().set_accessed(now).set_modified(now))
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A daemon of root, or of anybody else.
    fn file(root: &Path, is_public: bool) -> RuntimeFile {
        let (home, shared) = (root.join("home"), root.join("shared"));
        std::fs::create_dir(&home).unwrap();
        RuntimeFile { home, is_public, shared, places: Mutex::default() }
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_vanished_or_truncated_file_is_written_again() {
        let home = tempfile::tempdir().unwrap();
        let file = file(home.path(), false);
        let path = file.path_for(None).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), TEXT);
        assert_eq!(mode(&path), 0o600);
        std::fs::write(&path, "").unwrap();
        assert_eq!(std::fs::read_to_string(file.path_for(None).unwrap()).unwrap(), TEXT);
    }

    #[test]
    fn other_users_and_the_apps_of_root_get_a_file_that_everybody_can_read() {
        for (is_public, uid) in [(false, Some(12345)), (true, None), (true, Some(12345))] {
            let home = tempfile::tempdir().unwrap();
            let file = file(home.path(), is_public);
            let path = file.path_for(uid).unwrap();
            let folder = path.parent().unwrap();
            assert_eq!(folder, file.shared);
            assert_eq!((mode(&path), mode(folder)), (0o644, 0o755));
        }
    }

    #[test]
    fn without_a_folder_for_everybody_the_apps_of_root_have_the_one_in_the_home() {
        let root = tempfile::tempdir().unwrap();
        let mut file = file(root.path(), true);
        file.shared = root.path().join("none/shared");
        assert_eq!(file.path_for(None).unwrap().parent(), Some(&*file.home));
        assert!(file.path_for(Some(12345)).is_err());
    }

    #[test]
    fn what_apps_were_started_with_is_put_back_and_looks_new() {
        let home = tempfile::tempdir().unwrap();
        let file = file(home.path(), false);
        let private = file.path_for(None).unwrap();
        let public = file.path_for(Some(1)).unwrap();
        let folder = public.parent().unwrap();
        // The daemon that this one has taken the place of was of another version.
        let earlier = file.home.join("runtime-0.0.1.cjs");
        let mut places = file.places();
        places.handed_out.insert(earlier.clone());
        file.set_places(places);
        std::fs::write(&earlier, "// earlier").unwrap();
        let old = SystemTime::now() - Duration::from_secs(864_000);
        for path in [&private, &public, &earlier, folder] {
            let times = FileTimes::new().set_accessed(old).set_modified(old);
            File::open(path).unwrap().set_times(times).unwrap();
        }

        file.look_after();
        for path in [&private, &public, &earlier, folder] {
            let data = path.metadata().unwrap();
            let young = SystemTime::now() - Duration::from_secs(60);
            assert!(data.modified().unwrap() > young && data.accessed().unwrap() > young, "{path:?}");
        }
        assert_eq!(std::fs::read_to_string(&earlier).unwrap(), "// earlier");

        std::fs::remove_file(&private).unwrap();
        std::fs::remove_file(&earlier).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        file.look_after();
        for path in [&private, &public, &earlier] {
            assert_eq!(std::fs::read_to_string(path).unwrap(), TEXT);
        }
        assert_eq!((mode(&private), mode(&public), mode(folder)), (0o600, 0o644, 0o755));
    }

    #[test]
    fn nothing_is_handed_out_of_a_folder_that_others_can_write_into() {
        let home = tempfile::tempdir().unwrap();
        let file = file(home.path(), true);
        let before = file.path_for(None).unwrap();
        std::fs::remove_file(&before).unwrap();
        set_mode(&file.shared, 0o777).unwrap();
        file.look_after();
        assert!(!before.exists());
        let after = file.path_for(None).unwrap();
        assert_eq!(file.path_for(None).unwrap(), after);
        let folder = after.parent().unwrap().to_owned();
        assert_ne!(folder, file.shared);
        assert_eq!((mode(&after), mode(&folder)), (0o644, 0o755));
        drop(file);
        assert!(!folder.exists());
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_looked_after_every_hour() {
        let home = tempfile::tempdir().unwrap();
        let file = file(home.path(), false);
        let path = file.path_for(None).unwrap();
        for _ in 0..2 {
            std::fs::remove_file(&path).unwrap();
            let kept = tokio::time::timeout(ATTENTION - Duration::from_secs(1), file.keep());
            assert!(kept.await.is_err());
            assert!(!path.exists());
            assert!(tokio::time::timeout(ATTENTION + Duration::from_secs(1), file.keep()).await.is_err());
            assert!(path.exists());
        }
    }
}

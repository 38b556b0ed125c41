//! Real files.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::bus::Bus;

struct Watched {
    folder: tempfile::TempDir,
    watches: Watches,
    subscription: Subscription,
}

impl Watched {
    /// Returns when changes are seen: a file of its own is written until that is noticed.
    async fn new(app: Value, prepare: impl FnOnce(&Path)) -> Watched {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let Value::Object(app) = app else { panic!("no object") };
        let plan = WatchPlan::read(&app, folder.path(), Vec::new()).unwrap();
        let watches = Watches::new(Journal::new(Bus::default(), ""));
        let subscription = watches.subscribe(Arc::new(plan), None).unwrap();
        Watched { folder, watches, subscription }
    }

    /// Until the thread has done what it was asked for before: it answers in order.
    async fn settle(&mut self) {
        let probe = tempfile::tempdir().unwrap();
        let Value::Object(app) = json!({"watch": true, "ignore_watch": []}) else { return };
        let plan = WatchPlan::read(&app, probe.path(), Vec::new()).unwrap();
        let mut other = self.watches.subscribe(Arc::new(plan), None).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            fs::write(probe.path().join("probe"), "x").unwrap();
            if tokio::time::timeout(Duration::from_millis(20), other.changes.recv()).await.is_ok() {
                break;
            }
            assert!(Instant::now() < deadline);
        }
        while self.subscription.changes.try_recv().is_ok() {}
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn sees(&mut self, name: &str) {
        let wanted = self.path(name);
        let deadline = tokio::time::sleep(Duration::from_secs(10));
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                change = self.subscription.changes.recv() => if change.unwrap() == wanted { break },
                () = &mut deadline => panic!("{name} was not seen"),
            }
        }
    }

    async fn sees_nothing(&mut self) {
        self.settle_without_clearing().await;
        assert_eq!(self.subscription.changes.try_recv().ok(), None);
    }

    async fn settle_without_clearing(&mut self) {
        // Long enough for the events of what was done before.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn files_that_come_change_and_go() {
    let mut watched = Watched::new(json!({"watch": true}), |folder| {
        fs::create_dir_all(folder.join("lib/deep")).unwrap();
        fs::create_dir_all(folder.join("node_modules/x")).unwrap();
        fs::write(folder.join("lib/deep/a.js"), "1").unwrap();
    })
    .await;
    watched.settle().await;
    fs::write(watched.path("lib/deep/a.js"), "2").unwrap();
    watched.sees("lib/deep/a.js").await;
    fs::write(watched.path("new.js"), "2").unwrap();
    watched.sees("new.js").await;
    fs::remove_file(watched.path("new.js")).unwrap();
    watched.sees("new.js").await;
    watched.settle().await;
    fs::write(watched.path("node_modules/x/y.js"), "2").unwrap();
    fs::write(watched.path(".hidden"), "2").unwrap();
    fs::read(watched.path("lib/deep/a.js")).unwrap();
    watched.sees_nothing().await;
}

#[tokio::test]
async fn folders_that_come_later_are_followed() {
    let mut watched = Watched::new(json!({"watch": true}), |_| {}).await;
    watched.settle().await;
    fs::create_dir_all(watched.path("a/b")).unwrap();
    watched.sees("a").await;
    watched.settle().await;
    fs::write(watched.path("a/b/c.js"), "1").unwrap();
    watched.sees("a/b/c.js").await;
    fs::rename(watched.path("a"), watched.path("z")).unwrap();
    watched.settle().await;
    fs::write(watched.path("z/b/c.js"), "2").unwrap();
    watched.sees("z/b/c.js").await;
    fs::remove_dir_all(watched.path("z")).unwrap();
    watched.settle().await;
    fs::create_dir_all(watched.path("z")).unwrap();
    watched.settle().await;
    fs::write(watched.path("z/d.js"), "2").unwrap();
    watched.sees("z/d.js").await;
}

#[tokio::test]
async fn a_file_that_an_editor_replaces() {
    let mut watched = Watched::new(json!({"watch": ["config.json"]}), |folder| {
        fs::write(folder.join("config.json"), "1").unwrap();
    })
    .await;
    for round in 0..3 {
        watched.settle().await;
        fs::write(watched.path("config.json~"), round.to_string()).unwrap();
        watched.sees_nothing().await;
        fs::rename(watched.path("config.json~"), watched.path("config.json")).unwrap();
        watched.sees("config.json").await;
    }
}

#[tokio::test]
async fn what_is_not_there_yet() {
    let mut watched = Watched::new(json!({"watch": ["build/out"]}), |_| {}).await;
    watched.settle().await;
    fs::create_dir(watched.path("build")).unwrap();
    watched.settle().await;
    fs::create_dir(watched.path("build/out")).unwrap();
    watched.sees("build/out").await;
    watched.settle().await;
    fs::write(watched.path("build/out/x"), "1").unwrap();
    watched.sees("build/out/x").await;
    fs::write(watched.path("build/other"), "1").unwrap();
    watched.settle().await;
    watched.sees_nothing().await;
}

#[tokio::test]
async fn many_files_need_few_handles() {
    let mut watched = Watched::new(json!({"watch": true}), |folder| {
        for n in 0..50 {
            let folder = folder.join(format!("f{n}"));
            fs::create_dir(&folder).unwrap();
            for m in 0..1000 {
                fs::File::create(folder.join(m.to_string())).unwrap();
            }
        }
    })
    .await;
    let before = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    watched.settle().await;
    assert!(fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) < before + 30);
    fs::write(watched.path("f49/999"), "1").unwrap();
    watched.sees("f49/999").await;
}

#[tokio::test]
async fn a_folder_that_is_replaced_at_once() {
    let mut watched = Watched::new(json!({"watch": true}), |folder| {
        fs::create_dir_all(folder.join("src/deep")).unwrap();
    })
    .await;
    watched.settle().await;
    fs::create_dir_all(watched.path("new/deep")).unwrap();
    fs::rename(watched.path("src"), watched.path("old")).unwrap();
    fs::rename(watched.path("new"), watched.path("src")).unwrap();
    watched.settle().await;
    fs::write(watched.path("src/deep/a.js"), "1").unwrap();
    watched.sees("src/deep/a.js").await;
}

#[tokio::test]
async fn a_working_directory_behind_a_link_that_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    for release in ["r1", "r2"] {
        fs::create_dir_all(folder.path().join(release).join("lib")).unwrap();
    }
    let current = folder.path().join("current");
    std::os::unix::fs::symlink("r1", &current).unwrap();
    let Value::Object(app) = json!({"watch": true}) else { return };
    let plan = WatchPlan::read(&app, &current, Vec::new()).unwrap();
    let watches = Watches::new(Journal::new(Bus::default(), ""));
    let subscription = watches.subscribe(Arc::new(plan), None).unwrap();
    let mut watched = Watched { folder, watches, subscription };
    watched.settle().await;
    fs::write(watched.path("r1/lib/a"), "1").unwrap();
    watched.sees("current/lib/a").await;
    std::os::unix::fs::symlink("r2", watched.path("next")).unwrap();
    fs::rename(watched.path("next"), &current).unwrap();
    watched.sees("current").await;
    watched.settle().await;
    fs::write(watched.path("r2/lib/b"), "1").unwrap();
    watched.sees("current/lib/b").await;
    watched.settle().await;
    fs::write(watched.path("r1/lib/a"), "2").unwrap();
    watched.sees_nothing().await;
}

#[tokio::test]
async fn one_folder_under_two_names() {
    let mut watched = Watched::new(json!({"watch": ["own", "shared"]}), |folder| {
        fs::create_dir_all(folder.join("own")).unwrap();
        fs::create_dir_all(folder.join("shared")).unwrap();
        fs::create_dir_all(folder.join("other")).unwrap();
        std::os::unix::fs::symlink("../shared", folder.join("other/lib")).unwrap();
    })
    .await;
    let Value::Object(app) = json!({"watch": true}) else { return };
    let plan = WatchPlan::read(&app, &watched.path("other"), Vec::new()).unwrap();
    let mut other = watched.watches.subscribe(Arc::new(plan), None).unwrap();
    watched.settle().await;
    fs::write(watched.path("shared/a"), "1").unwrap();
    watched.sees("shared/a").await;
    assert_eq!(other.changes.recv().await, Some(watched.path("other/lib/a")));
    drop(other);
    watched.settle().await;
    fs::write(watched.path("shared/a"), "2").unwrap();
    watched.sees("shared/a").await;
}

#[tokio::test]
async fn circles_of_links_end() {
    let mut watched = Watched::new(json!({"watch": true, "ignore_watch": []}), |folder| {
        fs::create_dir_all(folder.join("x/y")).unwrap();
        for name in ["one", "two"] {
            std::os::unix::fs::symlink("..", folder.join("x").join(name)).unwrap();
            std::os::unix::fs::symlink("../..", folder.join("x/y").join(name)).unwrap();
        }
    })
    .await;
    watched.settle().await;
    fs::write(watched.path("x/y/a"), "1").unwrap();
    let seen = tokio::time::timeout(Duration::from_secs(5), watched.subscription.changes.recv()).await;
    assert!(seen.unwrap().unwrap().ends_with("y/a"));
}

#[tokio::test]
async fn a_link_to_a_file_is_followed() {
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("config.json");
    fs::write(&target, "1").unwrap();
    let mut watched = Watched::new(json!({"watch": true}), |folder| {
        std::os::unix::fs::symlink(&target, folder.join("config.json")).unwrap();
    })
    .await;
    watched.settle().await;
    fs::write(&target, "2").unwrap();
    watched.sees("config.json").await;
    // As editors write.
    fs::write(elsewhere.path().join("new"), "3").unwrap();
    fs::rename(elsewhere.path().join("new"), &target).unwrap();
    watched.sees("config.json").await;
    watched.settle().await;
    fs::write(&target, "4").unwrap();
    watched.sees("config.json").await;
    watched.settle().await;
    fs::write(elsewhere.path().join("other.json"), "1").unwrap();
    watched.sees_nothing().await;
    // One that comes later.
    std::os::unix::fs::symlink(elsewhere.path().join("other.json"), watched.path("other.json")).unwrap();
    watched.sees("other.json").await;
    watched.settle().await;
    fs::write(elsewhere.path().join("other.json"), "2").unwrap();
    watched.sees("other.json").await;
    fs::remove_file(watched.path("other.json")).unwrap();
    watched.sees("other.json").await;
    watched.settle().await;
    fs::write(elsewhere.path().join("other.json"), "3").unwrap();
    watched.sees_nothing().await;
}

#[tokio::test]
async fn a_link_that_is_changed_behind_another_is_seen() {
    // As Kubernetes mounts configurations: a name leads through a folder that is exchanged.
    let mut watched = Watched::new(json!({"watch": true}), |folder| {
        for version in ["..1", "..2"] {
            fs::create_dir(folder.join(version)).unwrap();
            fs::write(folder.join(version).join("key"), version).unwrap();
        }
        std::os::unix::fs::symlink("..1", folder.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/key", folder.join("key")).unwrap();
    })
    .await;
    watched.settle().await;
    std::os::unix::fs::symlink("..2", watched.path("..new")).unwrap();
    fs::rename(watched.path("..new"), watched.path("..data")).unwrap();
    watched.sees("key").await;
    watched.settle().await;
    fs::write(watched.path("..2/key"), "changed").unwrap();
    watched.sees("key").await;
}

#[tokio::test]
async fn files_that_nobody_tells_of_are_looked_at() {
    let app = json!({"watch": true, "watch_options": {"usePolling": true, "interval": 10}});
    let mut watched = Watched::new(app, |folder| {
        fs::create_dir(folder.join("lib")).unwrap();
        fs::write(folder.join("lib/a.js"), "1").unwrap();
    })
    .await;
    // The first look may come at any time: until then nothing is a change.
    let a = watched.path("lib/a.js");
    let mut n = 0;
    while watched.subscription.changes.try_recv().is_err() {
        n += 1;
        assert!(n < 500);
        fs::write(&a, "x".repeat(n)).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fs::write(watched.path("lib/new.js"), "1").unwrap();
    watched.sees("lib/new.js").await;
    fs::remove_file(watched.path("lib/new.js")).unwrap();
    watched.sees("lib/new.js").await;
}

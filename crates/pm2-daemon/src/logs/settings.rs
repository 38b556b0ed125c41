//! The settings of rotation: the object `pm2-logrotate` in `module_conf.json` for all logs, and what an app has of its own.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use chrono::Local;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

use super::LogFiles;
use super::rotation::{Plan, Settings};
use crate::journal::Journal;

/// The name under which pm2-logrotate has its settings.
pub(crate) const SETTINGS_KEY: &str = "pm2-logrotate";

/// How often the file is looked at.
const GRAIN: Duration = Duration::from_secs(1);

/// What an app says of the rotation of its logs.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct OwnSettings {
    /// `log_rotate`: absent, a boolean, or an object.
    pub(crate) own: Option<Value>,
    /// The app is a module of PM2.
    pub(crate) is_module: bool,
}

/// The settings for all logs, as they are now.
pub(crate) struct SettingsFile {
    path: PathBuf,
    journal: Journal,
    state: Mutex<State>,
    /// They have changed, or there are other logs.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct State {
    looked: Option<Instant>,
    stamp: Option<(SystemTime, u64)>,
    generation: u64,
    settings: Option<Arc<Settings>>,
    /// The logs of the module itself: while it runs, it does what would be done here.
    module: Weak<LogFiles>,
    yields: bool,
}

/// The plan of one log, made from a generation of the settings.
#[derive(Default)]
pub(super) struct PlanCache {
    generation: Option<u64>,
    plan: Option<Arc<Plan>>,
}

impl SettingsFile {
    pub(super) fn new(path: PathBuf, journal: Journal) -> SettingsFile {
        SettingsFile { path, journal, state: Mutex::default(), changed: Notify::new() }
    }

    /// Leaves all logs without settings of their app to the module, for as long as that has these logs.
    pub(crate) fn yield_to_module(&self, logs: &Arc<LogFiles>) {
        self.state.lock().module = Arc::downgrade(logs);
    }

    /// Looks at the file now.
    pub(crate) fn look(&self) {
        self.state.lock().looked = None;
        self.current();
    }

    /// Whether the module does what would be done here. Nobody tells when it ends.
    pub(super) fn yields(&self) -> bool {
        self.state.lock().module.strong_count() > 0
    }

    /// How a log of an app with these settings is rotated; `None`: not at all.
    pub(super) fn plan(&self, own: &OwnSettings, cache: &mut PlanCache) -> Option<Arc<Plan>> {
        let (generation, settings) = self.current();
        if cache.generation != Some(generation) {
            cache.generation = Some(generation);
            cache.plan = merged(settings.as_deref(), own).map(|settings| {
                let (plan, wrong) = Plan::read(&settings, &Local::now());
                for wrong in wrong {
                    self.journal.warn(format_args!("rotation of logs: {wrong} cannot be used"));
                }
                Arc::new(plan)
            });
        }
        cache.plan.clone()
    }

    fn current(&self) -> (u64, Option<Arc<Settings>>) {
        let mut state = self.state.lock();
        if state.looked.is_none_or(|looked| looked.elapsed() >= GRAIN) {
            state.looked = Some(Instant::now());
            let metadata = std::fs::metadata(&self.path).ok();
            let stamp = metadata.and_then(|data| Some((data.modified().ok()?, data.len())));
            if stamp != state.stamp {
                state.stamp = stamp;
                if let Some(settings) = self.read()
                    && settings.as_ref() != state.settings.as_deref()
                {
                    state.generation += 1;
                    state.settings = settings.map(Arc::new);
                    self.changed.notify_one();
                }
            }
        }
        let yields = state.module.strong_count() > 0;
        if state.yields != yields {
            state.yields = yields;
            state.generation += 1;
        }
        (state.generation, state.settings.clone().filter(|_| !state.yields))
    }

    /// `None`: it is being written, and its next change is seen.
    fn read(&self) -> Option<Option<Settings>> {
        let Ok(text) = std::fs::read(&self.path) else { return Some(None) };
        let all: Settings = serde_json::from_slice(&text).ok()?;
        Some(all.get(SETTINGS_KEY).and_then(Value::as_object).cloned())
    }
}

/// The settings of all, with the app's own laid over them; `None`: not rotated.
fn merged(all: Option<&Settings>, own: &OwnSettings) -> Option<Settings> {
    let mut settings = all.cloned();
    match &own.own {
        Some(Value::Object(own)) => settings.get_or_insert_default().extend(own.clone()),
        Some(Value::Bool(true)) => drop(settings.get_or_insert_default()),
        Some(Value::Bool(false)) => return None,
        _ => {
            let spares_modules = settings.as_ref()?.get("rotateModule").is_some_and(is_off);
            if own.is_module && spares_modules {
                return None;
            }
        }
    }
    settings
}

fn is_off(value: &Value) -> bool {
    *value == Value::Bool(false) || value.as_str() == Some("false")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bus::Bus;

    #[test]
    fn an_apps_own_settings_lie_over_those_of_all() {
        let all = json!({"max_size": "5M", "retain": 3, "rotateModule": "false"});
        let all = all.as_object();
        let check = |all, own: Value, is_module, expected: Value| {
            let own = Some(own).filter(|own| !own.is_null());
            let settings = merged(all, &OwnSettings { own, is_module });
            assert_eq!(settings.map_or(Value::Null, Value::Object), expected);
        };
        check(None, json!(null), false, json!(null));
        check(None, json!(true), false, json!({}));
        check(None, json!({"retain": 1}), false, json!({"retain": 1}));
        check(all, json!(null), false, json!({"max_size": "5M", "retain": 3, "rotateModule": "false"}));
        check(all, json!(false), false, json!(null));
        check(
            all,
            json!({"retain": 1}),
            false,
            json!({"max_size": "5M", "retain": 1, "rotateModule": "false"}),
        );
        check(all, json!(null), true, json!(null));
        check(all, json!(true), true, json!({"max_size": "5M", "retain": 3, "rotateModule": "false"}));
    }

    #[test]
    fn changes_of_the_file_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("module_conf.json");
        let file = SettingsFile::new(path.clone(), Journal::new(Bus::default(), ""));
        let (own, mut cache) = (OwnSettings::default(), PlanCache::default());
        let mut size = |text: &str| {
            std::fs::write(&path, text).unwrap();
            file.look();
            file.plan(&own, &mut cache).map(|plan| plan.max_size)
        };
        assert_eq!(size("{}"), None);
        assert_eq!(size(r#"{"pm2-logrotate": {"max_size": "2K"}}"#), Some(2048));
        assert_eq!(size(r#"{"pm2-logrotate": {"max_size": "3000"}}"#), Some(3000));
        assert_eq!(size(r#"{"pm2-logrotate": {"max_size": "3000""#), Some(3000), "it is being written");
        let module = Arc::new(LogFiles::default());
        file.yield_to_module(&module);
        assert_eq!(size(r#"{"pm2-logrotate": {"max_size": "40"}}"#), None);
        drop(module);
        assert_eq!(file.plan(&own, &mut cache).map(|plan| plan.max_size), Some(40));
    }
}

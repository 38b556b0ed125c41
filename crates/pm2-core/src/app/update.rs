//! What a restart sends: changes to an app that the daemon already has.

use serde_json::Value;

use super::check::CheckedApp;
use super::validate::{Spelling, validate};
use super::{AppError, CallerContext, Map, environment};

/// The options of `restart(nameOrId, options)` as the daemon's `current_conf`: only what was
/// written, under canonical names; the mode never changes. Specification `options.md` §1.3.
///
/// # Errors
/// A validation error.
pub fn overrides(options: &Map) -> Result<Map, AppError> {
    let mut changes = validate(options, Spelling::Script)?;
    changes.shift_remove("exec_mode");
    Ok(changes)
}

/// The `env` of `restartProcessId` when a running app is started again through an app object: the
/// caller's, the app's and the chosen environment, and the app's options as `current_conf`.
///
/// The daemon lays the variables over those it has, so variables removed from the description stay,
/// and the options over the old ones; the mode and, unless written, the namespace do not change.
/// Specification `wire.md` §6.2, `options.md` §5.3.
#[must_use]
pub fn restart_update(checked: &CheckedApp, ctx: &CallerContext) -> Map {
    let mut update = environment::inherited(checked.options.get("filter_env"), ctx);
    update.extend(environment::own(checked));
    update.extend(checked.chosen_env.clone());
    let mut options = checked.options.clone();
    // `env` here would replace the daemon's as a whole; the variables above are laid over it.
    for unchanged in ["exec_mode", "env"] {
        options.shift_remove(unchanged);
    }
    if !checked.has_namespace {
        options.shift_remove("namespace");
    }
    update.insert("current_conf".to_owned(), Value::Object(options));
    update
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::app::{StartOptions, check_object};
    use crate::home::Home;

    fn map(value: Value) -> Map {
        match value {
            Value::Object(map) => map,
            other => panic!("not an object: {other}"),
        }
    }

    #[test]
    fn only_what_was_written() {
        let options = map(json!({"maxRestarts": 0, "max_memory_restart": "1K", "execMode": "cluster"}));
        assert_eq!(
            Value::Object(overrides(&options).unwrap()),
            json!({"max_memory_restart": 1024, "max_restarts": 0}),
        );
        assert!(overrides(&map(json!({"name": 5}))).is_err());
    }

    #[test]
    fn a_restart_through_an_object() {
        let home = Home::at("/nowhere", &|_| None).unwrap();
        let env = map(json!({"PATH": "/bin", "status": "q"}));
        let ctx = CallerContext::new("/work".into(), env, "/node".into(), home);
        let check = |entry: Value| {
            let options = StartOptions::from_map(&map(json!({"env": "p"})));
            let checked = check_object(&map(entry), &options, &ctx).unwrap();
            restart_update(&checked, &ctx)
        };
        let entry =
            json!({"script": "a.js", "env": {"A": 1, "O": {}}, "env_p": {"P": 2}, "exec_mode": "fork"});
        let mut update = check(entry);
        let conf = map(update.shift_remove("current_conf").unwrap());
        assert_eq!(Value::Object(update), json!({"PATH": "/bin", "A": 1, "O": "{}", "P": 2}));
        for absent in ["env", "exec_mode", "namespace"] {
            assert!(!conf.contains_key(absent), "{absent}");
        }
        assert_eq!(json!([conf["name"], conf["autorestart"]]), json!(["a", true]));
        let conf = map(check(json!({"name": "n", "namespace": "ns"}))["current_conf"].clone());
        assert_eq!(conf["namespace"], "ns");
    }
}

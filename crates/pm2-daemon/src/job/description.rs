//! An app's description as clients read it back: the options, the environment, and the copies of
//! the environment's variables at the top level of `pm2_env`.
//!
//! It is kept as JSON text. Lists are then made by joining texts, and three hundred idle apps cost
//! a few kilobytes each; the rare operations that look inside parse it again.

use std::ops::Range;

use pm2_core::app::options;
use serde_json::{Map, Value};

/// Keys of `pm2_env` that belong to the running process; a variable of that name is not copied
/// over them.
const RUNTIME_KEYS: &[&str] = &[
    "status",
    "pm_uptime",
    "axm_actions",
    "axm_monitor",
    "axm_options",
    "axm_dynamic",
    "created_at",
    "pm_id",
    "restart_time",
    "unstable_restarts",
    "prev_restart_delay",
    "exit_code",
    "exit_signal",
    "spawn_error",
    "ready_assumed",
    "process_tree",
    "node_version",
    "version",
    "_km_monitored",
    "_pm2_version",
];

/// The part of `pm2_env` that only a (re)configuration changes.
#[derive(Debug)]
pub(crate) struct Description {
    /// Members of a JSON object without the braces; the options come first.
    members: Box<str>,
    /// How many of the members are options; the rest are copies of variables.
    options: usize,
    /// Where the member `env` lies in `members`, with its trailing comma.
    env: Range<usize>,
}

impl Description {
    /// Writes the description of an app. Runtime keys in it are dropped.
    pub(crate) fn new(app: &Map<String, Value>) -> Description {
        let mut members = Vec::with_capacity(4096);
        let mut n_options = 0;
        let mut env = 0..0;
        for (key, value) in app {
            if RUNTIME_KEYS.contains(&key.as_str()) {
                continue;
            }
            let from = members.len();
            push_member(&mut members, key, value);
            n_options += 1;
            if key == "env" {
                env = from..members.len();
            }
        }
        if let Some(Value::Object(variables)) = app.get("env") {
            for (key, value) in variables {
                let scalar = !matches!(value, Value::Array(_) | Value::Object(_));
                // Read back from a dump, a copy under the name of an option would be one.
                let is_option = options::find(key).is_some() || key.starts_with("pm_") || key == "pmx_module";
                let is_taken = is_option || app.contains_key(key) || RUNTIME_KEYS.contains(&key.as_str());
                if scalar && !is_taken {
                    push_member(&mut members, key, value);
                }
            }
        }
        let members = String::from_utf8(members).expect("JSON is UTF-8");
        Description { members: members.into_boxed_str(), options: n_options, env }
    }

    /// The options and the environment, without the copied variables.
    pub(crate) fn app(&self) -> Map<String, Value> {
        let text = format!("{{{}}}", self.members.trim_end_matches(','));
        let all: Map<String, Value> =
            serde_json::from_str(&text).expect("members were written by this module");
        all.into_iter().take(self.options).collect()
    }

    /// Whether `watch` is there and false.
    pub(crate) fn is_unwatched(&self) -> bool {
        self.app().get("watch") == Some(&Value::Bool(false))
    }

    /// All members, each followed by a comma.
    pub(crate) fn members(&self) -> &str {
        &self.members
    }

    /// All members but `env`, as events carry them.
    pub(crate) fn members_without_env(&self) -> [&str; 2] {
        [&self.members[..self.env.start], &self.members[self.env.end..]]
    }
}

fn push_member(members: &mut Vec<u8>, key: &str, value: &Value) {
    let written = "a value is written to memory without failing";
    serde_json::to_writer(&mut *members, key).expect(written);
    members.push(b':');
    serde_json::to_writer(&mut *members, value).expect(written);
    members.push(b',');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn described(app: Value) -> (Description, Value) {
        let description = Description::new(app.as_object().unwrap());
        let text = format!("{{{}}}", description.members().trim_end_matches(','));
        let read = serde_json::from_str(&text).unwrap();
        (description, read)
    }

    #[test]
    fn variables_are_copied_but_overwrite_nothing() {
        let app =
            json!({"name": "a", "env": {"A": "1", "N": 2, "name": "x", "pm_id": "7", "o": {}, "z": null}});
        let (description, read) = described(app.clone());
        let expected = json!({
            "name": "a", "env": {"A": "1", "N": 2, "name": "x", "pm_id": "7", "o": {}, "z": null},
            "A": "1", "N": 2, "z": null
        });
        assert_eq!(read, expected);
        assert_eq!(Value::Object(description.app()), app);
    }

    #[test]
    fn runtime_keys_sent_by_a_client_are_dropped() {
        let (_, read) = described(json!({"name": "a", "status": "online", "pm_id": 3, "restart_time": 9}));
        assert_eq!(read, json!({"name": "a"}));
    }

    #[test]
    fn events_leave_env_out() {
        let (description, _) = described(json!({"name": "a", "env": {"A": "1"}, "watch": false}));
        let [before, after] = description.members_without_env();
        let read: Value =
            serde_json::from_str(&format!("{{{}{}}}", before, after.trim_end_matches(','))).unwrap();
        assert_eq!(read, json!({"name": "a", "watch": false, "A": "1"}));
    }

    #[test]
    fn an_app_without_anything_is_described() {
        let (description, read) = described(json!({}));
        assert_eq!((read, description.app().len()), (json!({}), 0));
    }
}

//! Changes that a restart brings to an app's description.

use serde_json::{Map, Value};

/// The `env` member of `restartProcessId`: variables, and options in `current_conf`.
///
/// Specification `wire.md` §6.2.
#[derive(Debug, Clone, Default)]
pub(crate) struct Update {
    variables: Map<String, Value>,
    options: Map<String, Value>,
}

impl Update {
    /// Reads the member; anything but an object changes nothing.
    pub(crate) fn read(env: Option<&Value>) -> Update {
        let Some(Value::Object(env)) = env else { return Update::default() };
        let mut variables = env.clone();
        let options = match variables.shift_remove("current_conf") {
            Some(Value::Object(options)) => options,
            _ => Map::new(),
        };
        Update { variables, options }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.variables.is_empty() && self.options.is_empty()
    }

    /// Applies the change: variables are merged into `env`; options overwrite, the text `null` removes,
    /// and a non-empty `env` among them replaces the whole environment.
    pub(crate) fn apply(self, app: &mut Map<String, Value>) {
        let env = app.entry("env").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(env) = env {
            env.extend(self.variables);
        }
        for (key, value) in self.options {
            match (key.as_str(), &value) {
                // The id and the instance belong to the daemon.
                ("pm_id" | "status", _) => {}
                (_, Value::String(text)) if text == "null" => {
                    app.shift_remove(&key);
                }
                ("env", Value::Object(replacement)) => {
                    if !replacement.is_empty() {
                        let unique_id = app.get("env").and_then(|env| env.get("unique_id")).cloned();
                        let mut replacement = replacement.clone();
                        if let Some(unique_id) = unique_id {
                            replacement.entry("unique_id").or_insert(unique_id);
                        }
                        app.insert(key, Value::Object(replacement));
                    }
                }
                ("env", _) => {}
                _ => {
                    app.insert(key, value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(env: Value, expected: Value) {
        let mut app = json!({"name": "a", "kill_timeout": 5, "env": {"A": "1", "unique_id": "u"}});
        let app = app.as_object_mut().unwrap();
        Update::read(Some(&env)).apply(app);
        assert_eq!(Value::Object(app.clone()), expected, "{env}");
    }

    #[test]
    fn updates_follow_the_three_rules() {
        check(json!(null), json!({"name": "a", "kill_timeout": 5, "env": {"A": "1", "unique_id": "u"}}));
        check(
            json!({"B": "2", "current_conf": {"env": {}, "kill_timeout": "null", "name": "b"}}),
            json!({"name": "b", "env": {"A": "1", "unique_id": "u", "B": "2"}}),
        );
        check(
            json!({"B": "2", "current_conf": {"env": {"C": "3"}, "pm_id": 9}}),
            json!({"name": "a", "kill_timeout": 5, "env": {"C": "3", "unique_id": "u"}}),
        );
    }
}

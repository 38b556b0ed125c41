//! Whose lines are shown.

use regress::Regex;
use serde_json::Value;

/// What `logs` is pointed at: nothing or `all`, an id, a name, a namespace, `/a pattern/`, or `PM2`.
#[derive(Debug, Clone)]
pub enum Selection {
    /// Everybody.
    All,
    /// The daemon alone.
    Daemon,
    /// Processes whose name matches.
    Pattern(Box<Regex>, String),
    /// Processes of that name, namespace or id.
    Named(String),
}

/// Who says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// Its id as text.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its group.
    pub namespace: String,
}

impl Speaker {
    /// Reads the `process` of a packet, or an element of the list.
    #[must_use]
    pub fn read(process: &Value) -> Speaker {
        let field = |name: &str| {
            let value = process.get(name).or_else(|| process.get("pm2_env")?.get(name));
            match value {
                Some(Value::String(text)) => text.clone(),
                None | Some(Value::Null) => String::new(),
                Some(other) => other.to_string(),
            }
        };
        Speaker { id: field("pm_id"), name: field("name"), namespace: field("namespace") }
    }

    /// Whether it is the daemon itself.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.id == "PM2"
    }
}

impl Selection {
    /// Reads what a user gives. A pattern that is none is a name.
    #[must_use]
    pub fn read(text: &str) -> Selection {
        let pattern = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        match (text, pattern.filter(|pattern| !pattern.is_empty())) {
            ("" | "all", _) => Selection::All,
            ("PM2", _) => Selection::Daemon,
            (_, Some(pattern)) => match Regex::new(pattern) {
                Ok(regex) => Selection::Pattern(Box::new(regex), text.to_owned()),
                Err(_) => Selection::Named(text.to_owned()),
            },
            _ => Selection::Named(text.to_owned()),
        }
    }

    /// Whether somebody is meant.
    #[must_use]
    pub fn includes(&self, speaker: &Speaker) -> bool {
        match self {
            Selection::All => true,
            Selection::Daemon => speaker.is_daemon(),
            _ if speaker.is_daemon() => false,
            Selection::Pattern(pattern, _) => pattern.find(&speaker.name).is_some(),
            Selection::Named(name) => [&speaker.id, &speaker.name, &speaker.namespace].contains(&name),
        }
    }

    /// As it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Selection::All => "all",
            Selection::Daemon => "PM2",
            Selection::Pattern(_, text) | Selection::Named(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everybody_is_found_by_what_he_is() {
        let app = Speaker::read(&json!({"pm_id": 3, "name": "web-api", "rev": null, "namespace": "ns"}));
        let entry = json!({"pm_id": 3, "name": "web-api", "pm2_env": {"namespace": "ns"}});
        assert_eq!(Speaker::read(&entry), app);
        let daemon = Speaker::read(&json!({"pm_id": "PM2", "name": "PM2", "rev": null}));
        for (text, finds_app, finds_daemon) in [
            ("", true, true),
            ("all", true, true),
            ("PM2", false, true),
            ("3", true, false),
            ("web-api", true, false),
            ("web", false, false),
            ("ns", true, false),
            ("/^web/", true, false),
            ("/^api/", false, false),
            ("/(/", false, false),
            ("//", false, false),
        ] {
            let selection = Selection::read(text);
            assert_eq!(
                (selection.includes(&app), selection.includes(&daemon)),
                (finds_app, finds_daemon),
                "{text}"
            );
        }
        assert_eq!(Selection::read("/^web/").text(), "/^web/");
    }
}

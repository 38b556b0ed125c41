//! The app objects in what a configuration file contains.

use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::app;

/// Why no apps can be read from a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ShapeError {
    /// An app is no object.
    #[error("an app must be described by an object, not by {0}")]
    NoObject(&'static str),
    /// `static` is no list of objects.
    #[error("\"static\" must be a list of objects, one for each folder to serve, not {0}")]
    Static(&'static str),
}

/// What a configuration file describes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// One object for each app, as it was written.
    pub apps: Vec<app::Map>,
    /// The section `deploy`: `deploy.<name>.env` goes below the `env_<name>` of each app.
    pub deploy: app::Map,
}

/// The app objects in `{apps: […]}`, `{apps: {…}}`, `{pm2: …}`, `[…]` or one bare app object, and the file servers in
/// `static`.
///
/// # Errors
/// [`ShapeError`].
pub fn read(value: Value) -> Result<Config, ShapeError> {
    let mut whole = match value {
        Value::Array(apps) => return Ok(Config { apps: apps_of(apps)?, deploy: app::Map::new() }),
        other => app_of(other)?,
    };
    let served = whole.shift_remove("static").map(file_servers).transpose()?.unwrap_or_default();
    let deploy = whole.get("deploy").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut found =
        ["apps", "pm2"].iter().find_map(|key| whole.get(*key).filter(|apps| !apps.is_null()).cloned());
    if let Some(Value::Object(pm2)) = &found
        && let Some(apps) = pm2.get("apps")
    {
        found = Some(apps.clone());
    }
    let mut apps = match found {
        Some(Value::Array(apps)) => apps_of(apps)?,
        Some(one) => vec![app_of(one)?],
        // A file with nothing but folders to serve is no app itself.
        None if !served.is_empty() => Vec::new(),
        None => vec![whole],
    };
    apps.extend(served);
    Ok(Config { apps, deploy })
}

fn apps_of(apps: Vec<Value>) -> Result<Vec<app::Map>, ShapeError> {
    apps.into_iter().map(app_of).collect()
}

fn app_of(value: Value) -> Result<app::Map, ShapeError> {
    match value {
        Value::Object(app) => Ok(app),
        other => Err(ShapeError::NoObject(kind_of(&other))),
    }
}

/// One app for each entry of `static`.
fn file_servers(value: Value) -> Result<Vec<app::Map>, ShapeError> {
    let entries = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(entries) => entries,
        other => return Err(ShapeError::Static(kind_of(&other))),
    };
    let server = |entry| match entry {
        Value::Object(entry) => Ok(file_server(&entry)),
        other => Err(ShapeError::Static(kind_of(&other))),
    };
    entries.into_iter().map(server).collect()
}

fn file_server(entry: &app::Map) -> app::Map {
    let port = entry.get("port").cloned().unwrap_or_default();
    let mut env = Map::new();
    for (key, variable) in [
        ("port", "PORT"),
        ("host", "HOST"),
        ("path", "PATH"),
        ("spa", "SPA"),
        ("ftp", "FTP"),
        ("directory", "DIRECTORY"),
    ] {
        if let Some(value) = entry.get(key).filter(|value| !value.is_null()) {
            env.insert(format!("PM2_SERVE_{variable}"), value.clone());
        }
    }
    let credentials = entry.get("basic_auth").filter(|value| value.is_object());
    env.insert("PM2_SERVE_BASIC_AUTH".to_owned(), credentials.is_some().into());
    for (key, variable) in [("username", "USERNAME"), ("password", "PASSWORD")] {
        let value = credentials.and_then(|given| given.get(key)).cloned().unwrap_or_default();
        env.insert(format!("PM2_SERVE_BASIC_AUTH_{variable}"), value);
    }
    if let Some(monitor) = entry.get("monitor").filter(|value| !value.is_null()) {
        env.insert("PM2_SERVE_MONITOR".to_owned(), monitor.clone());
    }
    let shown = port.as_str().map_or_else(|| port.to_string(), str::to_owned);
    let name = entry.get("name").cloned().unwrap_or_else(|| format!("static-page-server-{shown}").into());
    let mut app = app::Map::new();
    app.insert("name".to_owned(), name);
    app.insert("script".to_owned(), app::FILE_SERVER.into());
    app.insert("env".to_owned(), json!(env));
    app
}

/// What a value is, for people.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps(value: Value) -> Result<Value, String> {
        read(value).map(|config| json!(config.apps)).map_err(|error| error.to_string())
    }

    #[test]
    fn all_shapes_give_a_list_of_apps() {
        let app = json!({"script": "a.js"});
        for shape in [
            app.clone(),
            json!([app]),
            json!({"apps": app}),
            json!({"apps": [app]}),
            json!({"pm2": app}),
            json!({"pm2": [app]}),
            json!({"pm2": {"apps": [app]}}),
            json!({"apps": null, "pm2": app}),
            json!({"apps": app, "pm2": {"script": "other.js"}}),
        ] {
            assert_eq!(apps(shape.clone()), Ok(json!([app])), "{shape}");
        }
        assert_eq!(apps(json!({"apps": []})), Ok(json!([])));
        assert_eq!(apps(json!([])), Ok(json!([])));
        for wrong in
            [json!(null), json!(3), json!("a.js"), json!([null]), json!(["a.js"]), json!({"apps": [[]]})]
        {
            let error = apps(wrong.clone()).unwrap_err();
            assert!(error.starts_with("an app must be described by an object, not by "), "{wrong}: {error}");
        }
    }

    #[test]
    fn folders_to_serve_become_apps() {
        let file = json!({"static": [
            {"port": 8080, "path": "./site", "spa": true, "basic_auth": {"username": "u", "password": "p"}},
            {"name": "docs", "port": "81"},
        ]});
        let expected = json!([
            {"name": "static-page-server-8080", "script": "serve", "env": {
                "PM2_SERVE_PORT": 8080, "PM2_SERVE_PATH": "./site", "PM2_SERVE_SPA": true, "PM2_SERVE_BASIC_AUTH": true,
                "PM2_SERVE_BASIC_AUTH_USERNAME": "u", "PM2_SERVE_BASIC_AUTH_PASSWORD": "p",
            }},
            {"name": "docs", "script": "serve", "env": {
                "PM2_SERVE_PORT": "81", "PM2_SERVE_BASIC_AUTH": false, "PM2_SERVE_BASIC_AUTH_USERNAME": null,
                "PM2_SERVE_BASIC_AUTH_PASSWORD": null,
            }},
        ]);
        assert_eq!(apps(file), Ok(expected));
        let file = json!({"apps": [{"name": "a"}], "static": []});
        assert_eq!(apps(file), Ok(json!([{"name": "a"}])));
        assert!(apps(json!({"static": 5})).unwrap_err().contains("not a number"));
    }
}

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

/// The app objects in `{apps: […]}`, `{apps: {…}}`, `{pm2: …}`, `[…]` or one bare app object, and the file servers in
/// `static`.
///
/// `environment` is the name given as `env`: its `deploy.<name>.env` goes below the `env_<name>` of each app.
///
/// # Errors
/// [`ShapeError`].
pub fn apps_of(value: Value, environment: Option<&str>) -> Result<Vec<app::Map>, ShapeError> {
    let mut whole = match value {
        Value::Array(apps) => return apps.into_iter().map(app_of).collect(),
        other => app_of(other)?,
    };
    let served = whole.shift_remove("static").map(file_servers).transpose()?.unwrap_or_default();
    let deployed =
        environment.and_then(|name| whole.get("deploy")?.get(name)?.get("env")?.as_object().cloned());
    let mut found =
        ["apps", "pm2"].iter().find_map(|key| whole.get(*key).filter(|apps| !apps.is_null()).cloned());
    if let Some(Value::Object(pm2)) = &found
        && let Some(apps) = pm2.get("apps")
    {
        found = Some(apps.clone());
    }
    let mut apps = match found {
        Some(Value::Array(apps)) => apps.into_iter().map(app_of).collect::<Result<Vec<_>, _>>()?,
        Some(one) => vec![app_of(one)?],
        // A file with nothing but folders to serve is no app itself.
        None if !served.is_empty() => Vec::new(),
        None => vec![whole],
    };
    if let (Some(deployed), Some(name)) = (deployed, environment) {
        apps.iter_mut().for_each(|app| lay_under(app, &format!("env_{name}"), &deployed));
    }
    apps.extend(served);
    Ok(apps)
}

fn app_of(value: Value) -> Result<app::Map, ShapeError> {
    match value {
        Value::Object(app) => Ok(app),
        other => Err(ShapeError::NoObject(kind_of(&other))),
    }
}

fn lay_under(app: &mut app::Map, key: &str, deployed: &app::Map) {
    let mut variables = deployed.clone();
    match app.get(key) {
        Some(Value::Object(own)) => variables.extend(own.clone()),
        // A wrong type is for the validation to say.
        Some(other) if !other.is_null() => return,
        _ => {}
    }
    app.insert(key.to_owned(), Value::Object(variables));
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

    fn apps(value: Value, environment: Option<&str>) -> Result<Value, String> {
        apps_of(value, environment).map(|apps| json!(apps)).map_err(|error| error.to_string())
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
            assert_eq!(apps(shape.clone(), None), Ok(json!([app])), "{shape}");
        }
        assert_eq!(apps(json!({"apps": []}), None), Ok(json!([])));
        assert_eq!(apps(json!([]), None), Ok(json!([])));
        for wrong in
            [json!(null), json!(3), json!("a.js"), json!([null]), json!(["a.js"]), json!({"apps": [[]]})]
        {
            let error = apps(wrong.clone(), None).unwrap_err();
            assert!(error.starts_with("an app must be described by an object, not by "), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_deployment_environment_lies_below_that_of_the_app() {
        let file = json!({
            "apps": [{"name": "a", "env_p": {"A": "app"}}, {"name": "b"}],
            "deploy": {"p": {"env": {"A": "deploy", "B": "deploy"}}},
        });
        let expected = json!([
            {"name": "a", "env_p": {"A": "app", "B": "deploy"}},
            {"name": "b", "env_p": {"A": "deploy", "B": "deploy"}},
        ]);
        assert_eq!(apps(file.clone(), Some("p")), Ok(expected));
        assert_eq!(apps(file.clone(), Some("q")), Ok(file["apps"].clone()));
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
        assert_eq!(apps(file, None), Ok(expected));
        let file = json!({"apps": [{"name": "a"}], "static": []});
        assert_eq!(apps(file, None), Ok(json!([{"name": "a"}])));
        assert!(apps(json!({"static": 5}), None).unwrap_err().contains("not a number"));
    }
}

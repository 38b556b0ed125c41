//! Configuration files on the command line, and the environments apps get from them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use support::{TestHome, environment};

/// A home whose daemon runs, with a file beside it.
fn home_with(file: &str, text: &str) -> TestHome {
    let home = TestHome::new();
    fs::write(home.path(file), text).unwrap();
    home
}

#[track_caller]
fn run(home: &TestHome, arguments: &[&str]) -> String {
    let output = home.run(arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refused(home: &TestHome, arguments: &[&str]) -> String {
    let output = home.run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn list(home: &TestHome) -> Vec<Value> {
    serde_json::from_str(&run(home, &["jlist"])).unwrap()
}

fn names(home: &TestHome) -> Vec<String> {
    list(home).iter().map(|app| app["name"].as_str().unwrap().to_owned()).collect()
}

fn environ(home: &TestHome, name: &str) -> BTreeMap<String, String> {
    let app = list(home).into_iter().find(|app| app["name"] == name).unwrap();
    environment(i32::try_from(app["pid"].as_i64().unwrap()).unwrap())
}

const SLEEPER: &str = "script: '/bin/sleep', args: '3600', interpreter: 'none'";

#[test]
fn a_javascript_file_is_evaluated_once_by_node() {
    let text = format!(
        "process.env.FROM_FILE = 'set'
         const fs = require('fs')
         fs.appendFileSync(__dirname + '/runs', 'x')
         module.exports = {{apps: [
           {{name: 'one', {SLEEPER}, env: {{A: 1}}, env_production: {{A: 2}}}},
           {{name: 'two', {SLEEPER}}},
         ]}}"
    );
    let home = home_with("ecosystem.config.js", &text);
    let told = run(&home, &["start", "--env", "production", "--only", "one"]);
    assert_eq!(told, "[PM2] [one](0) ✓\n");
    assert_eq!(fs::read_to_string(home.path("runs")).unwrap(), "x");
    let env = environ(&home, "one");
    assert_eq!((env["A"].as_str(), env["FROM_FILE"].as_str()), ("2", "set"));
    run(&home, &["start", "ecosystem.config.js", "--only", "two"]);
    assert_eq!(names(&home), ["one", "two"]);
    run(&home, &["delete", "ecosystem.config.js", "--only", "two"]);
    assert_eq!(names(&home), ["one"]);
    run(&home, &["delete", "ecosystem.config.js"]);
    assert_eq!(names(&home), [""; 0]);
}

#[test]
fn a_restart_through_a_file_takes_removed_variables_away() {
    let file = |env: &str| {
        format!("apps:\n  - name: a\n    script: /bin/sleep\n    args: '3600'\n    interpreter: none\n{env}")
    };
    let home = home_with("apps.yml", &file("    env: {KEPT: one, GONE: two, HOME: /declared}\n"));
    run(&home, &["start", "apps.yml"]);
    let env = environ(&home, "a");
    assert_eq!([&env["KEPT"], &env["GONE"], &env["HOME"]], ["one", "two", "/declared"]);
    fs::write(home.path("apps.yml"), file("    env: {KEPT: changed}\n")).unwrap();
    run(&home, &["restart", "apps.yml"]);
    let env = environ(&home, "a");
    assert_eq!((env["KEPT"].as_str(), env.get("GONE")), ("changed", None));
    // What the declared variable hid is there again.
    assert_eq!(env["HOME"], home.root.path().to_str().unwrap());
    let entry = &list(&home)[0]["pm2_env"];
    assert_eq!((&entry["GONE"], &entry["env"]["GONE"]), (&Value::Null, &Value::Null));
    run(&home, &["restart", "a"]);
    assert!(!environ(&home, "a").contains_key("GONE"));
}

#[test]
fn the_shells_variables_are_taken_when_asked_for() {
    let home = home_with(
        "app.json",
        r#"{"name": "a", "script": "/bin/sleep", "args": "3600", "interpreter": "none", "env": {"A": "file"}}"#,
    );
    run(&home, &["start", "app.json"]);
    let home = home.with("A", "shell").with("B", "shell");
    let told = |arguments: &[&str]| {
        run(&home, arguments);
        let env = environ(&home, "a");
        [env["A"].clone(), env.get("B").cloned().unwrap_or_default()]
    };
    assert_eq!(told(&["restart", "a"]), ["file", ""]);
    assert_eq!(told(&["restart", "a", "--update-env"]), ["shell", "shell"]);
    assert_eq!(told(&["restart", "app.json"]), ["file", "shell"]);
}

#[test]
fn mistakes_name_file_and_place_and_start_nothing() {
    let home = home_with("a.config.js", "module.exports = {\n  apps: [}\n}");
    fs::write(home.path("b.yml"), "a: [1\nb: 2").unwrap();
    fs::write(home.path("good.json"), format!("{{name: 'good', {SLEEPER}}}")).unwrap();
    assert!(refused(&home, &["start", "good.json", "a.config.js"]).contains("a.config.js:2:10"));
    assert!(refused(&home, &["start", "b.yml"]).contains("b.yml:2:"));
    assert_eq!(refused(&home, &["start"]), "[PM2][ERROR] File ecosystem.config.js not found\n");
    assert!(refused(&home, &["stop", "nobody"]).contains("not found"));
    assert_eq!(names(&home), [""; 0]);
    assert!(refused(&home, &["start", "nope.js"]).contains("Script not found"));
}

//! Commands that change processes: `start`, `restart`, `reload`, `stop`, `delete`.
//!
//! A target is what PM2's commands take: a name, an id, a namespace, `all`, a `/pattern/`, a script, or a configuration
//! file, which is read here. Several are taken one after the other; the first failure ends the command.

use std::io;

use anyhow::{Context, anyhow, bail};
use pm2_core::app::{CallerContext, Map};
use pm2_core::client::verbs::{self, Caller, Json, Session, StartRequest, Started, TargetRequest};
use pm2_core::config::{self, ConfigFileError};
use serde_json::Value;

use crate::connected::{environment, folder, home, print, with_session};

/// The five commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Restart,
    Reload,
    Stop,
    Delete,
}

/// The files that `start` looks for when nothing is named, the first one is the one to write.
const DEFAULT_FILES: [&str; 7] = [
    "ecosystem.config.js",
    "ecosystem.config.cjs",
    "ecosystem.config.mjs",
    "ecosystem.json",
    "ecosystem.json5",
    "ecosystem.yml",
    "ecosystem.yaml",
];

/// Does the same to every target.
pub(crate) fn change(verb: Verb, targets: &[String], options: &Map) -> anyhow::Result<()> {
    let present = DEFAULT_FILES.iter().find(|file| folder().join(file).is_file());
    let default = [(*present.unwrap_or(&DEFAULT_FILES[0])).to_owned()];
    let targets = match targets {
        [] => &default,
        targets => targets,
    };
    // Before anything is done: a mistake in the second file must not leave the first half started.
    let targets = targets.iter().map(|target| Target::read(target)).collect::<anyhow::Result<Vec<_>>>()?;
    with_session(async |session| {
        for target in targets {
            let started = change_one(&session, verb, target, options).await?;
            tell(started)?;
        }
        Ok(())
    })
}

struct Target {
    /// A script or processes, unless it is a file.
    name: String,
    /// What the file contains.
    config: Option<Value>,
    caller: Caller,
}

impl Target {
    fn read(target: &str) -> anyhow::Result<Target> {
        let variables = environment().into_iter().map(|(name, value)| (name, Value::from(value)));
        let mut caller = Caller { cwd: folder(), env: variables.collect(), node: "node".into() };
        let mut config = None;
        if config::format_of(target).is_some() {
            let ctx =
                CallerContext::new(caller.cwd.clone(), caller.env.clone(), caller.node.clone(), home()?);
            let found = config::load(target, &ctx).map_err(|error| match &error {
                ConfigFileError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                    anyhow!("File {target} not found")
                }
                // Its text has its source's.
                _ => anyhow!("File {target} malformated: {error}"),
            })?;
            config = Some(found.value);
            // What a JavaScript file sets counts for the apps in it, as if this process had evaluated it.
            caller.env = found.env.unwrap_or(caller.env);
        }
        Ok(Target { name: target.to_owned(), config, caller })
    }
}

async fn change_one(session: &Session, verb: Verb, target: Target, options: &Map) -> anyhow::Result<Started> {
    let Target { name, config, caller: context } = target;
    if verb == Verb::Start {
        let mut options = options.clone();
        let script = config.is_none().then_some(name);
        if script.is_some() {
            // They choose among what a file describes.
            ["only", "env"].into_iter().for_each(|option| drop(options.shift_remove(option)));
        }
        let request = StartRequest { config, script, options, context };
        return Ok(verbs::start(session, &request).await?);
    }
    let target = config.is_none().then(|| Value::from(name));
    let request =
        TargetRequest { target, config, options: options.clone(), context, ..TargetRequest::default() };
    let all = |result: Vec<Json>| Started { result, errors: Vec::new() };
    Ok(match verb {
        Verb::Reload => verbs::reload(session, &request).await?,
        Verb::Stop => all(verbs::stop(session, &request).await?),
        Verb::Delete => all(verbs::delete(session, &request).await?),
        Verb::Start | Verb::Restart => verbs::restart(session, &request).await?,
    })
}

/// One line per process; what could not be started makes the command fail.
fn tell(started: Started) -> anyhow::Result<()> {
    let mut lines = String::new();
    for process in &started.result {
        let process: Value = serde_json::from_str(process.get()).context("the daemon's answer is no JSON")?;
        let env = &process["pm2_env"];
        lines.push_str(&format!(
            "[PM2] [{}]({}) ✓\n",
            env["name"].as_str().unwrap_or_default(),
            env["pm_id"]
        ));
    }
    print(&lines)?;
    let errors: Vec<String> = started.errors.iter().map(ToString::to_string).collect();
    if !errors.is_empty() {
        bail!("{}", errors.join("\n[PM2][ERROR] "));
    }
    Ok(())
}

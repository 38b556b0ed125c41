//! Connections, as JavaScript sees them.

use std::collections::HashMap;

use napi::bindgen_prelude::Object;
use napi::{Either, Env};
use napi_derive::napi;
use pm2_core::client::verbs::{self, Session};
use pm2_core::client::{self, CallError, ConnectRequest, LaunchOptions};
use pm2_core::home::Home;
use pm2_core::protocol::repair_surrogates;
use pm2_core::startup;
use serde_json::Value;

use crate::error::{Refusal, lost};
use crate::lifelines;

/// Which daemon, and what to launch when there is none.
#[napi(object)]
pub struct ConnectOptions {
    /// The home; absent: from `env`.
    pub home: Option<String>,
    /// The executable `pm2-rs`.
    pub executable: String,
    /// The directory a launched daemon works in.
    pub cwd: String,
    /// The caller's environment, JSON text of an object.
    pub env: String,
    /// Whether a launched daemon and its apps end with this process. Default false.
    pub attached: Option<bool>,
    /// Whether to launch a daemon when none listens. Default true.
    pub launch: Option<bool>,
}

/// Which daemon.
#[napi(object)]
pub struct PingOptions {
    /// The home; absent: from `env`.
    pub home: Option<String>,
    /// The caller's environment, JSON text of an object; absent: none.
    pub env: Option<String>,
}

/// Who sets an init system up.
#[napi(object)]
pub struct StartupOptions {
    /// Whether to undo it.
    pub remove: bool,
    /// The executable `pm2-rs`.
    pub executable: String,
    /// The caller's home.
    pub home: String,
    /// The caller's environment, JSON text of an object.
    pub env: String,
}

/// What a connection leads to.
#[napi(object)]
pub struct ConnectionInfo {
    /// Whether connecting launched the daemon.
    pub new_instance: bool,
    /// The home.
    pub home: String,
    /// Path of the request socket, or `tcp://host:port`.
    pub rpc_socket: String,
    /// Path of the event socket, or `tcp://host:port`.
    pub pub_socket: String,
}

/// A live connection to a daemon.
#[napi]
pub struct Connection {
    session: Session,
    launched: bool,
}

/// Connects to the daemon of a home, launching one when none listens. Never rejects for a reason of the system.
#[napi]
pub async fn connect(options: ConnectOptions) -> Either<Connection, Refusal> {
    match open(options).await {
        Ok(connection) => Either::A(connection),
        Err(refusal) => Either::B(refusal),
    }
}

/// Whether a daemon listens; launches none.
#[napi]
pub async fn ping(options: PingOptions) -> napi::Result<bool> {
    let env = read_env(options.env.as_deref().unwrap_or("{}")).map_err(Refusal::from)?;
    let home = home_of(options.home, &env)?;
    Ok(client::ping(&home).await.map_err(Refusal::from)?)
}

/// Makes the daemon start with the machine, or undoes that; `request` is the JSON text of an object.
///
/// The reply is the JSON text of `{result}` or `{error: {message, code?}}`.
#[napi]
pub async fn startup(options: StartupOptions, request: String) -> napi::Result<String> {
    let env = read_env(&options.env).map_err(Refusal::from)?;
    let home = home_of(Some(options.home), &env)?;
    let action = if options.remove { startup::Action::Remove } else { startup::Action::Install };
    let get = |name: &str| env.get(name).cloned();
    Ok(startup::run(action, &repair_surrogates(&request), options.executable.into(), &home, &get).await)
}

#[napi]
impl Connection {
    /// Calls a remote method; `args` is the JSON text of an array with exactly its parameters.
    ///
    /// The reply is the JSON text of `{args: [result?]}` or `{error, stack?}`, as the daemon sent it. An error is
    /// its message, or `{message, code}` for a request that was not sent.
    #[napi(ts_return_type = "Promise<string>")]
    pub fn call<'env>(&self, env: &'env Env, method: String, args: String) -> napi::Result<Object<'env>> {
        let (deferred, promise) = env.create_deferred()?;
        // The request leaves from here: no other thread has to wake up for it.
        self.session.connection.call_text(&method, &args, |reply| {
            let reply = match reply {
                Err(error @ CallError::RequestTooLarge { .. }) => Ok(not_sent(&error)),
                reply => reply.map_err(|error| lost(&error)),
            };
            match reply {
                Ok(reply) => deferred.resolve(move |_| Ok(reply)),
                Err(error) => deferred.reject(error),
            }
        });
        Ok(promise)
    }

    /// Runs a verb with a request, JSON text of an object.
    ///
    /// The reply is the JSON text of `{result}`, `{error: {message, code?, stack?}}` or `{errors, result}`.
    #[napi]
    pub async fn run(&self, verb: String, request: String) -> napi::Result<String> {
        let reply = verbs::run(&self.session, &verb, &request).await.map_err(|error| lost(&error))?;
        if verb == "kill" {
            lifelines::drop_of(&self.session.home);
        }
        Ok(reply)
    }

    /// Settles when the connection has ended; until then it keeps Node's loop alive.
    #[napi]
    pub async fn closed(&self) {
        self.session.connection.closed().await;
    }

    /// Ends the connection; calls under way reject.
    #[napi]
    pub fn close(&self) {
        self.session.connection.close();
    }

    /// Whether connecting launched the daemon.
    #[napi(getter)]
    pub fn launched(&self) -> bool {
        self.launched
    }

    /// What it leads to.
    #[napi]
    pub fn info(&self) -> ConnectionInfo {
        let home = &self.session.home;
        ConnectionInfo {
            new_instance: self.launched,
            home: home.dir.to_string_lossy().into_owned(),
            rpc_socket: home.rpc.to_string(),
            pub_socket: home.bus.to_string(),
        }
    }
}

async fn open(options: ConnectOptions) -> Result<Connection, Refusal> {
    let env = read_env(&options.env)?;
    let home = home_of(options.home, &env)?;
    let launch = options.launch.unwrap_or(true).then(|| LaunchOptions {
        executable: options.executable.into(),
        cwd: options.cwd.into(),
        env: env.into_iter().collect(),
        attached: options.attached.unwrap_or(false),
    });
    let connected = client::connect(&ConnectRequest { home: home.clone(), launch }).await?;
    if connected.launched {
        lifelines::keep(&home, connected.lifeline);
    }
    Ok(Connection {
        session: Session { connection: connected.connection, home },
        launched: connected.launched,
    })
}

/// The variables of an environment; what is no text is left out.
fn read_env(json: &str) -> serde_json::Result<HashMap<String, String>> {
    let env: HashMap<String, Value> = serde_json::from_str(&repair_surrogates(json))?;
    let text = |(name, value)| match value {
        Value::String(value) => Some((name, value)),
        _ => None,
    };
    Ok(env.into_iter().filter_map(text).collect())
}

fn home_of(dir: Option<String>, env: &HashMap<String, String>) -> Result<Home, Refusal> {
    let get = |name: &str| env.get(name).cloned();
    Ok(match dir {
        Some(dir) => Home::at(dir, &get)?,
        None => Home::from_env(&get)?,
    })
}

/// The reply to a request that was not sent.
fn not_sent(error: &CallError) -> String {
    serde_json::json!({ "error": { "message": error.to_string(), "code": error.code() } }).to_string()
}

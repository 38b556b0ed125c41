//! App descriptions as a client sends them to `prepare`, specification `wire.md` §6.1.

use serde_json::{Value, json};

use super::home::TestHome;

impl TestHome {
    /// An app in the form that PM2's client gives it.
    pub(crate) fn app(&self, name: &str, interpreter: &str, script: &str, arguments: &[&str]) -> Value {
        let log = |kind: &str| self.file(&format!("logs/{name}-{kind}.log"));
        json!({
            "name": name, "filter_env": [], "namespace": "default",
            "env": {"PATH": std::env::var("PATH").unwrap(), "PM2_HOME": self.dir, name: {}},
            "merge_logs": true, "vizion": true, "autostart": true, "autorestart": true, "watch": false,
            "instance_var": "NODE_APP_INSTANCE", "pmx": true, "automation": true, "treekill": true,
            "username": "tester", "windowsHide": true, "kill_retry_time": 100, "node_args": [],
            "pm_exec_path": script, "pm_cwd": self.root.path(), "exec_interpreter": interpreter,
            "exec_mode": "fork_mode", "instances": 1, "args": arguments,
            "pm_out_log_path": log("out"), "pm_err_log_path": log("error"),
            "pm_pid_path": self.file(&format!("pids/{name}.pid")), "km_link": false
        })
    }

    /// An app that does nothing and ends at the first signal.
    pub(crate) fn sleeper(&self, name: &str) -> Value {
        self.app(name, "none", "/bin/sleep", &["3600"])
    }

    /// A shell script.
    pub(crate) fn shell(&self, name: &str, text: &str) -> Value {
        let path = self.path(&format!("{name}.sh"));
        std::fs::write(&path, text).unwrap();
        self.app(name, "sh", path.to_str().unwrap(), &[])
    }

    /// A shell script that counts as started when it says so: `echo '"ready"' >&3`.
    pub(crate) fn ready_shell(&self, name: &str, text: &str) -> Value {
        let mut app = self.shell(name, text);
        app["wait_ready"] = json!(true);
        app["listen_timeout"] = json!(30_000);
        app
    }

    /// A Node script.
    pub(crate) fn node(&self, name: &str, text: &str) -> Value {
        let path = self.path(&format!("{name}.cjs"));
        std::fs::write(&path, text).unwrap();
        self.app(name, "node", path.to_str().unwrap(), &[])
    }
}

//! Verbs against a daemon of canned replies: which calls they make, and what they make of the answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::*;
use crate::client::{CallError, Connection};
use crate::home::Home;
use crate::protocol::{Decoder, Reply, Request, decode_request, encode_reply, encode_success};

/// What the daemon does with a call: the result, an error text, or silence.
enum Answer {
    Result(Value),
    Refuse(&'static str),
    Silence,
    HangUp,
}

type Handler = dyn Fn(&str, &[Value]) -> Answer + Send + Sync;

struct Stage {
    dir: TempDir,
    session: Session,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    async fn new(handler: impl Fn(&str, &[Value]) -> Answer + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"), &|_| None).unwrap();
        home.create().unwrap();
        let listener = UnixListener::bind(home.dir.join("rpc.sock")).unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (handler, seen): (Arc<Handler>, _) = (Arc::new(handler), Arc::clone(&calls));
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            serve(stream, handler, seen).await;
        });
        let connection = Connection::open(&home.rpc).await.unwrap();
        let session = Session { connection, home };
        Self { dir, session, calls }
    }

    async fn run(&self, verb: &str, request: Value) -> Result<Value, CallError> {
        let text = request.to_string();
        let reply = timeout(Duration::from_secs(10), run(&self.session, verb, &text));
        let reply = reply.await.expect("must not hang")?;
        Ok(serde_json::from_str(&reply).unwrap())
    }

    async fn check(&self, verb: &str, request: Value, expected: Value) {
        let reply = self.run(verb, request.clone()).await.unwrap();
        assert_eq!(reply, expected, "{verb} {request}");
    }

    /// The calls since the last look; of long arguments only the beginning.
    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    fn context(&self) -> Value {
        json!({ "cwd": self.dir.path(), "env": {"PATH": "/usr/bin:/bin"}, "node": "/bin/true" })
    }

    /// An executable script; gives its path.
    fn script(&self, name: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        path.to_str().unwrap().to_owned()
    }
}

async fn serve(mut stream: UnixStream, handler: Arc<Handler>, calls: Arc<Mutex<Vec<String>>>) {
    let mut decoder = Decoder::default();
    let mut bytes = [0; 4096];
    loop {
        while let Some(message) = decoder.next().unwrap() {
            let message = decode_request(message).unwrap();
            let Request::Call { method, args } = message.request.unwrap() else {
                panic!("not a call");
            };
            let args: Vec<Value> =
                args.iter().map(|argument| serde_json::from_str(argument.get()).unwrap()).collect();
            let shown = match method.as_str() {
                "prepare" => args[0]["name"].to_string(),
                _ => args.iter().map(Value::to_string).collect::<Vec<_>>().join(" "),
            };
            calls.lock().unwrap().push(format!("{method} {shown}"));
            let frame = match handler(&method, &args) {
                Answer::Result(result) => encode_success(&message.id, &json!([result]).to_string()),
                Answer::Refuse(message_text) => {
                    let (message_text, stack) = (message_text.to_owned(), None);
                    let reply = Reply::Error { message: message_text, stack };
                    encode_reply(&message.id, &reply)
                }
                Answer::Silence => continue,
                Answer::HangUp => return,
            };
            stream.write_all(&frame).await.unwrap();
        }
        match stream.read(&mut bytes).await {
            Ok(n_bytes) if n_bytes > 0 => decoder.feed(&bytes[..n_bytes]),
            _ => return,
        }
    }
}

fn process(id: u64, name: &str, status: &str) -> Value {
    json!({
        "pid": 100 + id, "name": name, "pm_id": id, "monit": {},
        "pm2_env": {
            "name": name, "pm_id": id, "namespace": "default", "status": status, "restart_time": 1,
            "pm_exec_path": format!("/srv/{name}.js"), "env": {"A": "1"},
        },
    })
}

fn compact(id: u64, name: &str, status: &str) -> Value {
    json!({
        "name": name, "namespace": "default", "pm_id": id, "status": status, "restart_time": 1,
        "pm2_env": {
            "name": name, "namespace": "default", "pm_id": id, "status": status, "restart_time": 1,
            "env": {"A": "1"},
        },
    })
}

/// A daemon with the processes `a` (0), `b` (1, 2) and the broken `c` (3).
fn usual(method: &str, args: &[Value]) -> Answer {
    let name_of = |id: &Value| match id.as_u64() {
        Some(0) => "a",
        Some(1 | 2) => "b",
        _ => "c",
    };
    let process_of = |id: &Value, status: &str| {
        let number = id.as_u64().unwrap();
        Answer::Result(process(number, name_of(id), status))
    };
    match method {
        "getMonitorData" => {
            let mut broken = process(3, "c", "errored");
            broken["pid"] = Value::Null;
            Answer::Result(json!([
                process(0, "a", "online"),
                process(1, "b", "online"),
                process(2, "b", "stopped"),
                broken,
            ]))
        }
        "stopWatch" => Answer::Result(json!({"success": true})),
        "notifyByProcessId" => Answer::Refuse("process id doesnt exists"),
        "stopProcessId" | "deleteProcessId" if args[0] == 3 => {
            Answer::Result(json!({"error": true, "message": "could not kill process w/o pid"}))
        }
        "stopProcessId" | "deleteProcessId" => process_of(&args[0], "stopped"),
        "restartProcessId" | "reloadProcessId" if args[0]["id"] == 3 => Answer::Refuse("spawn x ENOENT"),
        "restartProcessId" | "reloadProcessId" => process_of(&args[0]["id"], "online"),
        "prepare" if args[0]["name"] == "bad" => Answer::Refuse("EISDIR: log"),
        "prepare" => Answer::Result(json!([{"pm2_env": {"name": args[0]["name"]}}])),
        "notifyKillPM2" => Answer::Silence,
        "killMe" => Answer::HangUp,
        _ => Answer::Refuse("method does not exist"),
    }
}

#[tokio::test]
async fn stop_switches_watching_off_and_tells() {
    let stage = Stage::new(usual).await;
    let expected = json!({"result": [compact(0, "a", "stopped")]});
    stage.check("stop", json!({"target": "a"}), expected).await;
    assert_eq!(
        stage.calls(),
        [
            "getMonitorData {}",
            "stopWatch \"stopProcessId\" 0",
            "stopProcessId 0",
            "notifyByProcessId {\"id\":0,\"action_name\":\"stop\",\"manually\":true}",
        ]
    );
}

#[tokio::test]
async fn stop_leaves_out_what_has_no_process() {
    let stage = Stage::new(usual).await;
    stage.check("stop", json!({"target": "c"}), json!({"result": []})).await;
}

#[tokio::test]
async fn stop_of_a_file_skips_unknown_names() {
    let stage = Stage::new(usual).await;
    let request = json!({
        "config": [{"name": "nope", "script": "x"}, {"script": "./a.js"}],
        "context": stage.context(),
    });
    let expected = json!({"result": [process(0, "a", "stopped")]});
    stage.check("stop", request, expected).await;
}

#[tokio::test]
async fn restart_of_names_starts_nothing() {
    let stage = Stage::new(usual).await;
    let request = json!({
        "config": [{"name": "nope", "script": "x"}, {"script": "./a.js", "max_restarts": 3}],
        "names_only": true,
        "context": stage.context(),
    });
    stage.check("restart", request, json!({"result": [process(0, "a", "online")]})).await;
    assert_eq!(stage.calls()[1..2], [r#"restartProcessId {"id":0,"env":{"current_conf":{}}}"#]);
}

#[tokio::test]
async fn a_request_too_large_is_an_error_of_its_own() {
    let stage = Stage::new(usual).await;
    let script = stage.script("job.sh");
    let app = json!({"name": "new", "script": script, "env": {"BIG": "x".repeat(65 << 20)}});
    let request = json!({"config": [app], "context": stage.context()});
    let reply = stage.run("start", request).await.unwrap();
    assert_eq!(reply["errors"][0]["code"], "PM2_REQUEST_TOO_LARGE", "{reply}");
    stage.check("stop", json!({"target": "c"}), json!({"result": []})).await;
}

#[tokio::test]
async fn delete_takes_every_kind_of_target() {
    let stage = Stage::new(usual).await;
    let expected = json!({"result": [compact(1, "b", "stopped"), compact(2, "b", "stopped")]});
    stage.check("delete", json!({"target": "/^b/", "options": {"parallel": 1}}), expected).await;
    let calls = stage.calls().join("\n");
    assert!(calls.contains("stopWatch \"deleteProcessId\" 1\ndeleteProcessId 1"), "{calls}");
    assert!(!calls.contains("notify"), "{calls}");
}

#[tokio::test]
async fn refusals_keep_the_texts_of_pm2() {
    let stage = Stage::new(usual).await;
    let check = async |verb: &str, target: Value, message: &str| {
        let reply = stage.run(verb, json!({"target": target})).await.unwrap();
        assert_eq!(reply["error"]["message"], message, "{verb} {target}");
    };
    check("stop", json!("nope"), "process or namespace not found").await;
    check("stop", json!("/nope/"), "process name not found").await;
    check("stop", json!(99), "99 : id unknown").await;
    check("delete", json!("99"), "99 : id unknown").await;
    check("restart", json!(99), "God db process id unknown").await;
    check("reload", json!(99), "PM2 ID unknown").await;
    check("restart", json!(["a", "c"]), "spawn x ENOENT").await;
    check("restart", json!(null), "a process is named by a number or a string, not by null").await;
    let reply = stage.run("fly", json!({})).await.unwrap();
    assert_eq!(reply["error"]["code"], "PM2_UNKNOWN_VERB");
}

#[tokio::test]
async fn restart_sends_only_what_was_written() {
    let stage = Stage::new(usual).await;
    let context = json!({"cwd": "/", "env": {"NEW": "1", "status": "x"}, "node": "node"});
    let expected = json!({"result": [compact(0, "a", "online")]});
    let request = json!({"target": 0, "options": {}, "context": context});
    stage.check("restart", request, expected.clone()).await;
    let call = r#"restartProcessId {"id":0,"env":{"current_conf":{}}}"#;
    assert_eq!(stage.calls()[1], call);
    let options = json!({"updateEnv": true, "parallel": 3, "max_memory_restart": "1K"});
    let request = json!({"target": 0, "options": options, "context": context});
    stage.check("restart", request, expected).await;
    let call = r#"restartProcessId {"id":0,"env":{"NEW":"1","current_conf":{"max_memory_restart":1024}}}"#;
    assert_eq!(stage.calls()[1], call);
    let request = json!({"target": 0, "options": {"env": "production"}});
    let reply = stage.run("restart", request).await.unwrap();
    let message = reply["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("Using --env"), "{message}");
}

#[tokio::test]
async fn one_reload_at_a_time() {
    let stage = Stage::new(usual).await;
    let expected = json!({"result": [compact(0, "a", "online")]});
    stage.check("reload", json!({"target": "a"}), expected.clone()).await;
    let lock = &stage.session.home.reload_lock_file;
    assert_eq!(std::fs::read_to_string(lock).unwrap(), "");
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    std::fs::write(lock, now.to_string()).unwrap();
    let reply = stage.run("reload", json!({"target": "a"})).await.unwrap();
    assert_eq!(reply["error"]["message"], "Reload in progress");
    let forced = json!({"target": "a", "options": {"force": true}});
    stage.check("reload", forced, expected).await;
}

#[tokio::test]
async fn start_of_apps_restarts_known_names_and_collects_errors() {
    let stage = Stage::new(usual).await;
    let script = stage.script("job.sh");
    let request = json!({
        "config": [
            {"name": "a", "script": "a.js", "max_restarts": 3},
            {"name": "new", "script": script},
            {"name": "bad", "script": script},
            {"name": "lost", "script": "./nowhere.sh"},
            {"name": "c", "script": script},
        ],
        "context": stage.context(),
    });
    let reply = stage.run("start", request).await.unwrap();
    let mut messages: Vec<_> = reply["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["message"].as_str().unwrap().to_owned())
        .collect();
    messages.sort();
    let lost = stage.dir.path().join("nowhere.sh");
    let not_found = format!("Script not found: {}", lost.display());
    assert_eq!(messages, ["EISDIR: log", &not_found, "spawn x ENOENT"]);
    let result = reply["result"].as_array().unwrap();
    assert_eq!(result.len(), 2);
    assert!(result.contains(&compact(0, "a", "online")));
    assert!(result.contains(&json!({"pm2_env": {"name": "new"}})));
    let calls = stage.calls();
    let restart = calls.iter().find(|call| call.starts_with("restartProcessId {\"id\":0"));
    assert!(restart.unwrap().contains(r#""max_restarts":3"#));
}

#[tokio::test]
async fn start_of_apps_refuses_all_for_one_mistake() {
    let stage = Stage::new(usual).await;
    let request = json!({
        "config": [{"name": "new", "script": "x.sh"}, {"name": "y", "script": "y", "max_restarts": "no"}],
        "context": stage.context(),
    });
    let reply = stage.run("start", request).await.unwrap();
    let message = reply["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("Expect \"max_restarts\""), "{message}");
    assert_eq!(stage.calls(), [""; 0]);
    let empty = json!({"config": [], "context": stage.context()});
    stage.check("start", empty, json!({"result": []})).await;
    let nothing = json!({"config": [{}], "context": stage.context()});
    let expected = json!({"errors": [{"message": "No script path - aborting"}], "result": []});
    stage.check("start", nothing, expected).await;
}

#[tokio::test]
async fn apps_of_one_name_share_its_processes() {
    let stage = Stage::new(usual).await;
    let app = |restarts: u64| json!({"name": "b", "script": "b.js", "max_restarts": restarts});
    let request = json!({"config": [app(5), app(6)], "context": stage.context()});
    let reply = stage.run("start", request).await.unwrap();
    assert_eq!(reply["result"].as_array().unwrap().len(), 2, "{reply}");
    let calls = stage.calls();
    let restarts: Vec<_> = calls.iter().filter(|call| call.starts_with("restart")).collect();
    assert_eq!(restarts.len(), 2);
    let has = |id: u64, max: u64| {
        restarts.iter().any(|call| {
            call.contains(&format!("{{\"id\":{id},")) && call.contains(&format!("\"max_restarts\":{max}"))
        })
    };
    assert!(has(1, 5) && has(2, 6), "{restarts:?}");
}

#[tokio::test]
async fn start_of_a_script_follows_the_order_of_pm2() {
    let stage = Stage::new(|method: &str, args: &[Value]| match method {
        "getMonitorData" => {
            let mut up = process(0, "a", "online");
            up["pm2_env"]["pm_exec_path"] = std::fs::canonicalize("/bin/sh").unwrap().to_str().into();
            let mut down = up.clone();
            down["pm_id"] = 1.into();
            down["name"] = "b".into();
            down["pm2_env"]["status"] = "stopped".into();
            Answer::Result(json!([up, down]))
        }
        _ => usual(method, args),
    })
    .await;
    let sh = std::fs::canonicalize("/bin/sh").unwrap();
    let check = async |script: &str, options: Value, expected: Result<Value, &str>| {
        let request = json!({"script": script, "options": options, "context": stage.context()});
        let reply = stage.run("start", request).await.unwrap();
        match expected {
            Ok(expected) => assert_eq!(reply, json!({"result": [expected]}), "{script}"),
            Err(message) => assert_eq!(reply["error"]["message"], message, "{script}"),
        }
    };
    let sh = sh.to_str().unwrap();
    let new = |name: &str| Ok(json!({"pm2_env": {"name": name}}));
    check("a", json!({}), Ok(compact(0, "a", "online"))).await;
    check("1", json!({}), Ok(compact(1, "b", "online"))).await;
    check("9", json!({}), Err("God db process id unknown")).await;
    check(sh, json!({"name": "a"}), Err("Script already launched")).await;
    check(sh, json!({"name": "a", "force": true}), new("a")).await;
    check(sh, json!({"name": "b"}), Ok(compact(1, "b", "online"))).await;
    check(sh, json!({"name": "other"}), new("other")).await;
    check(
        "./gone.sh",
        json!({}),
        Err(&format!("Script not found: {}", stage.dir.path().join("gone.sh").display())),
    )
    .await;
    check(sh, json!({"name": "bad"}), Err("EISDIR: log")).await;
}

#[tokio::test]
async fn looking_changes_nothing() {
    let stage = Stage::new(usual).await;
    let b = [process(1, "b", "online"), process(2, "b", "stopped")];
    stage.check("describe", json!({"target": "b"}), json!({"result": b})).await;
    stage.check("describe", json!({"target": "nope"}), json!({"result": []})).await;
    stage.check("pid", json!({"name": "c"}), json!({"result": [0]})).await;
    stage.check("pid", json!({}), json!({"result": [100, 101, 102, 0]})).await;
    stage.check("idByName", json!({"name": "b"}), json!({"result": [1, 2]})).await;
    let by_path = json!({"name": "a.js", "context": {"cwd": "/srv"}});
    stage.check("idByName", by_path, json!({"result": [0]})).await;
}

#[tokio::test]
async fn kill_ends_when_the_connection_does() {
    let stage = Stage::new(usual).await;
    let success = json!({"result": {"success": true}});
    stage.check("kill", json!({}), success.clone()).await;
    let calls = stage.calls();
    assert_eq!(calls[0], "notifyKillPM2 {}");
    let n_deleted = calls.iter().filter(|call| call.starts_with("deleteProcessId")).count();
    assert_eq!(n_deleted, 4);
    assert_eq!(calls[calls.len() - 2..], ["stopWatch \"deleteAll\" {}", "killMe {}"]);
    // Again: nothing is there any more.
    stage.check("kill", json!({}), success).await;
}

#[tokio::test]
async fn saving_and_restoring() {
    let stage = Stage::new(usual).await;
    let home = &stage.session.home;
    stage.check("dump", json!({}), json!({"result": {"success": true}})).await;
    let text = std::fs::read_to_string(&home.dump_file).unwrap();
    assert!(text.contains("\"name\": \"a\"") && !text.contains("pm_id"), "{text}");
    std::fs::write(&home.dump_file, r#"[{"name":"a"},{"name":"x"},{"name":"bad"}]"#).unwrap();
    let expected = json!({
        "errors": [{"message": "bad: EISDIR: log"}],
        "result": [{"pm2_env": {"name": "x"}}],
    });
    stage.check("resurrect", json!({}), expected).await;
    stage.check("clearDump", json!({}), json!({"result": {"success": true}})).await;
    assert_eq!(std::fs::read_to_string(&home.dump_file).unwrap(), "[]");
    std::fs::write(&home.dump_file, "garbage").unwrap();
    std::fs::write(&home.dump_backup_file, "garbage").unwrap();
    let reply = stage.run("resurrect", json!({})).await.unwrap();
    assert!(reply["error"]["message"].is_string());
}

#[tokio::test]
async fn an_empty_list_needs_force() {
    let stage = Stage::new(|_: &str, _: &[Value]| Answer::Result(json!([]))).await;
    let dump_file = &stage.session.home.dump_file;
    let reply = stage.run("dump", json!({})).await.unwrap();
    let message = "Process list empty, cannot save empty list";
    assert_eq!(reply["error"]["message"], message);
    assert_eq!(std::fs::read_to_string(dump_file).unwrap(), "[]");
    for forced in [json!({"force": true}), json!({"context": {"env": {"FORCE": "1"}}})] {
        let reply = stage.run("dump", forced).await.unwrap();
        assert_eq!(reply["result"]["success"], true);
    }
}

#[tokio::test]
async fn a_daemon_that_dies_rejects_and_does_not_hang() {
    for verb in ["stop", "restart", "reload", "delete", "describe", "dump"] {
        let stage = Stage::new(|method: &str, args: &[Value]| match method {
            "stopProcessId" | "deleteProcessId" | "restartProcessId" | "reloadProcessId" => Answer::HangUp,
            "getMonitorData" if args.len() == 1 => usual(method, args),
            _ => usual(method, args),
        })
        .await;
        if matches!(verb, "describe" | "dump") {
            stage.session.connection.close();
        }
        let error = stage.run(verb, json!({"target": "all"})).await.unwrap_err();
        assert_eq!(error.code(), "PM2_CONNECTION_LOST", "{verb}");
    }
}

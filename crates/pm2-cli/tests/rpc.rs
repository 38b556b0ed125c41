//! The remote methods: results, error texts, and everything a client can do wrong.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use nix::sys::signal::Signal;
use pm2_core::protocol::{Argument, Reply, decode_reply, encode_call};
use serde_json::{Value, json};
use support::{Client, TestHome, eventually, is_alive, subscribe, until, wait_for_end};

fn pid_of(entry: &Value) -> i32 {
    i32::try_from(entry["pid"].as_i64().unwrap()).unwrap()
}

/// Every member that a client relies on, specification `wire.md` §10.
#[track_caller]
fn assert_is_process(entry: &Value) {
    for key in ["pid", "name", "pm_id", "pm2_env"] {
        assert!(!entry[key].is_null(), "{key} in {entry}");
    }
    for key in [
        "name",
        "namespace",
        "pm_id",
        "status",
        "restart_time",
        "unstable_restarts",
        "exec_mode",
        "pm_exec_path",
        "pm_cwd",
        "exec_interpreter",
        "node_args",
        "watch",
        "username",
        "pm_out_log_path",
        "pm_err_log_path",
        "pm_pid_path",
        "env",
        "axm_actions",
        "axm_monitor",
        "axm_options",
        "axm_dynamic",
        "pm_uptime",
        "created_at",
        "NODE_APP_INSTANCE",
        "unique_id",
    ] {
        assert!(!entry["pm2_env"][key].is_null(), "pm2_env.{key} in {entry}");
    }
}

#[test]
fn the_listing_has_pm2s_methods() {
    let home = TestHome::new();
    home.start();
    let methods = home.client().methods();
    for (name, parameters) in [
        ("killMe", json!([])),
        ("prepare", json!(["env", "cb"])),
        ("getMonitorData", json!(["env", "cb"])),
        ("stopWatch", json!(["method", "value", "fn"])),
        ("sendSignalToProcessName", json!(["opts", "cb"])),
        ("reloadLogs", json!(["opts", "cb"])),
    ] {
        assert_eq!(methods[name], json!({"name": name, "params": parameters}));
    }
    assert_eq!(methods.keys().next().unwrap(), "killMe");
}

#[test]
fn questions_about_the_daemon() {
    let home = TestHome::new();
    let pid = home.start();
    let mut client = home.client();
    assert_eq!(client.call("ping", json!({})).unwrap(), json!({"msg": "pong"}));
    assert_eq!(client.call("getVersion", json!({})).unwrap(), "7.0.4");
    assert_eq!(client.call("getOwnVersion", json!({})).unwrap(), env!("CARGO_PKG_VERSION"));
    assert!(client.call("getSystemData", json!({})).unwrap().is_object());
    assert_eq!(client.list(), [] as [Value; 0]);
    client.start(home.sleeper("a"));
    let report = client.call("getReport", json!({})).unwrap();
    assert_eq!((&report["pm2_version"], &report["managed_apps"]), (&json!("7.0.4"), &json!(1)));
    assert_eq!(report["env"]["PM2_HOME"], home.dir.to_str().unwrap());
    assert!(report["argv"].is_array() && report["uid"].is_u64() && report["started_at"].is_i64());
    assert!(is_alive(pid));
}

#[test]
fn one_app_through_all_its_methods() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let started = client.start(home.sleeper("a"));
    assert_is_process(&started);
    assert_eq!(
        (&started["process"]["pid"], &started["pm2_env"]["status"]),
        (&started["pid"], &json!("online"))
    );

    let entry = client.entry(0);
    assert_is_process(&entry);
    assert!(entry["monit"]["memory"].as_u64().unwrap() > 0 && entry["monit"]["cpu"].is_number());

    for id in [json!(0), json!("0")] {
        let stopped = client.call("stopProcessId", id).unwrap();
        assert_eq!((&stopped["pid"], &stopped["pm2_env"]["status"]), (&json!(0), &json!("stopped")));
    }
    assert_eq!(client.call("stopProcessId", json!({"id": 0})).unwrap()["pm_id"], 0);
    assert_eq!(client.entry(0)["monit"], json!({"memory": 0, "cpu": 0}));

    let again = client.call("startProcessId", json!("0")).unwrap();
    assert_ne!(again["pid"], started["pid"]);
    assert_eq!(client.call("startProcessId", json!(0)).unwrap_err(), "process already online");

    let restart = json!({"id": 0, "env": {"NEW": "1", "current_conf": {"kill_timeout": 77, "env": {}}}});
    let restarted = client.call("restartProcessId", restart).unwrap();
    assert_is_process(&restarted);
    assert_eq!(restarted["pm2_env"]["restart_time"], 1);
    assert_eq!(
        (&restarted["pm2_env"]["kill_timeout"], &restarted["pm2_env"]["NEW"]),
        (&json!(77), &json!("1"))
    );
    assert_eq!(support::environment(pid_of(&restarted))["NEW"], "1");

    for method in ["reloadProcessId", "softReloadProcessId"] {
        assert_is_process(&client.call(method, json!({"id": "0", "env": {}})).unwrap());
    }
    assert_eq!(client.entry(0)["pm2_env"]["restart_time"], 3);
    let all = client.call("resetMetaProcessId", json!(0)).unwrap();
    assert_eq!(all[0]["pm2_env"]["restart_time"], 0);

    let copy = client.call("duplicateProcessId", json!(0)).unwrap();
    assert_eq!((&copy["pm_id"], &copy["pm2_env"]["NODE_APP_INSTANCE"]), (&json!(1), &json!(1)));
    assert_ne!(copy["pm2_env"]["unique_id"], restarted["pm2_env"]["unique_id"]);

    let success = |id: u64| json!({"success": true, "pm_id": id});
    assert_eq!(client.call("monitor", json!(1)).unwrap(), success(1));
    assert_eq!(client.entry(1)["pm2_env"]["_km_monitored"], true);
    assert_eq!(client.call("unmonitor", json!("1")).unwrap(), success(1));
    assert_eq!(client.entry(1)["pm2_env"]["_km_monitored"], false);

    for args in [json!(["stopProcessId", 0]), json!(["deleteAll", {"pid": 1}]), json!(["x", null])] {
        assert_eq!(client.call_with("stopWatch", &args).unwrap(), json!([{"success": true}]));
    }
    let notify = json!({"id": 0, "action_name": "restart", "manually": true});
    assert_eq!(client.call_with("notifyByProcessId", &json!([notify])).unwrap(), json!([]));
    assert_eq!(client.call("reloadLogs", json!({})).unwrap(), json!({}));

    let packet = json!({"id": 0, "topic": "t", "data": {"a": 1}, "more": [1]});
    let sent = client.call("sendDataToProcessId", packet.clone()).unwrap();
    assert_eq!(sent, json!({"success": true, "data": packet}));
    let line = json!({"pm_id": 0, "line": "hello\n"});
    assert_eq!(client.call("sendLineToStdin", line.clone()).unwrap(), line);

    let all = client.call("sendSignalToProcessId", json!({"process_id": 0, "signal": "SIGCONT"})).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 2);
    let all = client.call("sendSignalToProcessName", json!({"process_name": "a", "signal": 18})).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 2);

    let deleted = client.call("deleteProcessId", json!("0")).unwrap();
    assert_eq!((&deleted["pm_id"], &deleted["pm2_env"]["status"]), (&json!(0), &json!("stopped")));
    client.call("deleteProcessId", json!(1)).unwrap();
    assert_eq!(client.list(), [] as [Value; 0]);
    assert_eq!(client.start(home.sleeper("b"))["pm_id"], 0, "an empty table counts from 0 again");
}

#[test]
fn error_texts_are_pm2s() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    client.start(home.sleeper("a"));
    client.start(home.sleeper("off"));
    client.call("stopProcessId", json!(1)).unwrap();
    let mut check = |method: &str, argument: Value, expected: &str| {
        assert_eq!(client.call(method, argument.clone()), Err(expected.to_owned()), "{method} {argument}");
    };
    check("startProcessId", json!(9), "9 id unknown");
    check("stopProcessId", json!(9), "9 : id unknown");
    check("stopProcessId", json!({"id": 9}), "9 : id unknown");
    check("deleteProcessId", json!("9"), "9 : id unknown");
    check("duplicateProcessId", json!(9), "9 id unknown");
    check("resetMetaProcessId", json!("x"), "x id unknown");
    check("restartProcessId", json!({}), "opts.id not passed to restartProcessId");
    check("restartProcessId", json!({"id": null}), "opts.id not passed to restartProcessId");
    check("restartProcessId", json!({"id": 9}), "God db process id unknown");
    check("reloadProcessId", json!({"id": 9}), "PM2 ID unknown");
    check("softReloadProcessId", json!({"id": 9}), "pm_id 9 not available in 9");
    check("monitor", json!(9), "Unknown pm_id");
    check("unmonitor", json!(null), "Unknown pm_id");
    check("notifyByProcessId", json!({}), "process id missing");
    check("notifyByProcessId", json!({"id": 9}), "process id doesnt exists");
    check("sendDataToProcessId", json!({"id": 0}), "ID, DATA or TOPIC field is missing");
    check("sendDataToProcessId", json!({"id": 9, "data": 1, "topic": "t"}), "Process with ID <9> unknown.");
    check("sendDataToProcessId", json!({"id": 1, "data": 1, "topic": "t"}), "Process with ID <1> offline.");
    check("sendLineToStdin", json!({"pm_id": 0}), "pm_id or line field missing");
    check("sendLineToStdin", json!({"pm_id": 9, "line": "x"}), "Process with ID <9> unknown.");
    check("sendLineToStdin", json!({"pm_id": 1, "line": "x"}), "Process with ID <1> offline.");
    check("sendSignalToProcessId", json!({"process_id": 9, "signal": "SIGUSR1"}), "9 id unknown");
    let unknown = "Error when sending signal (signal unknown)";
    check("sendSignalToProcessId", json!({"process_id": 0, "signal": "SIGX"}), unknown);
    check(
        "sendSignalToProcessName",
        json!({"process_name": "z", "signal": "SIGUSR1"}),
        "Unknown process name",
    );
    check("sendSignalToProcessName", json!({"process_name": "a", "signal": "SIGX"}), "Unknown signal: SIGX");
    check("noSuchMethod", json!({}), r#"method "noSuchMethod" does not exist"#);
    for name in ["__proto__", "constructor", "toString", "", " ping", "PING"] {
        let expected = if name.is_empty() {
            ".method required".to_owned()
        } else {
            format!("method \"{name}\" does not exist")
        };
        check(name, json!({}), &expected);
    }
}

#[test]
fn an_app_that_lacks_something_is_refused_with_a_text() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    for key in ["env", "name", "pm_exec_path", "pm_pid_path"] {
        let mut app = home.sleeper("a");
        app.as_object_mut().unwrap().remove(key);
        assert!(client.call("prepare", app.clone()).unwrap_err().contains(key), "{key}");
        app[key] = json!(5);
        assert!(client.call("prepare", app).unwrap_err().contains(key), "{key}");
    }
    for instances in [json!("many"), json!([]), json!({}), json!(true), json!(1e12)] {
        let mut app = home.sleeper("a");
        app["instances"] = instances.clone();
        assert!(client.call("prepare", app).is_err(), "{instances}");
    }
    assert_eq!(client.list(), [] as [Value; 0]);
}

/// One value of every JSON type, with some of the nastier members.
fn strange_values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(4_294_967_296_u64),
        json!(""),
        json!("x"),
        json!("_old_0"),
        json!("-0"),
        json!("\u{0}"),
        json!([]),
        json!([null]),
        json!([[[]]]),
        json!({}),
        json!({"id": null}),
        json!({"id": {}}),
        json!({"id": [0]}),
        json!({"id": "x", "env": 5}),
        json!({"id": 0, "env": {"current_conf": 3}}),
        json!({"pm_id": {}, "line": 5}),
        json!({"pm_id": 0, "line": null}),
        json!({"process_id": 0, "signal": null}),
        json!({"process_id": 0, "signal": 0}),
        json!({"process_id": 0, "signal": -9}),
        json!({"process_id": 0, "signal": 1e9}),
        json!({"process_name": null, "signal": {}}),
        json!({"process_name": [], "signal": "SIGKILL"}),
        json!({"id": 0, "data": null}),
        json!({"id": 0, "action_name": {}, "manually": 7}),
        json!({"name": "x", "msg": {}}),
        json!({"id": 0, "msg": null}),
        json!({"pwd": 5, "timeout": "x"}),
    ]
}

#[test]
fn no_argument_to_any_method_ends_the_daemon() {
    let home = TestHome::new();
    let pid = home.start();
    let mut client = home.client();
    let names: Vec<String> = client.methods().keys().cloned().collect();
    let mut n_calls = 0;
    // The third one succeeds by ending the connection; it has tests of its own.
    let special = ["killMe", "notifyKillPM2", "upgrade"];
    for name in names.iter().filter(|name| !special.contains(&name.as_str())) {
        // Profiling takes seconds and cannot be asked for by mistake.
        if name.starts_with("profile") {
            continue;
        }
        let mut lists: Vec<Value> = strange_values().into_iter().map(|value| json!([value])).collect();
        lists.extend(strange_values().into_iter().map(|value| json!([value.clone(), value])));
        lists.extend([json!([]), json!([0, 0, 0]), json!([{}, {}, {}, {}]), json!(vec![0; 64])]);
        for list in lists {
            if client.list().is_empty() {
                client.start(home.sleeper("victim"));
            }
            // Success or error, but an answer.
            drop(client.call_with(name, &list));
            n_calls += 1;
        }
    }
    assert!(n_calls > 1500, "{n_calls}");
    assert!(is_alive(pid));
    assert_eq!(home.client().call("ping", json!({})).unwrap(), json!({"msg": "pong"}));
}

#[test]
fn options_of_any_type_do_not_end_the_daemon() {
    let home = TestHome::new();
    let pid = home.start();
    let mut client = home.client();
    let keys: Vec<String> = home.sleeper("a").as_object().unwrap().keys().cloned().collect();
    let more = [
        "max_memory_restart",
        "min_uptime",
        "max_restarts",
        "restart_delay",
        "exp_backoff_restart_delay",
        "stop_exit_codes",
        "cron_restart",
        "kill_timeout",
        "listen_timeout",
        "wait_ready",
        "watch_options",
        "shutdown_with_message",
        "ignore_watch",
        "watch_delay",
        "log_date_format",
        "log_type",
        "disable_logs",
        "uid",
        "gid",
        "increment_var",
        "pmx_module",
        "status",
        "created_at",
        "exit_code",
        "pm_log_path",
        "pm_id",
        "axm_options",
        "restart_time",
    ];
    let values =
        [json!(null), json!(true), json!(-1), json!(1e300), json!("\u{0}x"), json!([{}]), json!({"a": []})];
    for key in keys.iter().map(String::as_str).chain(more) {
        // Another user may not do what the rest of the test needs, and a wait is a wait.
        if key == "uid" || key == "gid" {
            continue;
        }
        for value in &values {
            let mut app = home.sleeper("a");
            app["autorestart"] = json!(false);
            app[key] = value.clone();
            for limit in ["listen_timeout", "kill_timeout"] {
                if key != limit {
                    app[limit] = json!(20);
                }
            }
            eprintln!("{key} {value}");
            drop(client.call("prepare", app));
        }
        let restart = |value: &Value| json!({"id": 0, "env": {key: value, "current_conf": {key: value}}});
        if client.list().iter().any(|entry| entry["pm_id"] == 0) {
            for value in values.iter().take(3) {
                drop(client.call("restartProcessId", restart(value)));
            }
        }
        for entry in client.list() {
            client.call("deleteProcessId", entry["pm_id"].clone()).unwrap();
        }
    }
    assert!(is_alive(pid));
}

/// Sends one frame and returns the reply's error text.
fn error_of(client: &mut Client, payload: Argument) -> String {
    let id = Argument::Json("{\"any\":[1]}".to_owned());
    client.frame(&[payload, id.clone()]);
    match client.reply() {
        (answered, Reply::Error { message, stack }) => {
            assert_eq!((answered, stack), (id, None));
            message
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn malformed_requests_are_answered() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let mut check = |payload: &str, expected: &str| {
        let found = error_of(&mut client, Argument::Json(payload.to_owned()));
        assert!(found.starts_with(expected), "{payload}: {found}");
    };
    check("null", "request must be a JSON object");
    check("[1]", "request must be a JSON object");
    check("{", "request is not valid JSON");
    check("{}", ".method required");
    check(r#"{"type":"call","method":"ping"}"#, ".args required");
    check(r#"{"type":"call","method":"nope"}"#, r#"method "nope" does not exist"#);
    check(r#"{"type":"call","method":"ping","args":{}}"#, ".args must be an array");
    check(&format!(r#"{{"method":"ping","args":{}}}"#, "[".repeat(100_000)), "request is nested");
    assert_eq!(error_of(&mut client, Argument::Text("{}".to_owned())), "request must be a JSON object");
    assert_eq!(error_of(&mut client, Argument::Blob(vec![0xff; 10])), "request must be a JSON object");
}

#[test]
fn ids_come_back_as_they_were() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let ping = Argument::Json(r#"{"type":"call","method":"ping","args":[{}]}"#.to_owned());
    for id in [
        Argument::Text("4242:0".to_owned()),
        Argument::Text(String::new()),
        Argument::Json("5".to_owned()),
        Argument::Json("null".to_owned()),
        Argument::Json("{\"a\": [1, \"\\ud800\"]}".to_owned()),
        Argument::Blob(vec![0, 1, 2, 0xff]),
    ] {
        client.frame(&[ping.clone(), id.clone()]);
        assert_eq!(client.reply().0, id);
    }
}

#[test]
fn frames_with_a_wrong_number_of_arguments_close_only_their_connection() {
    let home = TestHome::new();
    home.start();
    let mut other = home.client();
    let ping = Argument::Json(r#"{"type":"call","method":"ping","args":[{}]}"#.to_owned());
    for count in [1, 3, 15] {
        let mut client = home.client();
        client.frame(&vec![ping.clone(); count]);
        assert_eq!(client.arguments(), None, "{count}");
    }
    // No arguments at all, and an argument larger than anything allowed.
    for bytes in [&[0x10][..], &[0x12, 0xff, 0xff, 0xff, 0xff, b'j']] {
        let mut client = home.client();
        client.write(bytes).unwrap();
        assert_eq!(client.arguments(), None);
    }
    assert_eq!(other.call("ping", json!({})).unwrap(), json!({"msg": "pong"}));
}

#[test]
fn a_thousand_calls_at_once_are_all_answered() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    client.start(home.sleeper("a"));
    // Written before the first answer is read.
    let mut waiting: HashSet<Argument> = (0..1000)
        .map(|number| client.post(if number % 100 == 0 { "getMonitorData" } else { "ping" }, &json!([{}])))
        .collect();
    while !waiting.is_empty() {
        let (id, reply) = client.reply();
        assert!(matches!(reply, Reply::Success { .. }));
        assert!(waiting.remove(&id), "{id:?} was answered twice");
    }
}

#[test]
fn more_calls_than_are_worked_on_at_once_wait_their_turn() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let ids: Vec<Argument> = (0..5000).map(|number| Argument::Json(number.to_string())).collect();
    let mut waiting: HashSet<Argument> = ids.iter().cloned().collect();
    let mut output = client.writer();
    let writing = std::thread::spawn(move || {
        for id in ids {
            output.write_all(&encode_call(&id, "ping", "[{}]")).unwrap();
        }
    });
    while !waiting.is_empty() {
        let (id, _) = client.reply();
        assert!(waiting.remove(&id), "{id:?} was answered twice");
    }
    writing.join().unwrap();
}

#[test]
fn a_frame_may_arrive_byte_by_byte() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let id = Argument::Text("1".to_owned());
    for byte in encode_call(&id, "ping", "[{}]") {
        client.write(&[byte]).unwrap();
    }
    assert_eq!(client.reply().0, id);
}

#[test]
fn what_was_asked_for_is_done_when_the_client_has_left() {
    let home = TestHome::new();
    home.start();
    let mut leaving = home.client();
    leaving.post("prepare", &json!([home.sleeper("a")]));
    drop(leaving);
    let mut client = home.client();
    until("the app is there", || !client.list().is_empty());
    client.until_status(0, "online");
    let mut leaving = home.client();
    leaving.post("stopProcessId", &json!([0]));
    drop(leaving);
    client.until_status(0, "stopped");
    // In the middle of a frame.
    let mut leaving = home.client();
    leaving.write(&[0x12, 0, 0, 0, 50, b'j', b':']).unwrap();
    drop(leaving);
    assert_eq!(client.list().len(), 1);
}

#[test]
fn many_clients_may_stay() {
    let home = TestHome::new();
    home.start();
    let mut clients: Vec<Client> = (0..100).map(|_| home.client()).collect();
    for client in &mut clients {
        client.post("ping", &json!([{}]));
    }
    for client in &mut clients {
        assert!(matches!(client.reply().1, Reply::Success { .. }));
    }
}

#[test]
fn announcing_the_end_stops_restarts_but_not_starts() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    let app = client.start(home.sleeper("a"));
    client.start(home.sleeper("b"));
    client.post("notifyKillPM2", &json!([{}]));
    // No answer: the next frame is that of the next call.
    let restart = client.call("restartProcessId", json!({"id": 1, "env": {}}));
    let refusal = "[RestartProcessId] PM2 is being killed, stopping restart procedure...";
    assert_eq!(restart.unwrap_err(), refusal);
    let started = client.start(home.sleeper("c"));
    support::send(pid_of(&app), Signal::SIGKILL).unwrap();
    client.until_status(0, "stopped");
    assert_eq!(client.list().len(), 3);
    // What was started in the meantime ends with the daemon.
    client.post("killMe", &json!([{}]));
    support::wait_for_end(pid_of(&started));
}

#[test]
fn kill_me_tells_the_given_process_and_answers_nobody() {
    let home = TestHome::new();
    let pid = home.start();
    let mut client = home.client();
    let app = client.start(home.sleeper("a"));
    let mut bus = Client::unix(&home.file("pub.sock"));
    subscribe(&mut client, &mut bus);
    let mut asker = home.command("/bin/sleep").arg("3600").stdin(Stdio::null()).spawn().unwrap();
    client.post("killMe", &json!([{"pid": asker.id()}]));
    assert_eq!(asker.wait().unwrap().signal(), Some(Signal::SIGQUIT as i32));
    for gone in ["rpc.sock", "pub.sock", "pm2.pid"] {
        assert!(!home.file(gone).exists(), "{gone} is there although the asker was told");
    }
    assert_eq!(client.arguments(), None);
    let last = eventually("the end", || match bus.arguments() {
        Some(arguments) if arguments[0] == Argument::Text("pm2:kill".to_owned()) => Some(arguments),
        Some(_) => None,
        None => panic!("closed without pm2:kill"),
    });
    let Argument::Json(packet) = &last[1] else { panic!("{last:?}") };
    let packet: Value = serde_json::from_str(packet).unwrap();
    assert_eq!(packet, json!({"status": "killed", "msg": "pm2 has been killed via CLI"}));
    assert_eq!(home.exit_code(pid), Some(0));
    wait_for_end(pid_of(&app));
    assert!(!home.file("dump.pm2").exists());
}

#[test]
fn kill_me_needs_no_pid() {
    for argument in [json!([{}]), json!([]), json!([{"pid": "x"}]), json!([{"pid": -1}]), json!([null])] {
        let home = TestHome::new();
        let pid = home.start();
        let mut client = home.client();
        client.post("killMe", &argument);
        assert_eq!(client.arguments(), None, "{argument}");
        assert_eq!(home.exit_code(pid), Some(0));
    }
}

#[test]
fn events_tell_the_life_of_an_app() {
    let home = TestHome::new();
    home.start();
    let mut client = home.client();
    client.start(home.sleeper("first"));
    let mut bus = Client::unix(&home.file("pub.sock"));
    subscribe(&mut client, &mut bus);
    client.start(home.shell("a", "echo hello; sleep 3600"));
    until("it has spoken", || home.file("logs/a-out.log").metadata().is_ok_and(|meta| meta.len() > 0));
    client.call("notifyByProcessId", json!({"id": 1, "action_name": "custom", "manually": true})).unwrap();
    client.call("stopProcessId", json!(1)).unwrap();
    let mut seen = Vec::new();
    let mut said = String::new();
    while seen.len() < 5 || said.is_empty() {
        let event = bus.event();
        let packet: Value = serde_json::from_str(&event.packet).unwrap();
        match &event.topic {
            Argument::Text(topic) if topic == "process:event" && packet["process"]["pm_id"] == 1 => {
                assert_eq!(packet["process"]["env"], Value::Null);
                assert!(packet["at"].is_i64());
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                seen.push((
                    text(&packet["event"]),
                    packet["manually"] == true,
                    text(&packet["process"]["status"]),
                ));
            }
            Argument::Text(topic) if topic == "log:out" => {
                let process = json!({"pm_id": 1, "name": "a", "rev": null, "namespace": "default"});
                assert_eq!(packet["process"], process);
                said.push_str(packet["data"].as_str().unwrap());
            }
            _ => {}
        }
    }
    let expected = [
        ("online", false, "launching"),
        ("start", true, "online"),
        ("custom", true, "online"),
        ("exit", false, "stopping"),
        ("exit", false, "stopped"),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(event, by_hand, status)| ((*event).to_owned(), *by_hand, (*status).to_owned()))
        .collect();
    assert_eq!((seen, said.as_str()), (expected, "hello\n"));
}

#[test]
fn a_subscriber_that_speaks_is_not_heard() {
    let home = TestHome::new();
    home.start();
    let mut bus = Client::unix(&home.file("pub.sock"));
    bus.write(&[0xff; 100_000]).unwrap();
    let mut client = home.client();
    client.start(home.sleeper("a"));
    subscribe(&mut client, &mut bus);
    client.post("ping", &json!([{}]));
    let arguments = client.arguments().unwrap();
    assert!(decode_reply(arguments).is_ok());
    assert!(fs::metadata(home.file("pub.sock")).is_ok());
}

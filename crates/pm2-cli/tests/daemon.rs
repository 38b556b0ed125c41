//! The daemon's own life: start, files, sockets, who may talk to it, signals, end.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::Signal;
use pm2_core::protocol::{Argument, encode_call};
use serde_json::{Value, json};
use support::{
    Client, EXECUTABLE, NOBODY, TestHome, copy_executable, eventually, is_alive, is_root, processes_of, send,
    subscribe, until, wait_for_end,
};

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o777
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Pids of the daemons of a home.
fn daemons(home: &TestHome) -> Vec<i32> {
    let mut daemons = processes_of(&home.dir);
    daemons.retain(|pid| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = words.split(|byte| *byte == 0).skip(1);
        words.next() == Some(b"daemon".as_slice())
    });
    daemons
}

#[track_caller]
fn assert_gone(home: &TestHome) {
    for name in ["pm2.pid", "rpc.sock", "pub.sock"] {
        assert!(!home.file(name).exists(), "{name} is still there");
    }
}

#[test]
fn a_daemon_says_that_it_is_ready_and_makes_its_files() {
    let home = TestHome::new();
    let started = home.launch(&["daemon"]);
    let line = json!({"online": true, "success": true, "pid": started.pid, "pm2_version": "7.0.4"});
    assert_eq!(started.line.unwrap(), line);
    assert_eq!(fs::read_to_string(home.file("pm2.pid")).unwrap(), started.pid.to_string());
    assert_eq!(mode(&home.dir), 0o700);
    for socket in ["rpc.sock", "pub.sock"] {
        assert_eq!(mode(&home.file(socket)), 0o600, "{socket}");
    }
    assert_eq!((mode(&home.file("module_conf.json")), mode(&home.file("pm2.lock"))), (0o600, 0o600));
    assert_eq!(read_json(&home.file("module_conf.json")), json!({}));
    for folder in ["logs", "pids", "modules"] {
        assert!(home.file(folder).is_dir(), "{folder}");
    }
    assert!(home.log().contains("New PM2 Daemon started"));
}

#[test]
fn a_home_that_exists_keeps_its_mode() {
    let home = TestHome::new();
    fs::create_dir(&home.dir).unwrap();
    fs::set_permissions(&home.dir, fs::Permissions::from_mode(0o750)).unwrap();
    home.start();
    assert_eq!(mode(&home.dir), 0o750);
}

#[test]
fn a_second_daemon_leaves_the_first_alone() {
    let home = TestHome::new();
    let first = home.start();
    let second = home.launch(&["daemon"]);
    let line = second.line.unwrap();
    assert_eq!((&line["already"], &line["pid"]), (&json!(true), &json!(first)));
    assert_eq!(home.exit_code(second.pid), Some(0));
    assert_eq!(fs::read_to_string(home.file("pm2.pid")).unwrap(), first.to_string());
    assert_eq!(home.client().call("ping", json!({})).unwrap(), json!({"msg": "pong"}));
}

#[test]
fn fifty_first_commands_at_once_make_one_daemon() {
    let home = TestHome::new();
    let spawn = |_| {
        let mut command = home.command(EXECUTABLE);
        command.arg("ping").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let pings: Vec<_> = (0..50).map(spawn).collect();
    for ping in pings {
        let output = ping.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let pid: i32 = fs::read_to_string(home.file("pm2.pid")).unwrap().parse().unwrap();
    until("the other daemons have ended", || daemons(&home) == [pid]);
}

#[test]
fn sockets_of_a_killed_daemon_are_no_obstacle() {
    let home = TestHome::new();
    let first = home.start();
    send(first, Signal::SIGKILL).unwrap();
    home.exit_code(first);
    assert!(home.file("rpc.sock").exists() && home.file("pm2.pid").exists());
    let second = home.start();
    assert_eq!(fs::read_to_string(home.file("pm2.pid")).unwrap(), second.to_string());
    assert_eq!(home.client().list(), [] as [Value; 0]);
}

#[test]
fn a_daemon_can_be_started_while_the_last_one_ends() {
    let home = TestHome::new();
    let mut pid = home.start();
    for _ in 0..5 {
        home.client().start(home.sleeper("a"));
        send(pid, Signal::SIGTERM).unwrap();
        // Either this one serves the home, or the old one still did when it was asked.
        let started = home.launch(&["daemon"]);
        let line = started.line.unwrap();
        if line.get("already").is_some() {
            home.exit_code(pid);
            pid = home.start();
        } else {
            pid = started.pid;
        }
        assert_eq!(home.client().list(), [] as [Value; 0]);
    }
}

#[test]
fn a_socket_path_that_is_too_long_is_refused() {
    let home = TestHome::named(&"x".repeat(100));
    let started = home.launch(&["daemon"]);
    let line = started.line.unwrap();
    assert_eq!(line["code"], "PM2_HOME_INVALID");
    assert!(line["error"].as_str().unwrap().contains("choose a shorter PM2_HOME"), "{line}");
    assert_ne!(home.exit_code(started.pid), Some(0));
    assert!(!home.dir.exists());
    let ping = home.run(&["ping"]);
    assert!(!ping.status.success());
    assert!(String::from_utf8_lossy(&ping.stderr).contains("choose a shorter PM2_HOME"), "{ping:?}");
}

#[test]
fn a_home_below_a_file_is_refused() {
    let home = TestHome::named("file/home");
    fs::write(home.path("file"), "").unwrap();
    let started = home.launch(&["daemon"]);
    let line = started.line.unwrap();
    assert!(line["error"].as_str().unwrap().contains(home.dir.to_str().unwrap()), "{line}");
    assert!(["ENOTDIR", "EEXIST"].contains(&line["code"].as_str().unwrap()), "{line}");
    assert_eq!(home.exit_code(started.pid), Some(1));
    assert!(!home.run(&["ping"]).status.success());
}

#[test]
fn a_home_that_may_not_be_written_is_refused() {
    let home = TestHome::named("closed/home");
    fs::create_dir(home.path("closed")).unwrap();
    fs::set_permissions(home.path("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    let executable = home.path("pm2-rs");
    let mut command = if is_root() {
        // Modes mean nothing to root.
        fs::set_permissions(home.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        copy_executable(&executable);
        let mut command = home.command(executable.to_str().unwrap());
        command.uid(NOBODY).gid(NOBODY);
        command
    } else {
        home.command(EXECUTABLE)
    };
    let output = command.arg("daemon").stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(home.dir.to_str().unwrap()) && text.contains("ermission denied"), "{text}");
}

#[test]
fn a_home_may_have_any_name() {
    let home = TestHome::named("Mein \"Haus\" ä家 $HOME 'x'");
    let pid = home.start();
    let mut client = home.client();
    client.start(home.shell("spricht", "echo hallo; exec sleep 3600"));
    until("its log is written", || {
        fs::read_to_string(home.file("logs/spricht-out.log")).is_ok_and(|text| text == "hallo\n")
    });
    assert_eq!(client.list()[0]["pm2_env"]["PM2_HOME"], home.dir.to_str().unwrap());
    assert!(home.run(&["ping"]).status.success());
    send(pid, Signal::SIGTERM).unwrap();
    assert_eq!(home.exit_code(pid), Some(0));
    assert_eq!(read_json(&home.file("dump.pm2"))[0]["name"], "spricht");
}

#[test]
fn the_home_is_found_as_pm2_finds_it() {
    // Neither OVER_HOME nor PM2_HOME: below HOME.
    let home = TestHome::named(".pm2");
    let mut command = home.command(EXECUTABLE);
    // The guard finds processes by PM2_HOME, which the daemon's own launch sets.
    command.env_remove("PM2_HOME").arg("ping").stdin(Stdio::null());
    assert!(command.output().unwrap().status.success());
    assert!(home.file("rpc.sock").exists());

    let over = TestHome::new();
    fs::write(over.path("file"), "").unwrap();
    let unusable = over.path("file/home");
    let over = over.with("OVER_HOME", unusable);
    assert!(!over.run(&["daemon"]).status.success());
    assert!(!over.dir.exists(), "OVER_HOME counts more than PM2_HOME");
}

#[test]
fn every_path_can_be_elsewhere() {
    let mut home = TestHome::new();
    let elsewhere = |name: &str| home.path("elsewhere").join(name);
    let variables = [
        ("PM2_DAEMON_RPC_PORT", "r.sock"),
        ("PM2_LOG_FILE_PATH", "the.log"),
        ("PM2_PID_FILE_PATH", "the.pid"),
        ("PM2_DEFAULT_PID_PATH", "p"),
        ("PM2_DEFAULT_LOG_PATH", "l"),
        ("PM2_DEFAULT_MODULE_PATH", "m"),
        ("PM2_DUMP_FILE_PATH", "the.dump"),
        ("PM2_DUMP_BACKUP_FILE_PATH", "the.backup"),
        ("PM2_MODULE_CONF_FILE", "conf.json"),
    ]
    .map(|(variable, name)| (variable, elsewhere(name)));
    let bus = elsewhere("b.sock");
    fs::create_dir(home.path("elsewhere")).unwrap();
    for (variable, path) in &variables {
        home = home.with(variable, path);
    }
    // A URL is understood as well as a path.
    home = home.with("PM2_DAEMON_PUB_PORT", format!("unix://{}", bus.display()));
    let path_of = |wanted: &str| &variables.iter().find(|(variable, _)| *variable == wanted).unwrap().1;

    for round in 0..2 {
        assert!(home.run(&["ping"]).status.success());
        let pid: i32 = fs::read_to_string(path_of("PM2_PID_FILE_PATH")).unwrap().parse().unwrap();
        assert!(bus.exists());
        let mut app = home.sleeper("a");
        app["pm_out_log_path"] = json!(path_of("PM2_DEFAULT_LOG_PATH").join("a.log"));
        app["pm_err_log_path"] = json!("/dev/null");
        app["pm_pid_path"] = json!(path_of("PM2_DEFAULT_PID_PATH").join("a.pid"));
        Client::unix(path_of("PM2_DAEMON_RPC_PORT")).start(app);
        send(pid, Signal::SIGTERM).unwrap();
        wait_for_end(pid);
        assert_eq!(read_json(path_of("PM2_DUMP_FILE_PATH"))[0]["name"], "a");
        assert_eq!(path_of("PM2_DUMP_BACKUP_FILE_PATH").exists(), round == 1);
        for gone in [path_of("PM2_PID_FILE_PATH"), path_of("PM2_DAEMON_RPC_PORT"), &bus] {
            assert!(!gone.exists(), "{}", gone.display());
        }
    }
    assert!(!fs::read_to_string(path_of("PM2_LOG_FILE_PATH")).unwrap().is_empty());
    for folder in ["PM2_DEFAULT_PID_PATH", "PM2_DEFAULT_LOG_PATH", "PM2_DEFAULT_MODULE_PATH"] {
        assert!(path_of(folder).is_dir(), "{folder}");
    }
    assert_eq!(read_json(path_of("PM2_MODULE_CONF_FILE")), json!({}));
    let mut left: Vec<_> = fs::read_dir(&home.dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.retain(|name| name != "pm2.lock");
    assert_eq!(left, [] as [&str; 0], "nothing else lies in the home");
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn both_sockets_can_be_tcp_on_this_machine() {
    let (rpc, bus) = (free_address(), free_address());
    let home = TestHome::new()
        .with("PM2_DAEMON_RPC_PORT", format!("tcp://{rpc}"))
        .with("PM2_DAEMON_PUB_PORT", format!("tcp://{bus}"));
    let pid = home.start();
    let mut subscriber = Client::tcp(bus);
    let mut client = Client::tcp(rpc);
    client.start(home.sleeper("a"));
    let event = eventually("an event of the start", || {
        client.call("notifyByProcessId", json!({"id": 0, "action_name": "hello", "manually": true})).unwrap();
        Some(subscriber.event())
    });
    assert!(event.packet.contains("\"pm_id\""), "{event:?}");
    assert!(home.run(&["ping"]).status.success());
    send(pid, Signal::SIGTERM).unwrap();
    assert_eq!(home.exit_code(pid), Some(0));
}

#[test]
fn tcp_sockets_that_others_could_reach_are_refused() {
    let home = TestHome::new().with("PM2_DAEMON_RPC_PORT", "tcp://0.0.0.0:1");
    let line = home.launch(&["daemon"]).line.unwrap();
    assert!(line["error"].as_str().unwrap().contains("not a loopback address"), "{line}");
    let home = TestHome::new().with("PM2_DAEMON_RPC_PORT", "gopher://x");
    assert!(!home.run(&["daemon"]).status.success());
}

#[test]
fn signals_end_the_apps_and_leave_a_dump() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let home = TestHome::new();
        let pid = home.start();
        let mut client = home.client();
        let app = client.start(home.sleeper("a"))["pid"].as_i64().unwrap();
        client.start(home.sleeper("b"));
        client.call("stopProcessId", json!(1)).unwrap();
        let mut module = home.sleeper("module");
        module["pmx_module"] = json!(true);
        client.start(module);
        let mut bus = Client::unix(&home.file("pub.sock"));
        subscribe(&mut client, &mut bus);
        send(pid, signal).unwrap();
        assert_eq!(home.exit_code(pid), Some(0), "{signal}");
        assert_gone(&home);
        assert!(!is_alive(i32::try_from(app).unwrap()));
        assert_eq!(processes_of(&home.dir), [0; 0]);
        let kill = eventually("pm2:kill", || {
            let event = bus.event();
            (event.topic == Argument::Text("pm2:kill".to_owned())).then_some(event.packet)
        });
        let expected = json!({"status": "killed", "msg": "pm2 has been killed by SIGNAL"});
        assert_eq!(serde_json::from_str::<Value>(&kill).unwrap(), expected);

        let text = fs::read_to_string(home.file("dump.pm2")).unwrap();
        assert_eq!(mode(&home.file("dump.pm2")), 0o600);
        let dump: Value = serde_json::from_str(&text).unwrap();
        let of = |key: &str| dump.as_array().unwrap().iter().map(|env| env[key].clone()).collect::<Vec<_>>();
        assert_eq!(of("name"), ["a", "b"]);
        assert_eq!(of("status"), ["online", "stopped"]);
        for absent in ["pm_id", "instances"] {
            assert_eq!(of(absent), [Value::Null, Value::Null], "{absent}");
        }
        assert_eq!(dump[0]["env"]["PM2_HOME"], home.dir.to_str().unwrap());
        assert_eq!(dump[0]["PM2_HOME"], home.dir.to_str().unwrap(), "variables are repeated");
        assert!(dump[0]["created_at"].is_i64() && dump[0]["pm_pid_path"].is_string());
    }
}

#[test]
fn an_empty_list_overwrites_no_dump() {
    let home = TestHome::new();
    fs::create_dir(&home.dir).unwrap();
    fs::write(home.file("dump.pm2"), "[{}]").unwrap();
    let pid = home.start();
    send(pid, Signal::SIGTERM).unwrap();
    assert_eq!(home.exit_code(pid), Some(0));
    assert_eq!(fs::read_to_string(home.file("dump.pm2")).unwrap(), "[{}]");
}

#[test]
fn a_second_signal_does_not_cut_the_end_short() {
    let home = TestHome::new();
    let pid = home.start();
    let mut app = home.ready_shell(
        "slow",
        r#"trap 'sleep 0.3; exit 0' INT; echo '"ready"' >&3; while :; do sleep 0.05; done"#,
    );
    app["treekill"] = json!(false);
    let app_pid = i32::try_from(home.client().start(app)["pid"].as_i64().unwrap()).unwrap();
    send(pid, Signal::SIGTERM).unwrap();
    until("the end begins", || home.log().contains("dumping process list"));
    send(pid, Signal::SIGTERM).unwrap();
    send(pid, Signal::SIGINT).unwrap();
    assert_eq!(home.exit_code(pid), Some(0));
    assert!(!is_alive(app_pid));
    assert_gone(&home);
}

#[test]
fn a_hangup_changes_nothing() {
    let home = TestHome::new();
    let pid = home.start();
    let app = home.client().start(home.sleeper("a"))["pid"].clone();
    for _ in 0..3 {
        send(pid, Signal::SIGHUP).unwrap();
    }
    let mut client = home.client();
    assert_eq!(client.call("ping", json!({})).unwrap(), json!({"msg": "pong"}));
    assert_eq!((client.entry(0)["pid"].clone(), is_alive(pid)), (app, true));
}

#[test]
fn sigusr2_makes_logs_follow_their_paths() {
    let home = TestHome::new();
    let pid = home.start();
    let app = home.shell("talker", "while :; do echo line; sleep 0.02; done");
    home.client().start(app);
    let (log, moved) = (home.file("logs/talker-out.log"), home.path("moved.log"));
    until("it has written", || log.metadata().is_ok_and(|meta| meta.len() > 0));
    fs::rename(&log, &moved).unwrap();
    send(pid, Signal::SIGUSR2).unwrap();
    until("it writes to the old path again", || log.metadata().is_ok_and(|meta| meta.len() > 0));
    assert_eq!(mode(&log), 0o600);
    let length = moved.metadata().unwrap().len();
    let grown = log.metadata().unwrap().len();
    until("more lines come", || log.metadata().unwrap().len() > grown);
    assert_eq!(moved.metadata().unwrap().len(), length, "nothing goes to the moved file any more");
}

#[test]
fn an_attached_daemon_ends_with_its_owner() {
    let home = TestHome::new();
    let started = home.launch(&["daemon", "--attached"]);
    assert_eq!(started.line.unwrap()["online"], true);
    let mut client = home.client();
    let app = i32::try_from(client.start(home.sleeper("a"))["pid"].as_i64().unwrap()).unwrap();
    assert!(is_alive(started.pid));
    drop(started.stdin);
    assert_eq!(home.exit_code(started.pid), Some(0));
    assert!(!is_alive(app));
    assert_gone(&home);
    assert!(!home.file("dump.pm2").exists());
}

#[test]
fn an_attached_daemon_ends_when_its_owner_is_killed() {
    let home = TestHome::new();
    // The shell is the owner: it alone holds the writing end.
    let script = r#"sleep 3600 | "$0" daemon --attached & sleep 0; wait"#;
    let mut owner = home.command("/bin/sh");
    let mut owner = owner
        .args(["-c", script, EXECUTABLE])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the daemon serves", || UnixStream::connect(home.file("rpc.sock")).is_ok());
    home.client().start(home.sleeper("app"));
    let daemon: i32 = fs::read_to_string(home.file("pm2.pid")).unwrap().parse().unwrap();
    let sleeper = processes_of(&home.dir).into_iter().find(|pid| {
        let parent = support::stat(*pid).map(|stat| stat.parent);
        parent != Some(daemon)
            && fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n")
    });
    send(sleeper.unwrap(), Signal::SIGKILL).unwrap();
    wait_for_end(daemon);
    owner.wait().unwrap();
    home.wait_until_empty();
}

#[test]
fn connecting_and_leaving_is_how_clients_look_for_life() {
    let home = TestHome::new();
    home.start();
    for socket in ["rpc.sock", "pub.sock"] {
        for _ in 0..200 {
            drop(UnixStream::connect(home.file(socket)).unwrap());
        }
    }
    assert_eq!(home.client().call("ping", json!({})).unwrap(), json!({"msg": "pong"}));
}

/// Sends a `ping` as another user and says whether it was answered.
fn ping_as(uid: u32, home: &TestHome, socket: &Path) -> String {
    let script = "const socket = require('net').connect(process.argv[1]); let answered = false;
        socket.on('data', () => { answered = true; socket.end() });
        socket.on('error', (error) => { console.log(error.code) });
        socket.on('close', () => console.log(answered ? 'answered' : 'refused'));
        socket.write(Buffer.from(process.argv[2], 'hex'))";
    let frame = encode_call(&Argument::Text("1".to_owned()), "ping", "[{}]");
    let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut command = home.command("node");
    command.args(["-e", script, socket.to_str().unwrap(), &hex]).uid(uid).gid(uid).current_dir("/");
    let output = command.output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn other_users_are_refused_even_if_they_can_connect() {
    if !is_root() {
        return;
    }
    let home = TestHome::new();
    home.start();
    let socket = home.file("rpc.sock");
    assert!(ping_as(0, &home, &socket).contains("answered"));
    for folder in [home.root.path(), &home.dir] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    assert_eq!(ping_as(NOBODY, &home, &socket), "EACCES\nrefused\n", "the mode keeps them out");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    let refused = ping_as(NOBODY, &home, &socket);
    assert!(refused.ends_with("refused\n") && !refused.contains("EACCES"), "{refused}");
    assert!(home.log().contains("refused a connection of another user"));
    fs::set_permissions(home.file("pub.sock"), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(ping_as(NOBODY, &home, &home.file("pub.sock")).ends_with("refused\n"));
}

#[test]
fn a_socket_owner_may_be_named() {
    if !is_root() {
        return;
    }
    let home = TestHome::new()
        .with("PM2_SOCKET_USER", NOBODY.to_string())
        .with("PM2_SOCKET_GROUP", NOBODY.to_string());
    home.start();
    for folder in [home.root.path(), &home.dir] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for name in ["rpc.sock", "pub.sock"] {
        let meta = home.file(name).metadata().unwrap();
        assert_eq!((meta.uid(), meta.gid()), (NOBODY, NOBODY), "{name}");
    }
    assert!(ping_as(NOBODY, &home, &home.file("rpc.sock")).contains("answered"));
    chown(home.file("rpc.sock"), Some(NOBODY - 1), None).unwrap();
    assert!(ping_as(NOBODY - 1, &home, &home.file("rpc.sock")).contains("refused"));

    // One of the two alone does nothing.
    let home = TestHome::new().with("PM2_SOCKET_USER", NOBODY.to_string());
    home.start();
    assert_eq!(home.file("rpc.sock").metadata().unwrap().uid(), 0);
}

#[test]
fn kill_ends_apps_and_daemon() {
    let home = TestHome::new();
    let pid = home.start();
    let app = i32::try_from(home.client().start(home.sleeper("a"))["pid"].as_i64().unwrap()).unwrap();
    let output = home.run(&["kill"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(home.exit_code(pid), Some(0));
    assert!(!is_alive(app));
    assert_gone(&home);
    assert!(!home.file("dump.pm2").exists());
    assert!(home.run(&["kill"]).status.success(), "nobody there is fine, too");
}

//! Starting with the machine: `startup` and `unstartup`, and the daemon that a service manager has started.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::json;
use support::{
    DEADLINE, EXECUTABLE, NOBODY, TestHome, copy_executable, environment, eventually, is_alive, is_root,
    processes_of, send, until, write_program,
};

/// A home on a machine with systemd, whose `/` is the folder `root`.
fn machine() -> TestHome {
    let home = TestHome::new();
    let (root, bin) = (home.path("root"), home.path("bin"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&bin).unwrap();
    let systemctl = bin.join("systemctl");
    write_program(&systemctl, &format!("#!/bin/sh\ntouch {}\n", home.path("was-run").display()), "755");
    let path = format!("{}:/usr/bin:/bin", bin.display());
    home.with("PM2_RS_STARTUP_ROOT", root).with("USER", "root").with("PATH", path)
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The commands that would have been run, since the last look.
fn commands(home: &TestHome) -> Vec<String> {
    let file = home.path("root/commands");
    let text = fs::read_to_string(&file).unwrap_or_default();
    drop(fs::remove_file(file));
    text.lines().map(str::to_owned).collect()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

#[test]
fn startup_writes_the_file_and_makes_it_known() {
    let home = machine();
    let file = home.path("root/etc/systemd/system/pm2-root.service");
    for arguments in [vec!["startup"], vec!["startup", "ubuntu"], vec!["startup", "systemd"]] {
        let output = home.run(&arguments);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(stderr(&output), "");
        let unit = fs::read_to_string(&file).unwrap();
        let platform = arguments.get(1).unwrap_or(&"systemd");
        let expected = format!(
            "[PM2] Init System found: systemd\n\
             Platform {platform}\nTemplate\n{unit}\nTarget path\n/etc/systemd/system/pm2-root.service\n\
             Command list\n[ 'systemctl enable pm2-root' ]\n\
             [PM2] Writing init configuration in /etc/systemd/system/pm2-root.service\n\
             [PM2] Making script booting at startup...\n\
             [PM2] [-] Executing: systemctl enable pm2-root...\n\
             [PM2] [v] Command successfully executed.\n\
             +---------------------------------------+\n\
             [PM2] Freeze a process list on reboot via:\n$ pm2-rs save\n\n\
             [PM2] Remove init script via:\n$ pm2-rs unstartup {platform}\n"
        );
        assert_eq!(stdout(&output), expected);
        assert!(unit.contains(&format!("\nExecStart={EXECUTABLE} daemon --resurrect\n")), "{unit}");
        assert!(unit.contains(&format!("\nEnvironment=PM2_HOME={}\n", home.dir.display())), "{unit}");
        assert!(unit.contains(&format!("\nEnvironment=PATH={}:/usr/bin:/bin:", home.path("bin").display())));
        assert!(!unit.contains("node"), "{unit}");
        assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o644);
        assert_eq!(commands(&home), ["systemctl enable pm2-root"]);
        assert_eq!(files(&home.path("root")), [file.as_path()], "nothing else is left");
    }
    assert!(!home.path("was-run").exists(), "commands are recorded, not run");
    assert!(!home.dir.exists(), "no daemon, no home");

    let output = home.run(&["unstartup"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(stdout(&output), "[PM2] Init System found: systemd\n[PM2] Init file disabled.\n");
    assert_eq!(commands(&home), ["systemctl stop pm2-root", "systemctl disable pm2-root"]);
    assert_eq!(files(&home.path("root")), [] as [PathBuf; 0]);
    assert!(home.run(&["unstartup"]).status.success(), "a file that is not there is no failure");
}

#[test]
fn every_init_system_has_its_files_and_modes() {
    let home = machine();
    let user_home = home.root.path().strip_prefix("/").unwrap().to_str().unwrap().to_owned();
    let plist = format!("{user_home}/Library/LaunchAgents/pm2.root.plist");
    let cases = [
        ("upstart", "etc/init.d/pm2-root", 0o755, "update-rc.d pm2-root defaults"),
        ("amazon", "etc/init.d/pm2-root", 0o755, "chkconfig pm2-root on"),
        ("openrc", "etc/init.d/pm2", 0o755, "rc-update add pm2 default"),
        ("darwin", &plist, 0o644, &format!("launchctl load -w /{plist}")),
        ("freebsd", "usr/local/etc/rc.d/pm2_root", 0o755, "sysrc pm2_root_enable=YES"),
        ("openbsd", "etc/rc.d/pm2_root", 0o755, "rcctl start pm2_root"),
    ];
    for (platform, file, mode, last) in cases {
        let output = home.run(&["startup", platform]);
        assert!(output.status.success(), "{platform}: {output:?}");
        let warning = format!(
            "-----------------------------------------------------------\n \
             PM2 detected systemd but you precised {platform}\n \
             Please verify that your choice is indeed your init system\n \
             If you arent sure, just run : pm2-rs startup\n\
             -----------------------------------------------------------\n"
        );
        assert!(stdout(&output).contains(&warning), "{}", stdout(&output));
        let path = home.path("root").join(file);
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, mode, "{platform}");
        assert_eq!(commands(&home).last().map(String::as_str), Some(last));
        assert!(home.run(&["unstartup", platform]).status.success(), "{platform}");
        assert!(!path.exists(), "{platform}");
        commands(&home);
    }
    let output = home.run(&["startup", "upstart"]);
    let list = "Command list\n[\n  'mkdir -p /var/lock/subsys',\n  'touch /var/lock/subsys/pm2-root',\n  'update-rc.d pm2-root defaults'\n]\n";
    assert!(stdout(&output).contains(list), "{}", stdout(&output));
}

#[test]
fn options_are_heard() {
    let home = machine();
    let arguments = ["-u", "deploy", "--hp", "/srv/deploy", "--service-name", "apps", "--wait-ip"];
    let output = home.command(EXECUTABLE).args(["startup", "systemd"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let unit = fs::read_to_string(home.path("root/etc/systemd/system/apps.service")).unwrap();
    for line in ["User=deploy", "Environment=PM2_HOME=/srv/deploy/.pm2", "After=network-online.target"] {
        assert!(unit.lines().any(|found| found == line), "{line}\n{unit}");
    }
    assert_eq!(commands(&home), ["systemctl enable apps"]);
    let output = home.run(&["unstartup", "systemd", "--service-name", "apps"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(files(&home.path("root")).len(), 1, "only the record of commands");
}

#[test]
fn mistakes_are_told() {
    let home = machine();
    let check = |home: &TestHome, arguments: &[&str], message: &str| {
        let output = home.run(arguments);
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), message));
        assert_eq!(commands(home), [] as [&str; 0]);
    };
    for command in ["startup", "unstartup"] {
        check(&home, &[command, "nope"], "[PM2][ERROR] Unknown platform / init system name\n");
        let message = "[PM2][ERROR] the service name \"../x\" cannot be used in an init file\n";
        check(&home, &[command, "systemd", "--service-name", "../x"], message);
    }
    // A folder is in the way.
    let file = home.path("root/etc/systemd/system/pm2-root.service");
    fs::create_dir_all(file.join("x")).unwrap();
    let output = home.run(&["startup"]);
    assert_eq!(output.status.code(), Some(1));
    let message = "[PM2][ERROR] Failure when trying to write startup script\ncannot replace ";
    assert!(stderr(&output).starts_with(message), "{}", stderr(&output));
    assert_eq!(commands(&home), [] as [&str; 0]);
    let output = home.run(&["unstartup"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("[PM2][ERROR] rm "), "{}", stderr(&output));

    let bare = machine().with("PATH", "/nowhere");
    check(&bare, &["startup"], "[PM2][ERROR] Init system not found\n");
}

#[test]
fn a_link_in_place_of_the_file_is_not_followed() {
    let home = machine();
    let (file, other) = (home.path("root/etc/systemd/system/pm2-root.service"), home.path("other"));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&other, "mine").unwrap();
    symlink(&other, &file).unwrap();
    assert!(home.run(&["startup"]).status.success());
    assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
    assert!(file.symlink_metadata().unwrap().is_file());
}

#[test]
fn who_is_not_root_gets_the_line_for_root() {
    // No folder for tests: this one would write to the machine, if it did.
    let folder = tempfile::Builder::new().prefix("pm2t").tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let executable = folder.path().join("pm2-rs");
    copy_executable(&executable);
    let systemctl = folder.path().join("systemctl");
    write_program(&systemctl, "#!/bin/sh\nexit 9\n", "755");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&executable);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", folder.path())
            .env("HOME", "/nonexistent")
            .current_dir("/");
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output().unwrap()
    };
    let user = nix::unistd::User::from_uid(if is_root() { NOBODY.into() } else { nix::unistd::getuid() });
    let user = user.unwrap().unwrap().name;
    let check = |arguments: &[&str], verb: &str, command: &str| {
        let output = run(arguments);
        let expected = format!(
            "[PM2] Init System found: systemd\n\
             [PM2] To {verb} the Startup Script, copy/paste the following command:\n\
             sudo env PATH=$PATH:{} {command} --hp /nonexistent\n",
            folder.path().display()
        );
        assert_eq!((stdout(&output), stderr(&output)), (expected, String::new()));
        assert_eq!(output.status.code(), Some(1));
    };
    let own = executable.display();
    check(&["startup"], "setup", &format!("{own} startup systemd -u {user}"));
    check(&["startup", "systemd"], "setup", &format!("{own} startup systemd -u {user}"));
    check(&["startup", "-u", "bob"], "setup", "pm2-rs startup systemd -u bob");
    check(&["unstartup"], "unsetup", &format!("{own} unstartup systemd -u {user}"));
    let output = run(&["startup", "nope"]);
    let last = format!("{own} startup nope -u {user} --hp /nonexistent\n");
    assert!(stdout(&output).ends_with(&last), "{}", stdout(&output));
}

#[test]
fn systemd_finds_nothing_to_say_about_the_unit() {
    // Where there is no systemd, nothing reads units.
    let Ok(found) = Command::new("systemd-analyze").arg("--version").output() else { return };
    assert!(found.status.success());
    let home = machine();
    for arguments in [vec!["startup"], vec!["startup", "systemd", "--wait-ip"]] {
        assert!(home.run(&arguments).status.success());
        let unit = home.path("root/etc/systemd/system/pm2-root.service");
        let mut verify = Command::new("systemd-analyze");
        let output = verify.args(["verify", "--man=no"]).arg(&unit).output().unwrap();
        // It also tells what it thinks of the other units of this machine.
        let own: Vec<String> =
            stderr(&output).lines().filter(|line| line.contains("pm2-root")).map(str::to_owned).collect();
        assert_eq!(own, [] as [&str; 0]);
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn the_list_is_saved_first() {
    let home = machine();
    let output = home.run(&["startup"]);
    assert!(!stdout(&output).contains("Process list saved"), "no daemon, no list");
    home.start();
    let output = home.run(&["startup"]);
    assert!(output.status.success(), "{output:?}");
    assert!(!stdout(&output).contains("Process list saved"), "an empty list replaces none");
    home.client().start(home.sleeper("a"));
    let output = home.run(&["startup"]);
    let line = format!("[PM2] Process list saved in {}\n", home.file("dump.pm2").display());
    assert!(stdout(&output).contains(&line), "{}", stdout(&output));
    let saved = fs::read_to_string(home.file("dump.pm2")).unwrap();
    assert!(saved.contains("\"name\": \"a\""), "{saved}");
}

#[test]
fn the_list_of_another_user_is_saved_by_that_user() {
    if !is_root() {
        return;
    }
    // The folder of the user, an executable this user can reach, and a daemon of this user in it.
    let home = TestHome::named("their/.pm2");
    let their = home.path("their");
    fs::create_dir(&their).unwrap();
    fs::set_permissions(home.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    chown(&their, Some(NOBODY), Some(NOBODY)).unwrap();
    let executable = home.path("pm2-rs");
    copy_executable(&executable);
    let mut start = home.command(executable.to_str().unwrap());
    let started =
        start.args(["start", "/bin/sleep"]).uid(NOBODY).gid(NOBODY).current_dir(&their).output().unwrap();
    assert!(started.status.success(), "{started:?}");
    // Root must not write through what that user made of the file.
    let secret = home.path("secret");
    fs::write(&secret, "mine").unwrap();
    symlink(&secret, home.file("dump.pm2")).unwrap();
    let root = home.path("root");
    fs::create_dir(&root).unwrap();
    let startup = || {
        let mut command = Command::new(&executable);
        command.args(["startup", "systemd", "-u", "nobody", "--hp"]).arg(&their);
        command.env("PM2_RS_STARTUP_ROOT", &root).current_dir("/").output().unwrap()
    };
    let output = startup();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).starts_with("[PM2][ERROR] cannot save the process list: "),
        "{}",
        stderr(&output)
    );
    assert_eq!(fs::read_to_string(&secret).unwrap(), "mine");
    assert_eq!(files(&root), [] as [PathBuf; 0], "nothing is set up without the list");

    fs::remove_file(home.file("dump.pm2")).unwrap();
    let output = startup();
    assert!(output.status.success(), "{output:?}");
    let saved = home.file("dump.pm2");
    assert_eq!((saved.metadata().unwrap().uid(), saved.metadata().unwrap().gid()), (NOBODY, NOBODY));
    assert!(fs::read_to_string(&saved).unwrap().contains("\"name\": \"sleep\""));
}

/// A daemon as a service manager starts it. Ended by the home, at last.
fn serve(home: &TestHome, socket: &str) -> Child {
    let log = fs::File::create(home.path("daemon.log")).unwrap();
    let mut command = home.command(EXECUTABLE);
    command.args(["daemon", "--resurrect"]).env("NOTIFY_SOCKET", socket);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

fn end(home: &TestHome, mut daemon: Child) {
    send(i32::try_from(daemon.id()).unwrap(), Signal::SIGTERM).unwrap();
    assert!(daemon.wait().unwrap().success());
    home.wait_until_empty();
}

#[track_caller]
fn received(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 256];
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let count = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("no message: {error}"));
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

#[track_caller]
fn assert_silent(socket: &UnixDatagram) {
    socket.set_nonblocking(true).unwrap();
    assert_eq!(socket.recv(&mut [0; 256]).unwrap_err().kind(), ErrorKind::WouldBlock);
    socket.set_nonblocking(false).unwrap();
}

#[test]
fn a_service_manager_hears_of_the_daemon_when_the_saved_apps_run() {
    let home = TestHome::new();
    let script =
        r#"echo $$ > seen; until [ -e gate ]; do sleep 0.01; done; echo '"ready"' >&3; exec sleep 3600"#;
    fs::write(home.path("gate"), "").unwrap();
    home.start();
    home.client().start(home.ready_shell("slow", script));
    home.client().start(home.sleeper("quick"));
    home.client().start(home.sleeper("stopped"));
    home.client().call("stopProcessId", json!(2)).unwrap();
    let saved = home.run(&["save"]);
    let text = format!(
        "[PM2] Saving current process list...\n[PM2] Successfully saved in {}\n",
        home.file("dump.pm2").display()
    );
    assert_eq!((saved.status.code(), stdout(&saved)), (Some(0), text));
    assert!(home.run(&["kill"]).status.success());
    home.wait_until_empty();
    fs::remove_file(home.path("gate")).unwrap();
    fs::remove_file(home.path("seen")).unwrap();

    let path = home.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let daemon = serve(&home, path.to_str().unwrap());
    until("the slow app is started", || home.path("seen").exists());
    assert_eq!(home.client().call("ping", json!({})).unwrap(), json!({"msg": "pong"}), "it answers already");
    assert_silent(&socket);
    fs::write(home.path("gate"), "").unwrap();
    assert_eq!(received(&socket), "READY=1");
    let list = home.client().list();
    let mut states: Vec<_> = list
        .iter()
        .map(|entry| (entry["name"].as_str().unwrap(), entry["pm2_env"]["status"].as_str().unwrap()))
        .collect();
    states.sort_unstable();
    assert_eq!(states, [("quick", "online"), ("slow", "online"), ("stopped", "stopped")]);
    for entry in list.iter().filter(|entry| entry["pid"] != 0) {
        let pid = i32::try_from(entry["pid"].as_i64().unwrap()).unwrap();
        assert!(!environment(pid).contains_key("NOTIFY_SOCKET"), "an app could speak for the daemon");
    }
    assert_silent(&socket);
    assert!(home.log().contains("3 saved processes restored"), "{}", home.log());
    end(&home, daemon);
    assert_eq!(received(&socket), "STOPPING=1");
    assert_silent(&socket);
}

#[test]
fn an_abstract_socket_hears_of_a_daemon_without_a_list() {
    let home = TestHome::new();
    let name = format!("pm2-rs-test-{}-startup", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let daemon = serve(&home, &format!("@{name}"));
    assert_eq!(received(&socket), "READY=1");
    assert_eq!(home.client().list().len(), 0);
    assert!(home.log().contains("No saved processes"), "{}", home.log());
    // Over an upgrade it stays the same service.
    assert!(home.run(&["update"]).status.success());
    home.client().start(home.sleeper("asleep"));
    let pid = i32::try_from(home.client().list()[0]["pid"].as_i64().unwrap()).unwrap();
    assert!(!environment(pid).contains_key("NOTIFY_SOCKET"), "an app could speak for the daemon");
    assert_silent(&socket);
    assert!(home.run(&["kill"]).status.success());
    assert_eq!(received(&socket), "STOPPING=1");
    let mut daemon = daemon;
    assert!(daemon.wait().unwrap().success());
}

#[test]
fn a_service_manager_that_does_not_listen_changes_nothing() {
    let home = TestHome::new();
    let daemon = serve(&home, home.path("nobody-listens").to_str().unwrap());
    eventually("it serves", || home.file("pm2.pid").exists().then_some(()));
    until("it has said so", || home.log().contains("cannot notify the service manager"));
    assert_eq!(home.client().call("ping", json!({})).unwrap(), json!({"msg": "pong"}));
    end(&home, daemon);
}

#[test]
fn the_daemon_of_a_client_does_not_speak_for_the_service_that_the_client_is() {
    let home = TestHome::new();
    let path = home.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let home = home.with("NOTIFY_SOCKET", &path);
    assert!(home.run(&["ping"]).status.success());
    let daemon: i32 = fs::read_to_string(home.file("pm2.pid")).unwrap().parse().unwrap();
    assert!(processes_of(&home.dir).contains(&daemon) && is_alive(daemon));
    assert!(home.run(&["kill"]).status.success());
    home.wait_until_empty();
    assert_silent(&socket);
}

#[test]
fn resurrect_succeeds_without_a_list() {
    let home = TestHome::new();
    let output = home.run(&["resurrect"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "[PM2] Resurrecting\n"));
    assert!(stderr(&output).ends_with("[PM2][ERROR] No processes saved; DUMP file doesn't exist\n"));
    let output = home.run(&["save"]);
    assert!(stdout(&output).contains("skipping save"), "{output:?}");
    assert_eq!(fs::read_to_string(home.file("dump.pm2")).unwrap(), "[]");
    let script = home.path("app.sh");
    fs::write(&script, "exec sleep 3600").unwrap();
    assert!(home.run(&["start", script.to_str().unwrap()]).status.success());
    assert!(home.run(&["dump"]).status.success());
    assert!(home.run(&["delete", "all"]).status.success());
    let output = home.run(&["resurrect"]);
    let expected = format!(
        "[PM2] Resurrecting\n[PM2] Restoring processes located in {}\n[PM2] Process {} restored\n",
        home.file("dump.pm2").display(),
        script.display()
    );
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), expected));
    assert_eq!(home.client().list()[0]["pm2_env"]["status"], "online");
}

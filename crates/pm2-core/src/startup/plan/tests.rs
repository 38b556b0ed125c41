use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;

fn facts() -> Facts {
    Facts {
        executable: "/opt/pm2-rs/pm2-rs".into(),
        home: "/root/.pm2".into(),
        user_home: "/root".into(),
        path: "/opt/node/bin:/usr/bin::relative:/opt/node/bin".to_owned(),
        user: "root".to_owned(),
        env_user: Some("root".to_owned()),
        may_change: true,
        detected: Some(InitSystem::Systemd),
        home_of: |name| (name == "deploy").then(|| "/home/deploy".into()),
    }
}

fn request(platform: &str) -> Request {
    Request { platform: Some(platform.to_owned()), ..Request::default() }
}

fn commands(commands: &[Vec<String>]) -> Vec<String> {
    commands.iter().map(|command| command.join(" ")).collect()
}

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/startup").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What every init system gets: file, mode, commands, and the golden text.
#[test]
fn plans() {
    let check = |platform: &str, destination: &str, mode: u32, expected: &[&str], text: &str| {
        let plan = plan(&request(platform), &facts()).unwrap();
        assert_eq!(plan.platform, platform);
        assert_eq!(plan.destination, Path::new(destination), "{platform}");
        assert_eq!(plan.mode, mode, "{platform}");
        assert_eq!(commands(&plan.commands), expected, "{platform}");
        assert_eq!(plan.template, golden(text), "{platform}");
    };
    check(
        "systemd",
        "/etc/systemd/system/pm2-root.service",
        0o644,
        &["systemctl enable pm2-root"],
        "systemd.service",
    );
    let init_d = ["mkdir -p /var/lock/subsys", "touch /var/lock/subsys/pm2-root"];
    check(
        "upstart",
        "/etc/init.d/pm2-root",
        0o755,
        &[init_d[0], init_d[1], "update-rc.d pm2-root defaults"],
        "init.d",
    );
    let systemv = [init_d[0], init_d[1], "chkconfig --add pm2-root", "chkconfig pm2-root on"];
    check("amazon", "/etc/init.d/pm2-root", 0o755, &systemv, "init.d");
    check("openrc", "/etc/init.d/pm2", 0o755, &["rc-update add pm2 default"], "openrc");
    check(
        "darwin",
        "/root/Library/LaunchAgents/pm2.root.plist",
        0o644,
        &["launchctl load -w /root/Library/LaunchAgents/pm2.root.plist"],
        "launchd.plist",
    );
    check("freebsd", "/usr/local/etc/rc.d/pm2_root", 0o755, &["sysrc pm2_root_enable=YES"], "rcd");
    check(
        "openbsd",
        "/etc/rc.d/pm2_root",
        0o755,
        &["rcctl enable pm2_root", "rcctl start pm2_root"],
        "rcd-openbsd",
    );
    let smf = std::env::temp_dir().join("pm2_root.xml");
    let smf = smf.to_str().unwrap();
    check("smf", smf, 0o644, &[&format!("svccfg import {smf}"), "svcadm enable pm2_root"], "smf.xml");
}

#[test]
fn removals() {
    let check = |platform: &str, expected: &[&str]| {
        let removal = removal(&request(platform), &facts()).unwrap();
        let steps: Vec<_> = removal.steps.iter().map(RemovalStep::text).collect();
        assert_eq!(steps, expected);
        assert_eq!(removal.platform, platform);
        let installed = plan(&request(platform), &facts()).unwrap().destination;
        assert_eq!(removal.steps.last(), Some(&RemovalStep::File(installed)), "{platform}");
    };
    check(
        "ubuntu",
        &["systemctl stop pm2-root", "systemctl disable pm2-root", "rm /etc/systemd/system/pm2-root.service"],
    );
    check(
        "ubuntu14",
        &["update-rc.d pm2-root disable", "update-rc.d -f pm2-root remove", "rm /etc/init.d/pm2-root"],
    );
    check("centos6", &["chkconfig pm2-root off", "rm /etc/init.d/pm2-root"]);
    check("openrc", &["/etc/init.d/pm2 stop", "rc-update delete pm2 default", "rm /etc/init.d/pm2"]);
    let plist = "rm /root/Library/LaunchAgents/pm2.root.plist";
    check("macos", &["launchctl remove pm2.root", plist]);
    check(
        "rcd",
        &["/usr/local/etc/rc.d/pm2_root stop", "sysrc -x pm2_root_enable", "rm /usr/local/etc/rc.d/pm2_root"],
    );
    check("rcd-openbsd", &["rcctl stop pm2_root", "rcctl disable pm2_root", "rm /etc/rc.d/pm2_root"]);
}

#[test]
fn options() {
    let lines = |request: &Request, facts: &Facts| -> BTreeMap<String, String> {
        let template = plan(request, facts).unwrap().template;
        let pairs = template.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    };
    let mut request = request("systemd");
    request.user = Some("deploy".to_owned());
    request.wait_ip = true;
    let found = lines(&request, &facts());
    assert_eq!(found["User"], "deploy");
    assert_eq!(found["Environment"], "PM2_HOME=/home/deploy/.pm2", "the home of that user");
    assert_eq!((&*found["After"], &*found["Wants"]), ("network-online.target", "network-online.target"));
    request.hp = Some("/srv/my apps".into());
    assert_eq!(lines(&request, &facts())["Environment"], "\"PM2_HOME=/srv/my apps/.pm2\"");
    let chosen = Facts { home: "/srv/pm2".into(), ..facts() };
    request.hp = None;
    assert_eq!(lines(&request, &chosen)["Environment"], "PM2_HOME=/srv/pm2", "a home that was chosen");
    request.user = Some("stranger".to_owned());
    assert_eq!(lines(&request, &facts())["Environment"], "PM2_HOME=/root/.pm2");
    request.service_name = Some("my.svc".to_owned());
    let plan = plan(&request, &facts()).unwrap();
    assert_eq!(plan.destination, Path::new("/etc/systemd/system/my.svc.service"));
    assert_eq!(commands(&plan.commands), ["systemctl enable my.svc"]);
}

#[test]
fn without_a_platform_the_detected_one_counts() {
    let found = plan(&Request::default(), &facts()).unwrap();
    assert_eq!((found.init, &*found.platform), (InitSystem::Systemd, "systemd"));
    let lost = Facts { detected: None, ..facts() };
    let error = plan(&Request::default(), &lost).unwrap_err();
    assert_eq!(error.to_string(), "Init system not found");
    let error = plan(&request("nope"), &facts()).unwrap_err();
    assert_eq!(error.to_string(), "Unknown platform / init system name");
}

#[test]
fn who_is_not_root_gets_the_line_for_root() {
    let nobody =
        Facts { may_change: false, user: "nobody".to_owned(), user_home: "/home/no body".into(), ..facts() };
    let check = |request: &Request, verb: &str, line: &str| {
        let error = match verb {
            "setup" => plan(request, &nobody).unwrap_err(),
            _ => removal(request, &nobody).unwrap_err(),
        };
        let expected = format!(
            "You have to run this with elevated rights\nTo {verb} the Startup Script, copy/paste the following command:\n{line}"
        );
        assert_eq!(error.to_string(), expected);
    };
    let of = |command: &str, rest: &str| {
        format!("sudo env PATH=$PATH:/opt/pm2-rs {command} {rest} --hp '/home/no body'")
    };
    let own = "/opt/pm2-rs/pm2-rs";
    check(&Request::default(), "setup", &of(own, "startup systemd -u nobody"));
    check(&Request::default(), "unsetup", &of(own, "unstartup systemd -u nobody"));
    // The name is looked at when root asks.
    check(&request("nope"), "setup", &of(own, "startup nope -u nobody"));
    let bob = Request { user: Some("bob".to_owned()), ..Request::default() };
    check(&bob, "setup", &of("pm2-rs", "startup systemd -u bob"));
    let named = Request {
        service_name: Some("svc".to_owned()),
        wait_ip: true,
        hp: Some("/srv".into()),
        ..Request::default()
    };
    let line = "sudo env PATH=$PATH:/opt/pm2-rs /opt/pm2-rs/pm2-rs startup systemd -u nobody --hp /srv --service-name svc --wait-ip";
    check(&named, "setup", line);
}

#[test]
fn what_would_break_a_file_is_refused() {
    let check = |change: &dyn Fn(&mut Request, &mut Facts), what: &str| {
        let (mut request, mut facts) = (request("systemd"), facts());
        change(&mut request, &mut facts);
        let error = plan(&request, &facts).unwrap_err().to_string();
        assert!(error.starts_with(&format!("the {what} ")), "{error}");
    };
    for name in ["../../cron.d/x", "a b", "a\nb", ".x", "-x"] {
        check(&|request, _| request.service_name = Some(name.to_owned()), "service name");
    }
    for name in ["a\nExecStartPre=/bin/x", "a b", "-x", "a/b", "a'b", "%i"] {
        check(&|request, _| request.user = Some(name.to_owned()), "user");
    }
    check(&|request, _| request.hp = Some("/a\nb".into()), "home");
    check(&|_, facts| facts.path = "/bin:/a\nb".to_owned(), "PATH");
    check(&|_, facts| facts.executable = "/a\n/pm2-rs".into(), "executable's path");
}

#[test]
fn odd_values_are_quoted() {
    let facts = Facts { executable: "/opt/it's 100%/pm2-rs".into(), ..facts() };
    let unit = plan(&request("systemd"), &facts).unwrap().template;
    assert!(unit.contains("\nExecStart=\"/opt/it's 100%%/pm2-rs\" daemon --resurrect\n"), "{unit}");
    let script = plan(&request("systemv"), &facts).unwrap().template;
    assert!(script.contains(r"'\''/opt/it'\''\'\'''\''s 100%/pm2-rs'\'''"), "{script}");
    let user = Request { user: Some("first.last".to_owned()), ..request("freebsd") };
    assert_eq!(plan(&user, &facts).unwrap().destination, Path::new("/usr/local/etc/rc.d/pm2_first_last"));
}

#[test]
fn scripts_are_scripts() {
    let dir = tempfile::tempdir().unwrap();
    let facts = Facts { executable: "/opt/it's $HOME/pm2-rs".into(), ..facts() };
    for platform in ["upstart", "systemv", "openrc", "rcd", "rcd-openbsd"] {
        let path = dir.path().join(platform);
        fs::write(&path, plan(&request(platform), &facts).unwrap().template).unwrap();
        let checked = std::process::Command::new("sh").arg("-n").arg(&path).output().unwrap();
        assert!(checked.status.success(), "{platform}: {checked:?}");
    }
}

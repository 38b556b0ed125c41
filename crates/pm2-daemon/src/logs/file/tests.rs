use serde_json::json;

use super::*;
use crate::bus::Bus;
use crate::journal::Journal;

fn shared() -> Arc<Shared> {
    Shared::new("/dev/null".into(), 0o600, Journal::new(Bus::default(), ""))
}

fn opened(path: &Path) -> Arc<LogFile> {
    shared().open(path, OwnSettings::default()).unwrap()
}

fn rotating(path: &Path, settings: serde_json::Value) -> Arc<LogFile> {
    shared().open(path, OwnSettings { own: Some(settings), is_module: false }).unwrap()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// What is in the rotated files, the oldest first, and then in the log.
fn whole(log: &Path) -> String {
    let rotated = rotated::list(log).unwrap();
    rotated.iter().map(|file| text(&file.path)).collect::<String>() + &text(log)
}

#[test]
fn errors_read_as_nodes_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let shared = shared();
    let open = |path: &Path| shared.open(path, OwnSettings::default()).err().unwrap().to_string();
    let missing = open(&folder.path().join("no/x.log"));
    assert_eq!(missing, format!("ENOENT: no such file or directory, open '{path}/no/x.log'"));
    let directory = open(folder.path());
    assert_eq!(directory, format!("EISDIR: illegal operation on a directory, open '{path}'"));
}

#[test]
fn a_frozen_file_is_the_same_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("a.log"), folder.path().join("b.log"));
    let file = opened(&path);
    fs::rename(&path, &moved).unwrap();
    let mut descriptors = Descriptors::default();
    let state = file.freeze(&mut descriptors);
    drop(file);
    let file = shared().thaw(state, &mut descriptors).unwrap();
    file.append(b"1");
    assert_eq!(text(&moved), "1");
    assert!(!path.exists());
    let state = LogFileState { file: None, ..file.freeze(&mut descriptors) };
    shared().thaw(state, &mut descriptors).unwrap().append(b"2");
    assert_eq!(text(&path), "2");
}

#[test]
fn bytes_follow_the_path_after_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("a.log"), folder.path().join("b.log"));
    let file = opened(&path);
    assert_eq!(file.append(b"1"), []);
    fs::rename(&path, &moved).unwrap();
    file.append(b"2");
    file.reopen().unwrap();
    file.append(b"3");
    assert_eq!((text(&moved), text(&path)), ("12".to_owned(), "3".to_owned()));
}

#[test]
fn a_removed_file_is_made_anew_with_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let path = logs.join("a.log");
    let file = opened(&path);
    file.append(b"1\n");
    fs::remove_file(&path).unwrap();
    assert_eq!(file.append(b"2\n"), []);
    assert_eq!(text(&path), "2\n");
    fs::remove_dir_all(&logs).unwrap();
    assert_eq!(file.append(b"3\n"), []);
    assert_eq!(text(&path), "3\n");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_directory_in_the_place_of_a_file_is_a_fault_until_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let file = opened(&path);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let expected = format!("EISDIR: illegal operation on a directory, open '{}'", path.display());
    assert_eq!(file.append(b"lost\nbeg"), [Change::Failed(expected.clone())]);
    assert_eq!(file.append(b"un\nalso lost\nbeg"), [], "it is said once");
    let fault = file.fault().unwrap();
    assert_eq!((fault.error, fault.lost), (expected, 24));
    fs::remove_dir(&path).unwrap();
    file.state.lock().retry_at = Some(Instant::now());
    let changes = file.append(b"un\nback\n");
    assert!(matches!(&changes[..], [Change::Recovered(Fault { lost: 27, .. })]), "{changes:?}");
    assert_eq!((text(&path).as_str(), file.fault()), ("back\n", None));
}

#[test]
fn a_line_that_was_cut_gets_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let file = opened(&path);
    file.append(b"1\ncut");
    file.state.lock().fault = Some(Fault { lost: 3, is_skipping: true, ..Fault::new(String::new()) });
    assert_eq!(file.append(b"its rest"), []);
    assert!(matches!(&file.append(b"\n2\n")[..], [Change::Recovered(_)]));
    assert_eq!(text(&path), "1\ncut\n2\n");
}

#[test]
fn a_file_that_cannot_be_reopened_goes_on_and_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("a.log"), folder.path().join("b.log"));
    let file = opened(&path);
    fs::rename(&path, &moved).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(file.reopen().is_err());
    assert_eq!(file.append(b"1\n"), []);
    assert!(file.fault().is_some_and(|fault| fault.lost == 0));
    fs::remove_dir(&path).unwrap();
    file.state.lock().retry_at = Some(Instant::now());
    assert!(matches!(&file.append(b"2\n")[..], [Change::Recovered(_)]));
    assert_eq!((text(&moved), text(&path)), ("1\n".to_owned(), "2\n".to_owned()));
}

#[test]
fn rotation_cuts_between_lines_and_keeps_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a-out.log");
    let file = rotating(&path, json!({"max_size": 100, "retain": "all", "rotateInterval": ""}));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let stream: String = (0..200).map(|number| format!("line {number}\n")).collect();
    for chunk in stream.as_bytes().chunks(7) {
        assert_eq!(file.append(chunk), []);
    }
    let rotated = rotated::list(&path).unwrap();
    assert!(rotated.len() >= 16, "{}", rotated.len());
    for file in &rotated {
        let text = text(&file.path);
        assert!(text.len() < 110 && text.ends_with('\n') && text.starts_with("line "), "{text:?}");
        assert_eq!(fs::metadata(&file.path).unwrap().mode() & 0o777, 0o640);
    }
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    assert_eq!(whole(&path), stream);

    let long = "x".repeat(1000);
    let before = rotated.len();
    file.append(format!("{long}\nafter\n").as_bytes());
    assert_eq!(whole(&path), format!("{stream}{long}\nafter\n"));
    assert!(rotated::list(&path).unwrap().len() > before);
    assert_eq!(text(&path), "after\n");
}

#[test]
fn rotated_files_stay_within_their_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let file = rotating(&path, json!({"max_size": 100, "retain": 5, "max_total_size": 450}));
    for number in 0..500 {
        file.append(format!("line {number}\n").as_bytes());
        let rotated = rotated::list(&path).unwrap();
        let total: u64 = rotated.iter().map(|file| file.bytes).sum();
        assert!(rotated.len() <= 5 && total + fs::metadata(&path).unwrap().len() <= 450);
    }
    let kept = whole(&path);
    let first = kept.lines().next().unwrap().to_owned();
    let number: usize = first.strip_prefix("line ").unwrap().parse().unwrap();
    assert_eq!(kept, (number..500).map(|number| format!("line {number}\n")).collect::<String>());
}

#[test]
fn rotation_by_time_waits_for_the_end_of_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let file = rotating(&path, json!(true));
    let stream = Attached::new(file.clone());
    assert_eq!(file.rotate_from(0), Ok(false), "an empty file stays");
    file.append(b"1\nbeg");
    assert_eq!(file.rotate_from(6), Ok(false));
    assert!(!file.state.lock().is_due);
    assert_eq!(file.rotate_from(5), Ok(false));
    assert_eq!(rotated::list(&path).unwrap().len(), 0);
    let mut descriptors = Descriptors::default();
    let state = file.freeze(&mut descriptors);
    drop((stream, file));
    let file = shared().thaw(state, &mut descriptors).unwrap();
    file.append(b"un\n2\n");
    let rotated = rotated::list(&path).unwrap();
    assert_eq!((text(&rotated[0].path).as_str(), text(&path).as_str()), ("1\nbegun\n", "2\n"));
    assert_eq!(file.rotate_from(1), Ok(true));
    assert_eq!((rotated::list(&path).unwrap().len(), text(&path).as_str()), (2, ""));
    // Of a process that has ended comes no end of the line.
    file.append(b"3");
    file.shared.pause(true);
    assert_eq!(file.rotate_from(1), Ok(false));
    file.shared.pause(false);
    assert_eq!(file.rotate_from(1), Ok(true));
    assert_eq!((whole(&path).as_str(), text(&path).as_str()), ("1\nbegun\n2\n3", ""));
}

#[test]
fn a_file_that_cannot_be_rotated_grows_on() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, moved) = (folder.path().join("logs"), folder.path().join("moved"));
    fs::create_dir(&logs).unwrap();
    let path = logs.join("a.log");
    let file = rotating(&path, json!({"max_size": 10}));
    file.append(b"12345678\n");
    fs::rename(&logs, &moved).unwrap();
    let changes = file.append(b"abcdefgh\n");
    assert!(
        matches!(&changes[..], [Change::NotRotated(error)] if error.starts_with("ENOENT")),
        "{changes:?}"
    );
    assert_eq!(file.append(b"ABCDEFGH\n"), []);
    assert_eq!(text(&moved.join("a.log")), "12345678\nabcdefgh\nABCDEFGH\n");
    fs::rename(&moved, &logs).unwrap();
    file.state.lock().rotate_at = Some(Instant::now());
    file.append(b"!\n");
    assert_eq!(text(&path), "!\n");
}

#[test]
fn what_is_behind_a_link_is_rotated() {
    let folder = tempfile::tempdir().unwrap();
    let (path, real) = (folder.path().join("link.log"), folder.path().join("real.log"));
    fs::write(&real, "").unwrap();
    std::os::unix::fs::symlink(&real, &path).unwrap();
    let file = rotating(&path, json!({"max_size": 4}));
    file.append(b"123\n456\n");
    assert_eq!((text(&real).as_str(), whole(&real).as_str()), ("456\n", "123\n456\n"));
}

#[test]
fn a_file_with_two_paths_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::os::unix::fs::symlink(path("real.log"), path("link.log")).unwrap();
    let shared = shared();
    let own = OwnSettings {
        own: Some(json!({"max_size": 4, "retain": "all", "compress": true})),
        is_module: false,
    };
    let open = |name: &str| shared.open(&path(name), own.clone()).unwrap();
    let (real, link) = (open("real.log"), open("link.log"));
    assert!(Arc::ptr_eq(&real, &link) && Arc::ptr_eq(&link, &open("link.log")));
    real.append(b"1234\n");
    link.append(b"1\n");
    assert_eq!(text(&path("real.log")), "1\n");
    // It is one for as long as it is.
    fs::remove_file(path("link.log")).unwrap();
    let other = open("link.log");
    assert!(!Arc::ptr_eq(&real, &other));
    other.append(b"2\n");
    assert_eq!((text(&path("real.log")).as_str(), text(&path("link.log")).as_str()), ("1\n", "2\n"));
    assert!(Arc::ptr_eq(&other, &open("link.log")) && Arc::ptr_eq(&real, &open("real.log")));
    // A file that was renamed is that of whoever opens it under its new name.
    fs::rename(path("real.log"), path("moved.log")).unwrap();
    assert!(!Arc::ptr_eq(&real, &open("moved.log")));
    let devices: Vec<_> = ["/dev/null", "/dev/zero"]
        .map(|path| shared.open(Path::new(path), OwnSettings::default()).unwrap())
        .into();
    assert!(!Arc::ptr_eq(&devices[0], &devices[1]));
}

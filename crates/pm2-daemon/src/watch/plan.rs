//! Which files concern an app. Specification `lifecycle.md` §8.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use globset::{GlobBuilder, GlobMatcher};
use serde_json::{Map, Value};

/// What an app wants to be restarted for.
#[derive(Debug, Clone)]
pub(crate) struct WatchPlan {
    /// The working directory, to which paths are relative.
    pub(crate) folder: PathBuf,
    pub(crate) roots: Vec<Root>,
    /// From the last change to the restart.
    pub(crate) delay: Duration,
    /// Folders below a root that are looked into.
    pub(crate) depth: Option<usize>,
    /// Files are looked at so often, instead of waiting for word from the system.
    pub(crate) polling: Option<Duration>,
    /// Folders behind symbolic links are looked into.
    pub(crate) follows_links: bool,
    ignored: Option<Vec<Rule>>,
    /// Written by the daemon: they never count.
    own_files: Vec<PathBuf>,
    /// What it was made of.
    source: Vec<Value>,
}

impl PartialEq for WatchPlan {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.folder == other.folder && self.own_files == other.own_files
    }
}

/// A path that is watched; with everything below it if it is a folder.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    pub(crate) path: PathBuf,
    /// Of what is below, only this.
    pattern: Option<GlobMatcher>,
}

#[derive(Debug, Clone)]
enum Rule {
    /// This path and everything below it.
    Path(PathBuf),
    Pattern(GlobMatcher),
}

/// Pause between two looks, as chokidar has it.
const POLLING_MS: u64 = 100;

/// Keys of a description that a plan is made of.
const KEYS: [&str; 4] = ["watch", "ignore_watch", "watch_options", "watch_delay"];

impl WatchPlan {
    /// Reads what a description says of watching; `None` when it is off.
    pub(crate) fn read(
        app: &Map<String, Value>,
        folder: &Path,
        own_files: Vec<PathBuf>,
    ) -> Option<WatchPlan> {
        let words = match app.get("watch")? {
            Value::Bool(true) => Vec::new(),
            Value::String(text) if text == "true" => Vec::new(),
            Value::String(text) if !matches!(text.as_str(), "" | "false") => vec![text.clone()],
            Value::Array(words) => texts(words),
            _ => return None,
        };
        let options = app.get("watch_options").and_then(Value::as_object);
        let option = |key: &str| options.and_then(|options| options.get(key));
        let ignored = match option("ignored").or_else(|| app.get("ignore_watch")) {
            Some(Value::String(text)) => Some(vec![text.clone()]),
            Some(Value::Array(words)) => Some(texts(words)),
            _ => None,
        };
        let folder = clean(folder);
        let roots = match words.is_empty() {
            true => vec![Root { path: folder.clone(), pattern: None }],
            false => words.iter().map(|word| Root::read(word, &folder)).collect(),
        };
        let ms = app.get("watch_delay").and_then(Value::as_u64).unwrap_or(0);
        Some(WatchPlan {
            roots,
            delay: Duration::from_millis(ms),
            depth: option("depth").and_then(Value::as_u64).map(|depth| depth as usize),
            polling: (option("usePolling") == Some(&Value::Bool(true))).then(|| {
                let interval = option("interval").and_then(Value::as_u64).filter(|ms| *ms > 0);
                Duration::from_millis(interval.unwrap_or(POLLING_MS))
            }),
            follows_links: option("followSymlinks") != Some(&Value::Bool(false)),
            ignored: ignored.map(|words| words.iter().map(|word| Rule::read(word, &folder)).collect()),
            own_files,
            source: KEYS.iter().map(|key| app.get(*key).cloned().unwrap_or_default()).collect(),
            folder,
        })
    }

    /// Whether a change of that path is one of the app's.
    pub(crate) fn concerns(&self, path: &Path) -> bool {
        !self.own_files.iter().any(|own| own == path)
            && self.roots.iter().any(|root| root.has(path) && !self.ignores_below(root, path))
    }

    /// Whether a folder is to be looked into; `root` is the number of the root it was found under.
    pub(crate) fn enters(&self, root: usize, folder: &Path) -> bool {
        let root = &self.roots[root];
        let Ok(below) = folder.strip_prefix(&root.path) else { return false };
        self.depth.is_none_or(|depth| below.components().count() <= depth)
            && !self.ignores_below(root, folder)
    }

    /// The path as the log shows it.
    pub(crate) fn shown<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.folder).unwrap_or(path)
    }

    fn ignores_below(&self, root: &Root, path: &Path) -> bool {
        match &self.ignored {
            // Where the app itself lies is its own affair.
            None => path.strip_prefix(&root.path).is_ok_and(|below| {
                below.components().any(|part| {
                    let name = part.as_os_str().to_string_lossy();
                    name.starts_with('.') || name.contains("node_modules")
                })
            }),
            Some(rules) => rules.iter().any(|rule| rule.matches(path)),
        }
    }
}

impl Root {
    fn read(word: &str, folder: &Path) -> Root {
        let path = clean(&folder.join(word));
        let Some(pattern) = has_pattern(word).then(|| glob(&path)).flatten() else {
            return Root { path, pattern: None };
        };
        // Up to the first part with a pattern.
        let base = path.components().take_while(|part| !has_pattern(&part.as_os_str().to_string_lossy()));
        Root { path: base.collect(), pattern: Some(pattern) }
    }

    fn has(&self, path: &Path) -> bool {
        path.starts_with(&self.path) && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(path))
    }
}

impl Rule {
    fn read(word: &str, folder: &Path) -> Rule {
        let path = clean(&folder.join(word));
        match has_pattern(word).then(|| glob(&path)).flatten() {
            Some(pattern) => Rule::Pattern(pattern),
            None => Rule::Path(path),
        }
    }

    fn matches(&self, path: &Path) -> bool {
        match self {
            Rule::Path(ignored) => path.starts_with(ignored),
            Rule::Pattern(pattern) => path.ancestors().any(|part| pattern.is_match(part)),
        }
    }
}

fn texts(words: &[Value]) -> Vec<String> {
    words.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn has_pattern(word: &str) -> bool {
    word.contains(['*', '?', '[', '{', '\\'])
}

fn glob(path: &Path) -> Option<GlobMatcher> {
    let text = path.to_str()?;
    let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build().ok()?;
    Some(glob.compile_matcher())
}

/// Without `.` and `..`, which events never have.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(cleaned.pop()),
            part => cleaned.push(part),
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(app: Value) -> WatchPlan {
        let Value::Object(app) = app else { panic!("no object") };
        WatchPlan::read(&app, Path::new("/srv/.hidden/app"), vec!["/srv/.hidden/app/app.log".into()]).unwrap()
    }

    fn concerned(plan: &WatchPlan, paths: &[&str]) -> Vec<bool> {
        paths.iter().map(|path| plan.concerns(&clean(&Path::new("/srv/.hidden/app").join(path)))).collect()
    }

    #[test]
    fn off() {
        for watch in [json!(false), json!(null), json!("false"), json!(""), json!(5)] {
            let Value::Object(app) = json!({"watch": watch}) else { continue };
            assert_eq!(WatchPlan::read(&app, Path::new("/"), Vec::new()), None);
        }
    }

    #[test]
    fn the_folder_without_dot_files_and_modules() {
        for watch in [json!(true), json!([]), json!("true")] {
            let plan = plan(json!({"watch": watch}));
            let paths = [
                "a.js",
                "lib/b.js",
                ".git/index",
                "lib/.env",
                "node_modules/x/y.js",
                "app.log",
                "../other.js",
            ];
            assert_eq!(concerned(&plan, &paths), [true, true, false, false, false, false, false]);
            assert!(!plan.enters(0, Path::new("/srv/.hidden/app/node_modules")));
            assert!(plan.enters(0, Path::new("/srv/.hidden/app/lib")));
        }
    }

    #[test]
    fn given_paths() {
        let plan = plan(json!({"watch": ["src", "./config.json", "../shared", ".env"]}));
        let paths = ["src/a.js", "config.json", "../shared/x", ".env", "other.js", "src2/a.js", "src/.swp"];
        assert_eq!(concerned(&plan, &paths), [true, true, true, true, false, false, false]);
        assert_eq!(plan.shown(Path::new("/srv/.hidden/app/src/a.js")), Path::new("src/a.js"));
    }

    #[test]
    fn patterns_of_paths() {
        let plan = plan(json!({"watch": ["src/**/*.js", "*.json"]}));
        let paths = ["src/a.js", "src/x/y/b.js", "src/a.css", "package.json", "src/c.json"];
        assert_eq!(concerned(&plan, &paths), [true, true, false, true, false]);
        assert_eq!(plan.roots[0].path, Path::new("/srv/.hidden/app/src"));
    }

    #[test]
    fn a_list_of_ignored_paths_replaces_the_usual_ones() {
        let plan = plan(
            json!({"watch": true, "ignore_watch": ["node_modules", "*.log", "**/tmp", "\\.git", "logs/"]}),
        );
        let paths = [
            "a.js",
            ".env",
            "node_modules/x.js",
            "x.log",
            "lib/x.log",
            "lib/tmp/x",
            ".git/index",
            "logs/a",
            "logs2/a",
        ];
        assert_eq!(concerned(&plan, &paths), [true, true, false, false, true, false, false, false, true]);
    }

    #[test]
    fn options_of_the_watcher() {
        let plan = plan(json!({
            "watch": true, "watch_delay": 250, "ignore_watch": ["a"],
            "watch_options": {"ignored": "b", "depth": 1, "followSymlinks": false}
        }));
        assert_eq!(concerned(&plan, &["a/x", "b/x"]), [true, false]);
        assert!(
            plan.enters(0, Path::new("/srv/.hidden/app/x"))
                && !plan.enters(0, Path::new("/srv/.hidden/app/x/y"))
        );
        assert_eq!((plan.delay, plan.follows_links), (Duration::from_millis(250), false));
        assert_eq!(plan.polling, None);
        let polled = |options: Value| self::plan(json!({"watch": true, "watch_options": options})).polling;
        assert_eq!(polled(json!({"usePolling": true})), Some(Duration::from_millis(100)));
        assert_eq!(polled(json!({"usePolling": true, "interval": 20})), Some(Duration::from_millis(20)));
        assert_eq!(polled(json!({"usePolling": false, "interval": 20})), None);
    }
}

//! Reading a configuration file without a JavaScript engine of one's own.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use super::evaluate::{Kind, evaluate};
use super::yaml::{self, YamlError};
use crate::app::{CallerContext, Map, absolute};

/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// How the text of a configuration file is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON, or any JavaScript expression.
    Json,
    /// YAML.
    Yaml,
    /// A JavaScript module.
    Module,
}

/// In the order PM2 looks; anywhere in the text counts, so `app.json5` and `x.json.bak` are found too.
const FORMATS: [(&str, Format); 6] = [
    (".json", Format::Json),
    (".yml", Format::Yaml),
    (".yaml", Format::Yaml),
    (".config.js", Format::Module),
    (".config.cjs", Format::Module),
    (".config.mjs", Format::Module),
];

/// The format of a configuration file by its name; `None` for what names a script or a process.
#[must_use]
pub fn format_of(name: &str) -> Option<Format> {
    FORMATS.iter().find(|(part, _)| name.contains(part)).map(|(_, format)| *format)
}

/// What a configuration file contains.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// Its value; [`super::read`] finds the apps in it.
    pub value: Value,
    /// The caller's environment as a JavaScript file left it, which apps inherit; `None`: as it was.
    pub env: Option<Map>,
}

/// Why a configuration file cannot be used.
#[derive(Debug, Error)]
pub enum ConfigFileError {
    /// It could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It is larger than 16 MiB.
    #[error("the configuration file {} has more than {} MiB", .0.display(), MAX_BYTES >> 20)]
    TooLarge(PathBuf),
    /// It is no YAML.
    #[error("{} ({}:{}:{})", mistake.message, path.display(), mistake.line, mistake.column)]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        mistake: YamlError,
    },
    /// JavaScript in it did not parse, or threw; the message of a syntax error ends with its place.
    #[error("{name}: {message}")]
    Thrown {
        /// Name of the error.
        name: String,
        /// Its message.
        message: String,
    },
    /// JavaScript in it went on and on.
    #[error("the configuration file {} did not finish within {seconds} s", path.display())]
    Endless {
        /// The file.
        path: PathBuf,
        /// What it had.
        seconds: u64,
    },
    /// There is no `node` to evaluate it with.
    #[error("{} needs Node.js to be read, and node could not be run: {source}", path.display())]
    NoNode {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It ended the `node` that evaluated it.
    #[error("{} ended the node that evaluated it", .0.display())]
    NoAnswer(PathBuf),
}

/// Reads a configuration file, seen from the caller's working directory. JSON and YAML are read here; what needs
/// JavaScript is evaluated by one run of the caller's `node`.
///
/// # Errors
/// [`ConfigFileError`].
pub fn load(name: &str, ctx: &CallerContext) -> Result<Evaluated, ConfigFileError> {
    let path = absolute(&ctx.cwd, name);
    let text = text_of(&path)?;
    let text = text.trim_start_matches('\u{feff}');
    match format_of(name) {
        Some(Format::Yaml) => match yaml::parse(text) {
            Ok(value) => Ok(Evaluated { value, env: None }),
            Err(mistake) => Err(ConfigFileError::Yaml { path, mistake }),
        },
        Some(Format::Module) => evaluate(Kind::Module, &path, ctx),
        Some(Format::Json) | None => match serde_json::from_str(text) {
            Ok(value) => Ok(Evaluated { value, env: None }),
            // Comments, trailing commas, single quotes, template literals: a JavaScript expression.
            Err(_) => evaluate(Kind::Expression, &path, ctx),
        },
    }
}

fn text_of(path: &Path) -> Result<String, ConfigFileError> {
    let failed = |source| ConfigFileError::Read { path: path.to_owned(), source };
    let mut text = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text)).map_err(failed)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(ConfigFileError::TooLarge(path.to_owned()));
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::home::Home;

    struct Folder {
        dir: tempfile::TempDir,
        ctx: CallerContext,
    }

    impl Folder {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let home = Home::at(dir.path().join("home"), &|_| None).unwrap();
            let mut env = Map::new();
            env.insert("PATH".to_owned(), std::env::var("PATH").unwrap().into());
            env.insert("PM2_RS_CONFIG_TIMEOUT".to_owned(), "3000".into());
            let ctx = CallerContext::new(dir.path().to_owned(), env, "node".into(), home);
            Self { dir, ctx }
        }

        fn load(&self, name: &str, text: &str) -> Result<Evaluated, String> {
            fs::write(self.dir.path().join(name), text).unwrap();
            load(name, &self.ctx).map_err(|error| error.to_string())
        }

        fn check(&self, name: &str, text: &str, expected: Value) {
            assert_eq!(self.load(name, text).map(|found| found.value), Ok(expected), "{name}");
        }

        fn refuse(&self, name: &str, text: &str, parts: &[&str]) {
            let error = self.load(name, text).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{name}: {part:?} is not in {error:?}");
            }
        }
    }

    #[test]
    fn names() {
        let check = |name: &str, expected: Option<Format>| assert_eq!(format_of(name), expected, "{name}");
        check("a.json", Some(Format::Json));
        check("x.json5.bak", Some(Format::Json));
        check("x/a.yaml", Some(Format::Yaml));
        check("ecosystem.config.cjs", Some(Format::Module));
        for name in ["app.js", "ecosystem.js", "a.config.ts", "json", "0"] {
            check(name, None);
        }
    }

    #[test]
    fn every_format() {
        let folder = Folder::new();
        let expected = json!({"apps": [{"name": "a"}]});
        folder.check("a.json", "\u{feff}{\"apps\": [{\"name\": \"a\"}]}", expected.clone());
        folder.check("b.json", "// c\n{apps: [{name: 'a'},],}", expected.clone());
        folder.check("c.yml", "apps:\n  - name: a\n", expected.clone());
        folder.check("d.config.js", "module.exports = {apps: [{name: 'a'}]}", expected.clone());
        folder.check("e.config.mjs", "export default {apps: [{name: 'a'}]}", expected.clone());
        folder.check("f.config.mjs", "export const apps = [{name: 'a'}]", expected);
    }

    #[test]
    fn what_a_file_prints_and_sets_is_not_lost() {
        let folder = Folder::new();
        let text =
            "process.env.ADDED = 'x'; delete process.env.PM2_RS_CONFIG_TIMEOUT; console.log('printed');
            module.exports = {name: process.env.ADDED}";
        let found = folder.load("a.config.js", text).unwrap();
        assert_eq!(found.value, json!({"name": "x"}));
        let env = found.env.unwrap();
        assert_eq!(env.get("ADDED"), Some(&json!("x")));
        assert!(!env.contains_key("PM2_RS_CONFIG_TIMEOUT"));
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let folder = Folder::new();
        folder.refuse("a.json", "{\n  apps: [}\n}", &["SyntaxError", "a.json:2:10"]);
        folder.refuse("b.yml", "a: 1\na: 2", &["duplicated mapping key", "b.yml:2:1"]);
        folder.refuse(
            "c.config.js",
            "module.exports = {\n  apps: [}\n}",
            &["SyntaxError", "c.config.js:2:10"],
        );
        folder.refuse("d.config.js", "throw new TypeError('mine')", &["TypeError: mine"]);
        folder.refuse("e.config.js", "process.exit(3)", &["e.config.js"]);
        let error = load("missing.json", &folder.ctx).unwrap_err();
        assert!(error.to_string().contains("missing.json"), "{error}");
    }

    #[test]
    fn files_that_never_end_are_ended() {
        let mut folder = Folder::new();
        folder.ctx.env.insert("PM2_RS_CONFIG_TIMEOUT".to_owned(), "300".into());
        for (name, text) in [
            ("a.json", "(() => { for (;;); })()"),
            ("b.config.js", "for (;;);"),
            ("c.config.mjs", "for (;;);"),
            ("d.config.mjs", "setInterval(() => {}, 1000); await new Promise(() => {})"),
        ] {
            folder.refuse(name, text, &["did not finish within"]);
        }
    }

    #[test]
    fn without_node_a_clear_error() {
        let mut folder = Folder::new();
        folder.ctx.node = "/no/such/node".into();
        folder.refuse("a.config.js", "module.exports = {}", &["needs Node.js"]);
        folder.check("b.json", "{}", json!({}));
    }
}

//! The `version` of an app: that of the nearest package.json above its script.

use std::path::Path;

/// `N/A` when there is no such file, `None` when the nearest one has no version.
pub(crate) fn version(script: &str) -> Option<String> {
    for folder in Path::new(script).ancestors().skip(1) {
        if let Ok(text) = std::fs::read(folder.join("package.json")) {
            let package: serde_json::Value = serde_json::from_slice(&text).ok()?;
            return package.get("version")?.as_str().map(str::to_owned);
        }
    }
    Some("N/A".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_counts() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        let script = inner.join("app.js");
        let script = script.to_str().unwrap();
        std::fs::write(folder.path().join("package.json"), r#"{"version":"1.2.3"}"#).unwrap();
        assert_eq!(version(script).as_deref(), Some("1.2.3"));
        std::fs::write(inner.join("package.json"), "{}").unwrap();
        assert_eq!(version(script), None);
        assert_eq!(version("/no-such-file").as_deref(), Some("N/A"));
    }
}

//! What a job does with its log files while its process runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::handle::Reply;
use super::process;
use super::task::Job;

/// Where the paths of the log files are.
const LOG_PATHS: [&str; 3] = ["pm_out_log_path", "pm_err_log_path", "pm_log_path"];

impl Job {
    /// Makes the files follow their paths again.
    pub(super) async fn reopen_logs(&mut self) -> Reply {
        let Some(process) = self.process() else { return Ok(String::new()) };
        let files = process.files.clone();
        let reopened = tokio::task::spawn_blocking(move || files.reopen()).await;
        match reopened {
            Ok(Ok(())) => Ok(String::new()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Writes to other paths from the next line on.
    pub(super) async fn move_logs(&mut self, paths: &BTreeMap<String, String>) -> Reply {
        self.change_app(|app| {
            for key in LOG_PATHS {
                if let Some(new) = app.get(key).and_then(Value::as_str).and_then(|path| paths.get(path)) {
                    app.insert(key.to_owned(), new.as_str().into());
                }
            }
        });
        if self.process().is_none() {
            return Ok(String::new());
        }
        let (context, view) = (self.context.clone(), self.view.lock().clone());
        let opened = tokio::task::spawn_blocking(move || process::open_logs(&context, &view)).await;
        let files = match opened {
            Ok(Ok(files)) => Arc::new(files),
            Ok(Err(error)) => return Err(error.to_string()),
            Err(error) => return Err(error.to_string()),
        };
        self.view.lock().logs = Some(Arc::downgrade(&files));
        if let Some(process) = self.process() {
            process.output.write_to(&files);
            process.files = files;
        }
        Ok(String::new())
    }
}

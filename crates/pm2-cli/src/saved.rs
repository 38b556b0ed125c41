//! Commands about the saved process list: `save`, `resurrect`.
//!
//! Behaviour of PM2 7.0.4, specification `cli.md` §5.5, without its table.

use pm2_core::app::Map;
use pm2_core::client::verbs::{self, Caller, VerbError};
use serde_json::Value;

use crate::connected::{environment, folder, print, with_session};

/// Saves the list. An empty one is kept from replacing a saved one, which is no failure.
pub(crate) fn save(force: bool) -> anyhow::Result<()> {
    let force = force || std::env::var_os("FORCE").is_some_and(|value| !value.is_empty());
    with_session(async |session| {
        print("[PM2] Saving current process list...\n")?;
        match verbs::dump(&session, force).await {
            Ok(()) => {
                let file = session.home.dump_file.display();
                print(&format!("[PM2] Successfully saved in {file}\n"))
            }
            Err(VerbError::EmptyList) => print(
                "[PM2][WARN] PM2 is not managing any process, skipping save...\n\
                 [PM2][WARN] To force saving use: pm2-rs save --force\n",
            ),
            Err(error) => Err(error.into()),
        }
    })
}

/// Brings the saved processes back. Init systems rely on the exit code 0, also when nothing was saved.
pub(crate) fn resurrect() -> anyhow::Result<()> {
    with_session(async |session| {
        print("[PM2] Resurrecting\n")?;
        let env: Map = environment().into_iter().map(|(name, value)| (name, Value::from(value))).collect();
        let caller = Caller { cwd: folder(), env, node: "node".into() };
        match verbs::resurrect(&session, &caller).await {
            Ok(restored) => {
                print(&format!(
                    "[PM2] Restoring processes located in {}\n",
                    session.home.dump_file.display()
                ))?;
                for process in &restored.result {
                    let process: Value = serde_json::from_str(process.get())?;
                    let script = process["pm2_env"]["pm_exec_path"].as_str().unwrap_or_default();
                    print(&format!("[PM2] Process {script} restored\n"))?;
                }
                restored.errors.iter().for_each(|error| eprintln!("[PM2][ERROR] {error}"));
                Ok(())
            }
            Err(error @ VerbError::Dump(_)) => {
                eprintln!("[PM2][ERROR] {error}");
                eprintln!("[PM2][ERROR] No processes saved; DUMP file doesn't exist");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    })
}

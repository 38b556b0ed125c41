//! `sendSignalToProcessId`, `sendSignalToProcessName`.

use serde_json::Value;

use super::{Answer, MethodResult, job, shown};
use crate::engine::Engine;
use crate::job::{Command, JobHandle, Status};
use crate::sys::{Signal, signal_by_name};

/// Sends a signal to one app; answers all processes.
pub(super) async fn to_id(engine: &Engine, options: &Value) -> MethodResult {
    let job = job(engine, &options["process_id"], |id| format!("{id} id unknown"))?;
    let signal = read(&options["signal"]).ok_or("Error when sending signal (signal unknown)")?;
    job.ask(Command::Signal(signal)).await?;
    Ok(Answer::Value(engine.supervisor.formatted_json()))
}

/// Sends a signal to every running app of a name or script path, or to `all`.
pub(super) async fn to_name(engine: &Engine, options: &Value) -> MethodResult {
    let name = shown(&options["process_name"]);
    let named = |job: &JobHandle| {
        job.peek(|view| name == "all" || view.spec.name == name || view.spec.script == name)
    };
    let jobs: Vec<JobHandle> = engine.supervisor.jobs().into_iter().filter(named).collect();
    if jobs.is_empty() {
        return Err("Unknown process name".to_owned());
    }
    let signal =
        read(&options["signal"]).ok_or_else(|| format!("Unknown signal: {}", shown(&options["signal"])))?;
    for job in jobs {
        if job.peek(|view| matches!(view.status, Status::Online | Status::Launching)) {
            job.ask(Command::Signal(signal)).await?;
        }
    }
    Ok(Answer::Value(engine.supervisor.formatted_json()))
}

/// A signal by name or number.
fn read(value: &Value) -> Option<Signal> {
    match value {
        Value::String(name) => signal_by_name(name),
        Value::Number(number) => number
            .as_i64()
            .and_then(|number| i32::try_from(number).ok())
            .filter(|number| (0..=64).contains(number))
            .map(Signal),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn signals_are_names_or_numbers() {
        assert_eq!(read(&json!("SIGUSR2")), Some(Signal(libc::SIGUSR2)));
        assert_eq!(read(&json!(15)), Some(Signal(15)));
        assert_eq!(read(&json!(0)), Some(Signal(0)), "a look whether it lives");
        for bad in [json!("SIGX"), json!(-1), json!(65), json!(null), json!("usr2")] {
            assert_eq!(read(&bad), None, "{bad}");
        }
    }
}

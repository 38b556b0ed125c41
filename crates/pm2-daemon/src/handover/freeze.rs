//! The whole daemon as data, and back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{
    Clock, ClusterState, Descriptors, EngineState, HomeState, JobState, PhaseState, ProcessState, State,
    VERSION,
};
use crate::engine::Engine;
use crate::job;
use crate::logs::FileTable;

/// Why a daemon could not be frozen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FreezeError {
    #[error("an app takes too long to start or to stop")]
    Busy,
    #[error("a log file cannot be written for now")]
    SlowDisk,
}

/// How long a job may take to come to a stop.
const PATIENCE: Duration = Duration::from_secs(5);

/// Stops everything and writes it down. No commands may be under way, and none may come.
///
/// # Errors
/// When something cannot be stopped in time; everything goes on then.
pub(crate) async fn freeze(
    engine: &Engine,
    home: HomeState,
    mut descriptors: Descriptors,
) -> Result<(State, Descriptors), FreezeError> {
    let supervisor = &engine.supervisor;
    let context = &supervisor.context;
    let (jobs, is_late) = supervisor.freeze(Instant::now() + PATIENCE).await;
    if is_late {
        jobs.into_iter().for_each(job::Frozen::go_on);
        return Err(FreezeError::Busy);
    }
    let clock = Clock::stop();
    let mut files = FileTable::default();
    let (pumps, is_late) = context.logs.freeze(&mut files, &mut descriptors).await;
    if is_late {
        context.logs.thaw(pumps, &files, &context.bus, &mut descriptors);
        context.logs.go_on();
        jobs.into_iter().for_each(job::Frozen::go_on);
        return Err(FreezeError::SlowDisk);
    }
    // From here on nothing can fail.
    let mut cluster = match context.cluster.freeze(&clock).await {
        Some((state, of_cluster)) => {
            descriptors.add(of_cluster);
            Some(state)
        }
        None => None,
    };
    let mut states = Vec::new();
    for job in jobs {
        let mut state = job.into_state(&clock, &mut files, &mut descriptors).await;
        if let (Some(process), Some(cluster)) = (process_of(&mut state), &mut cluster) {
            give_back(process, cluster);
        }
        states.push(state);
    }
    let mut about_engine = EngineState {
        started_at: engine.started_at,
        next_job: supervisor.next_id(),
        samples: supervisor.metrics.freeze(&clock),
        ..EngineState::default()
    };
    context.freeze(&mut about_engine);
    let state = State {
        version: VERSION,
        program: pm2_core::VERSION.to_owned(),
        at: clock.at,
        descriptors: Vec::new(),
        home,
        engine: about_engine,
        files: files.freeze(&mut descriptors),
        pumps,
        jobs: states,
        cluster,
    };
    Ok((state, descriptors))
}

/// Makes everything live again. What cannot be, is lost and said in the log; the rest goes on.
pub(crate) fn thaw(engine: &Arc<Engine>, state: State, mut descriptors: Descriptors) {
    let supervisor = &engine.supervisor;
    let context = &supervisor.context;
    let journal = &context.journal;
    let clock = Clock::stopped_at(state.at);
    context.thaw(&state.engine);
    let files = context.logs.thaw_files(state.files, &mut descriptors);
    context.logs.thaw(state.pumps, &files, &context.bus, &mut descriptors);
    let mut workers = BTreeMap::new();
    if let Some(cluster) = state.cluster {
        let own = descriptors.split(&cluster.descriptors);
        match context.cluster.thaw(cluster, &clock, own) {
            Ok(ends) => workers = ends,
            Err(error) => journal.error(format_args!("all cluster workers are lost: {error}")),
        }
    }
    let jobs = state
        .jobs
        .into_iter()
        .map(|job| job::thaw(context, job, &clock, &files, &mut workers, &mut descriptors))
        .collect();
    supervisor.metrics.thaw(state.engine.samples, &clock);
    supervisor.thaw(jobs, state.engine.next_job);
    context.logs.go_on();
}

fn process_of(state: &mut JobState) -> Option<&mut ProcessState> {
    match &mut state.phase {
        PhaseState::Launching { process, .. } | PhaseState::Online { process } => Some(process),
        PhaseState::Idle | PhaseState::Waiting { .. } => None,
    }
}

/// What a worker's job has not heard goes back to where it came from.
fn give_back(process: &mut ProcessState, cluster: &mut ClusterState) {
    let worker = cluster.workers.iter_mut().find(|worker| Some(worker.id) == process.worker);
    if let Some(worker) = worker {
        worker.undelivered.splice(..0, process.said.drain(..));
    }
}

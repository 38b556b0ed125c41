//! The table of jobs: ids, instance numbers, and what concerns more than one job.

pub(crate) mod identity;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::clock::epoch_ms;
use crate::context::Context;
use crate::job::{self, AppSpec, Command, Frozen, JobHandle, Reply, Status, View};
use crate::logs::OwnSettings;
use crate::metrics::Metrics;

/// All jobs of this daemon.
pub(crate) struct Supervisor {
    pub(crate) context: Arc<Context>,
    table: Mutex<Table>,
    pub(crate) metrics: Metrics,
}

#[derive(Default)]
struct Table {
    jobs: BTreeMap<u32, JobHandle>,
    next_id: u32,
}

impl Supervisor {
    pub(crate) fn new(context: Arc<Context>) -> Supervisor {
        Supervisor { context, table: Mutex::default(), metrics: Metrics::default() }
    }

    /// The job with that id.
    pub(crate) fn job(&self, id: u32) -> Option<JobHandle> {
        self.table.lock().jobs.get(&id).cloned()
    }

    /// All jobs by ascending id.
    pub(crate) fn jobs(&self) -> Vec<JobHandle> {
        self.table.lock().jobs.values().cloned().collect()
    }

    /// The log files of all jobs, whether they run or not, with what each says of their rotation.
    pub(crate) fn logs(&self) -> Vec<(PathBuf, OwnSettings)> {
        let of_job = |view: &View| {
            let own = &view.spec.log_rotation;
            view.log_paths().into_iter().map(|path| (path.into(), own.clone())).collect::<Vec<_>>()
        };
        self.jobs().iter().flat_map(|job| job.peek(of_job)).collect()
    }

    /// JSON array of all processes with fresh metrics.
    pub(crate) fn list_json(&self) -> String {
        let jobs = self.jobs();
        let running: Vec<Option<i32>> = jobs
            .iter()
            .map(|job| job.peek(|view| (view.status == Status::Online).then_some(view.pid)))
            .collect();
        let measured: Vec<i32> = running.iter().flatten().copied().collect();
        let mut monits = self.metrics.measure(&measured).into_iter();
        array(jobs.iter().zip(running), |text, (job, running)| {
            let monit = running.and_then(|_| monits.next()).unwrap_or_default();
            job.peek(|view| view.push_proc_json(text, Some(&monit)));
        })
    }

    /// JSON array of all processes without metrics.
    pub(crate) fn formatted_json(&self) -> String {
        array(self.jobs(), |text, job| job.peek(|view| view.push_proc_json(text, None)))
    }

    /// Creates the instances of an app and starts them; the answer is the JSON array of what was
    /// started, in the order of their ids.
    ///
    /// # Errors
    /// When the description cannot be used, or an instance could not be started. Entries that failed to start stay
    /// listed as errored, except where log files could not be opened.
    pub(crate) async fn prepare(&self, app: Map<String, Value>) -> Reply {
        let instances = identity::instances(&app, self.context.settings.n_cpus)?;
        AppSpec::check(&app)?;
        let handles = self.create(app, &instances)?;
        let waiting: Vec<_> =
            handles.iter().map(|(job, starts)| starts.then(|| job.ask(Command::StartNew))).collect();
        let mut failure = None;
        let mut started = Vec::new();
        for ((job, _), waiting) in handles.iter().zip(waiting) {
            let reply = match waiting {
                Some(waiting) => waiting.await,
                None => {
                    self.publish(job, Some("start"), true);
                    Ok(job.peek(View::spawned_json))
                }
            };
            match reply {
                Ok(text) => started.push(text),
                Err(error) => {
                    self.forget_refused(job);
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(array(started, |text, process| text.push_str(&process))),
        }
    }

    /// A further instance of a running app.
    ///
    /// # Errors
    /// As [`Supervisor::prepare`].
    pub(crate) async fn duplicate(&self, original: &JobHandle) -> Reply {
        let app = original.peek(|view| view.description.app());
        let created = self.create(app, &identity::Instances::Numbered(1))?;
        let (job, _) = created.first().expect("one instance was asked for");
        job.ask(Command::StartNew).await.inspect_err(|_| self.forget_refused(job))
    }

    /// Stops a job and removes it from the table; the answer is its last state.
    ///
    /// # Errors
    /// What the job answers.
    pub(crate) async fn delete(&self, job: &JobHandle) -> Reply {
        let last = job.ask_to_end(Command::Delete).await;
        // Also when its task is gone already: an entry without one could never be deleted.
        self.forget(job.peek(|view| view.id));
        last
    }

    /// Stops and removes everything, all at once.
    pub(crate) async fn delete_all(&self) {
        let deletions: Vec<_> = self.jobs().iter().map(|job| job.ask(Command::Delete)).collect();
        for deletion in deletions {
            // A job that was already being deleted is as gone.
            drop(deletion.await);
        }
        *self.table.lock() = Table::default();
    }

    /// Publishes a `process:event` about a job; clients may leave out which.
    pub(crate) fn publish(&self, job: &JobHandle, event: Option<&str>, manually: bool) {
        self.context.bus.publish("process:event", || job.peek(|view| view.process_event(event, manually)));
    }

    /// Stops the tasks of all jobs, each between two commands, and gives them. The flag says that some had not finished
    /// what they do when the time was over, and go on.
    pub(crate) async fn freeze(&self, deadline: Instant) -> (Vec<Frozen>, bool) {
        let asked: Vec<_> = self
            .jobs()
            .iter()
            .map(|job| {
                let (to, frozen) = oneshot::channel();
                drop(job.ask(Command::Freeze(to)));
                frozen
            })
            .collect();
        let mut stopped = Vec::new();
        let mut is_late = false;
        for frozen in asked {
            match timeout_at(deadline, frozen).await {
                Ok(Ok(job)) => stopped.push(job),
                // Deleted meanwhile.
                Ok(Err(_)) => {}
                Err(_) => is_late = true,
            }
        }
        (stopped, is_late)
    }

    /// The id that the next entry gets.
    pub(crate) fn next_id(&self) -> u32 {
        self.table.lock().next_id
    }

    /// Takes jobs that were frozen back into the table.
    pub(crate) fn thaw(&self, jobs: Vec<JobHandle>, next_id: u32) {
        let mut table = self.table.lock();
        table.next_id = next_id;
        table.jobs.extend(jobs.into_iter().map(|job| (job.peek(|view| view.id), job)));
    }

    fn forget(&self, id: u32) {
        let mut table = self.table.lock();
        table.jobs.remove(&id);
        if table.jobs.is_empty() {
            table.next_id = 0;
        }
    }

    /// Removes an entry whose very first start was refused.
    fn forget_refused(&self, job: &JobHandle) {
        if job.peek(|view| view.forgotten) {
            self.forget(job.peek(|view| view.id));
        }
    }

    /// Makes the entries of an app; the flags say whether each is to be started.
    ///
    /// # Errors
    /// When the daemon ends: what would be made now would outlive it.
    fn create(
        &self,
        app: Map<String, Value>,
        instances: &identity::Instances,
    ) -> Result<Vec<(JobHandle, bool)>, String> {
        let mut table = self.table.lock();
        if self.context.is_ending() {
            return Err(ENDING.to_owned());
        }
        let variable = identity::instance_variable(&app, self.context.settings.instance_variable.as_deref());
        let increment = identity::increment_variable(&app);
        let mut siblings = identity::Siblings::default();
        let name = app.get("name").and_then(Value::as_str).unwrap_or_default();
        for job in table.jobs.values().filter(|job| job.peek(|view| view.spec.name == name)) {
            siblings.add(&job.peek(|view| view.description.app()), &variable, increment.as_deref());
        }
        let restored_stopped = matches!(instances, identity::Instances::Restored)
            && app.get("status").and_then(Value::as_str) == Some("stopped");

        let mut made = Vec::new();
        for _ in 0..instances.count() {
            let id = table.next_id;
            table.next_id += 1;
            let facts = identity::Facts {
                id,
                numbered: matches!(instances, identity::Instances::Numbered(_)),
                keep_log_paths: restored_stopped,
                instance_variable: &variable,
            };
            let mut app = app.clone();
            identity::assign(&mut app, &mut siblings, &facts);
            let (mut view, starts) = first_view(id, &app, restored_stopped);
            if matches!(instances, identity::Instances::Restored) {
                // What it was when it was saved; the app sees it like after any other restart.
                let text = |key: &str| app.get(key).and_then(Value::as_str).map(str::to_owned);
                view.version = text("version");
                view.node_version = text("node_version");
            }
            let job = job::start(self.context.clone(), view);
            table.jobs.insert(id, job.clone());
            made.push((job, starts));
        }
        self.context.logs.list_has_changed();
        Ok(made)
    }
}

/// Why nothing is started any more.
pub(crate) const ENDING: &str = "PM2 is being killed, nothing is started any more";

/// The state of an entry before its first start, and whether it is to be started.
fn first_view(id: u32, app: &Map<String, Value>, restored_stopped: bool) -> (View, bool) {
    let mut view = View::new(id, app);
    let starts = view.spec.autostart && !restored_stopped;
    if restored_stopped {
        let count = |key: &str| app.get(key).and_then(Value::as_u64).unwrap_or(0);
        let text = |key: &str| app.get(key).and_then(Value::as_str).map(str::to_owned);
        view.restart_time = count("restart_time");
        view.unstable_restarts = count("unstable_restarts");
        view.pm_uptime = app.get("pm_uptime").and_then(Value::as_i64);
        // Old versions of PM2 wrote the signal there.
        view.exit_signal = view.exit_signal.or_else(|| text("exit_code"));
    }
    if !starts {
        view.pm_uptime.get_or_insert_with(epoch_ms);
        view.created_at.get_or_insert_with(epoch_ms);
    }
    (view, starts)
}

/// JSON array whose elements a closure writes.
fn array<Item>(items: impl IntoIterator<Item = Item>, mut push: impl FnMut(&mut String, Item)) -> String {
    let mut text = String::from("[");
    for item in items {
        if text.len() > 1 {
            text.push(',');
        }
        push(&mut text, item);
    }
    text.push(']');
    text
}

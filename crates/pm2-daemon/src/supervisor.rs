//! The table of jobs: ids, instance numbers, and what concerns more than one job.

mod identity;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};

use crate::clock::epoch_ms;
use crate::context::Context;
use crate::job::{self, Command, JobHandle, Monit, Reply, Status, View};
use crate::metrics::Metrics;

/// All jobs of this daemon.
pub(crate) struct Supervisor {
    pub(crate) context: Arc<Context>,
    table: Mutex<Table>,
    metrics: Metrics,
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

    /// JSON array of all processes with fresh metrics.
    pub(crate) fn list_json(&self) -> String {
        let views: Vec<View> = self.jobs().iter().map(JobHandle::view).collect();
        let measured: Vec<i32> =
            views.iter().filter(|view| view.status == Status::Online).map(|view| view.pid).collect();
        let mut monits = self.metrics.measure(&measured).into_iter();
        join(views.iter().map(|view| {
            let monit = if view.status == Status::Online { monits.next() } else { None };
            view.proc_json(Some(&monit.unwrap_or_else(Monit::default)))
        }))
    }

    /// JSON array of all processes without metrics.
    pub(crate) fn formatted_json(&self) -> String {
        join(self.jobs().iter().map(|job| job.peek(|view| view.proc_json(None))))
    }

    /// Creates the instances of an app and starts them; the answer is the JSON array of what was
    /// started, in the order of their ids.
    ///
    /// # Errors
    /// When the description cannot be used, or an instance could not be started. Entries that failed to start stay
    /// listed as errored, except where log files could not be opened.
    pub(crate) async fn prepare(&self, app: Map<String, Value>) -> Reply {
        let instances = identity::instances(&app, self.context.settings.n_cpus)?;
        identity::check(&app)?;
        let handles: Vec<(JobHandle, bool)> =
            (0..instances.count()).map(|_| self.create(app.clone(), &instances)).collect();
        let waiting: Vec<_> =
            handles.iter().map(|(job, starts)| starts.then(|| job.ask(Command::Start))).collect();
        let mut failure = None;
        let mut started = Vec::new();
        for ((job, _), waiting) in handles.iter().zip(waiting) {
            let reply = match waiting {
                Some(waiting) => waiting.await,
                None => Ok(job.peek(View::spawned_json)),
            };
            match reply {
                Ok(text) => {
                    self.publish(job, "start", true);
                    started.push(text);
                }
                Err(error) => {
                    if job.peek(|view| view.forgotten) {
                        self.forget(job.peek(|view| view.id));
                    }
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(join(started.into_iter())),
        }
    }

    /// A further instance of a running app.
    ///
    /// # Errors
    /// As [`Supervisor::prepare`].
    pub(crate) async fn duplicate(&self, original: &JobHandle) -> Reply {
        let app = original.peek(|view| view.description.app());
        let (job, _) = self.create(app, &identity::Instances::Numbered(1));
        let started = job.ask(Command::Start).await?;
        self.publish(&job, "start", true);
        Ok(started)
    }

    /// Stops a job and removes it from the table; the answer is its last state.
    ///
    /// # Errors
    /// When somebody else deleted it first.
    pub(crate) async fn delete(&self, job: &JobHandle) -> Reply {
        let last = job.ask(Command::Delete).await?;
        self.forget(job.peek(|view| view.id));
        Ok(last)
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

    /// Publishes a `process:event` about a job.
    pub(crate) fn publish(&self, job: &JobHandle, event: &str, manually: bool) {
        self.context.bus.publish("process:event", || job.peek(|view| view.process_event(event, manually)));
    }

    fn forget(&self, id: u32) {
        let mut table = self.table.lock();
        table.jobs.remove(&id);
        if table.jobs.is_empty() {
            table.next_id = 0;
        }
    }

    /// Makes an entry; the flag says whether it is to be started.
    fn create(&self, mut app: Map<String, Value>, instances: &identity::Instances) -> (JobHandle, bool) {
        let mut table = self.table.lock();
        let id = table.next_id;
        table.next_id += 1;
        let restored_stopped = matches!(instances, identity::Instances::Restored)
            && app.get("status").and_then(Value::as_str) == Some("stopped");
        let siblings: Vec<Map<String, Value>> = table
            .jobs
            .values()
            .filter(|job| {
                job.peek(|view| Some(view.spec.name.as_str()) == app.get("name").and_then(Value::as_str))
            })
            .map(|job| job.peek(|view| view.description.app()))
            .collect();
        let facts = identity::Facts {
            id,
            numbered: matches!(instances, identity::Instances::Numbered(_)),
            keep_log_paths: restored_stopped,
            instance_variable: self.context.settings.instance_variable.as_deref(),
            siblings: &siblings,
        };
        identity::assign(&mut app, &facts);
        let mut view = View::new(id, &app);
        let starts = view.spec.autostart && !restored_stopped;
        if restored_stopped {
            view.restart_time = app.get("restart_time").and_then(Value::as_u64).unwrap_or(0);
            view.pm_uptime = app.get("pm_uptime").and_then(Value::as_i64);
        }
        if !starts {
            view.pm_uptime.get_or_insert_with(epoch_ms);
            view.created_at.get_or_insert_with(epoch_ms);
        }
        let job = job::start(self.context.clone(), view);
        table.jobs.insert(id, job.clone());
        (job, starts)
    }
}

/// JSON array of JSON texts.
fn join(texts: impl Iterator<Item = String>) -> String {
    let mut array = String::from("[");
    for text in texts {
        if array.len() > 1 {
            array.push(',');
        }
        array.push_str(&text);
    }
    array.push(']');
    array
}

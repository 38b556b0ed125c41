//! What all jobs share: the host, the logs, the bus, the settings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::bus::Bus;
use crate::cluster::ClusterPrimary;
use crate::handover::EngineState;
use crate::host::{ExitFuture, ProcessHost};
use crate::journal::Journal;
use crate::logs::LogWriter;
use crate::runtime_file::{Places, RuntimeFile};
use crate::settings::Settings;
use crate::tally::Tally;
use crate::watch::Watches;

/// Handed to every job's task.
pub(crate) struct Context {
    pub(crate) host: Box<dyn ProcessHost>,
    pub(crate) logs: LogWriter,
    pub(crate) bus: Bus,
    pub(crate) journal: Journal,
    pub(crate) settings: Settings,
    pub(crate) runtime_file: RuntimeFile,
    pub(crate) cluster: ClusterPrimary,
    pub(crate) watches: Watches,
    /// What is being done and takes its time: commands of clients, restarts, workers that drain.
    pub(crate) under_way: Tally,
    /// The end of the daemon was announced: exits are not followed by restarts.
    announced: AtomicBool,
    /// The end has begun: nothing is started any more.
    ending: AtomicBool,
    /// Set when whoever ends the daemon has lost patience.
    hurry: watch::Sender<bool>,
    next_worker: AtomicU64,
    /// Processes that could not be stopped, each with its worker; nobody owns them any more.
    survivors: Mutex<BTreeMap<i32, Option<u64>>>,
}

impl Context {
    pub(crate) fn new(
        host: Box<dyn ProcessHost>,
        logs: LogWriter,
        bus: Bus,
        journal: Journal,
        settings: Settings,
    ) -> Arc<Context> {
        let runtime_file = RuntimeFile::new(&settings.runtime_folder);
        let cluster = ClusterPrimary::new(journal.clone(), settings.cluster);
        let watches = Watches::new(journal.clone());
        Arc::new(Context {
            host,
            logs,
            bus,
            journal,
            settings,
            runtime_file,
            cluster,
            watches,
            under_way: Tally::default(),
            announced: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            hurry: watch::Sender::new(false),
            next_worker: AtomicU64::new(1),
            survivors: Mutex::default(),
        })
    }

    pub(crate) fn announce_end(&self) {
        self.announced.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_end_announced(&self) -> bool {
        self.announced.load(Ordering::Relaxed)
    }

    pub(crate) fn begin_end(&self) {
        self.announce_end();
        self.ending.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// No app gets more time to end by itself.
    pub(crate) fn hurry(&self) {
        self.hurry.send_replace(true);
    }

    /// Completes when no app gets more time to end by itself.
    pub(crate) fn hurried(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut hurry = self.hurry.subscribe();
        async move {
            if hurry.wait_for(|hurry| *hurry).await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// A number for `NODE_UNIQUE_ID`, never used twice.
    pub(crate) fn next_worker(&self) -> u64 {
        self.next_worker.fetch_add(1, Ordering::Relaxed)
    }

    /// Waits for the end of a process that could not be stopped: it must not stay as a zombie.
    pub(crate) fn outlive(self: &Arc<Self>, pid: i32, worker: Option<u64>, exit: ExitFuture) {
        self.survivors.lock().insert(pid, worker);
        let context = self.clone();
        tokio::spawn(async move {
            exit.await;
            if let Some(worker) = worker {
                context.cluster.leave(worker).await;
            }
            context.survivors.lock().remove(&pid);
        });
    }

    /// Writes down what belongs to no job.
    pub(crate) fn freeze(&self, state: &mut EngineState) {
        state.announced = self.is_end_announced();
        state.next_worker = self.next_worker.load(Ordering::Relaxed);
        state.next_pump = self.logs.latest();
        let runtime = self.runtime_file.places();
        state.runtime_folder = runtime.public;
        state.runtime_files = runtime.handed_out.into_iter().collect();
        state.survivors = self.survivors.lock().iter().map(|(pid, worker)| (*pid, *worker)).collect();
    }

    /// Goes on from there. Survivors that are followed already stay so.
    pub(crate) fn thaw(self: &Arc<Self>, state: &EngineState) {
        self.announced.store(state.announced, Ordering::Relaxed);
        self.next_worker.store(state.next_worker, Ordering::Relaxed);
        self.logs.number_from(state.next_pump);
        self.runtime_file.set_places(Places {
            public: state.runtime_folder.clone(),
            handed_out: state.runtime_files.iter().cloned().collect(),
        });
        for (pid, worker) in &state.survivors {
            if !self.survivors.lock().contains_key(pid) {
                self.outlive(*pid, *worker, self.host.follow(*pid));
            }
        }
    }
}

//! What all jobs share: the host, the logs, the bus, the settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;

use crate::bus::Bus;
use crate::cluster::ClusterPrimary;
use crate::host::ProcessHost;
use crate::journal::Journal;
use crate::logs::LogWriter;
use crate::runtime_file::RuntimeFile;
use crate::settings::Settings;
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
    /// The end of the daemon was announced: exits are not followed by restarts.
    announced: AtomicBool,
    /// The end has begun: nothing is started any more.
    ending: AtomicBool,
    /// Set when whoever ends the daemon has lost patience.
    hurry: watch::Sender<bool>,
    next_worker: AtomicU64,
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
            announced: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            hurry: watch::Sender::new(false),
            next_worker: AtomicU64::new(1),
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
}

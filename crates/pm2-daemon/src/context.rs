//! What all jobs share: the host, the logs, the bus, the settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::bus::Bus;
use crate::cluster::ClusterPrimary;
use crate::host::ProcessHost;
use crate::journal::Journal;
use crate::logs::LogWriter;
use crate::runtime_file::RuntimeFile;
use crate::settings::Settings;

/// Handed to every job's task.
pub(crate) struct Context {
    pub(crate) host: Box<dyn ProcessHost>,
    pub(crate) logs: LogWriter,
    pub(crate) bus: Bus,
    pub(crate) journal: Journal,
    pub(crate) settings: Settings,
    pub(crate) runtime_file: RuntimeFile,
    pub(crate) cluster: Mutex<ClusterPrimary>,
    /// The end of the daemon was announced: exits are not followed by restarts.
    closing: AtomicBool,
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
        Arc::new(Context {
            host,
            logs,
            bus,
            journal,
            settings,
            runtime_file,
            cluster: Mutex::default(),
            closing: AtomicBool::new(false),
            next_worker: AtomicU64::new(1),
        })
    }

    pub(crate) fn announce_close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// A number for `NODE_UNIQUE_ID`, never used twice.
    pub(crate) fn next_worker(&self) -> u64 {
        self.next_worker.fetch_add(1, Ordering::Relaxed)
    }
}

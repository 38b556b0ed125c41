//! The daemon's two sockets.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use pm2_core::home::{Endpoint, Home};

use super::{DaemonError, remove};
use crate::handover::{Descriptors, SocketState};
use crate::server::Listener;
use crate::settings::Settings;

/// Both of them.
pub(super) struct Sockets {
    pub(super) bus: Socket,
    pub(super) rpc: Socket,
}

/// A listening socket, and its file.
pub(super) struct Socket {
    pub(super) listener: Arc<Listener>,
    file: Option<SocketFile>,
}

/// A socket's file as it was bound, so that only this one is removed.
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Sockets {
    /// Binds both, in place of what a killed daemon has left.
    ///
    /// # Errors
    /// When one cannot be bound or made accessible.
    pub(super) async fn bind(home: &Home, settings: &Settings) -> Result<Sockets, DaemonError> {
        for endpoint in [&home.bus, &home.rpc] {
            if let Endpoint::Unix(path) = endpoint {
                // Nobody answers there and the lock is ours: left by a killed daemon.
                remove(path);
            }
        }
        // No moment in which somebody else could connect; apps are started with the usual mask.
        let mask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
        let bus = Listener::bind(&home.bus).await;
        let rpc = Listener::bind(&home.rpc).await;
        nix::sys::stat::umask(mask);
        let failed = |endpoint: &Endpoint| {
            let endpoint = endpoint.to_string();
            move |source| DaemonError::Listen { endpoint, source }
        };
        let (bus, rpc) = (bus.map_err(failed(&home.bus))?, rpc.map_err(failed(&home.rpc))?);
        if let Some((user, group)) = settings.socket_owner {
            for endpoint in [&home.bus, &home.rpc] {
                if let Endpoint::Unix(path) = endpoint {
                    std::os::unix::fs::chown(path, Some(user), Some(group)).map_err(|source| {
                        DaemonError::File { action: "change the owner of", path: path.clone(), source }
                    })?;
                }
            }
        }
        Ok(Sockets { bus: Socket::new(&home.bus, bus), rpc: Socket::new(&home.rpc, rpc) })
    }

    /// Closes both, whose connections have ended.
    pub(super) fn close(self) {
        for Socket { listener, file } in [self.bus, self.rpc] {
            if let Some(file) = file {
                file.remove();
            }
            drop(listener);
        }
    }
}

impl Socket {
    fn new(endpoint: &Endpoint, listener: Listener) -> Socket {
        Socket { listener: Arc::new(listener), file: SocketFile::of(endpoint) }
    }

    /// The socket as data; it stays in use here.
    ///
    /// # Errors
    /// When no descriptor is left.
    pub(super) fn freeze(&self, descriptors: &mut Descriptors) -> io::Result<SocketState> {
        let socket = descriptors.keep(self.listener.duplicate()?);
        let file = self.file.as_ref().map(|file| (file.device, file.inode));
        Ok(SocketState { socket, file })
    }

    /// The socket that was frozen.
    ///
    /// # Errors
    /// When it was not kept, or is of another kind than the endpoint.
    pub(super) fn thaw(
        endpoint: &Endpoint,
        state: &SocketState,
        descriptors: &mut Descriptors,
    ) -> io::Result<Socket> {
        let listener = Listener::adopt(endpoint, descriptors.take(state.socket)?)?;
        let file = match (endpoint, state.file) {
            (Endpoint::Unix(path), Some((device, inode))) => {
                Some(SocketFile { path: path.clone(), device, inode })
            }
            _ => None,
        };
        Ok(Socket { listener: Arc::new(listener), file })
    }
}

impl SocketFile {
    fn of(endpoint: &Endpoint) -> Option<SocketFile> {
        let Endpoint::Unix(path) = endpoint else { return None };
        let meta = std::fs::symlink_metadata(path).ok()?;
        Some(SocketFile { path: path.clone(), device: meta.dev(), inode: meta.ino() })
    }

    fn remove(&self) {
        let same = |meta: std::fs::Metadata| (meta.dev(), meta.ino()) == (self.device, self.inode);
        if std::fs::symlink_metadata(&self.path).is_ok_and(same) {
            remove(&self.path);
        }
    }
}

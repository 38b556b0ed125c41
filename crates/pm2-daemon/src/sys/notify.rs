//! The protocol of `sd_notify`: datagrams to the socket that `NOTIFY_SOCKET` names.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where a service manager listens.
#[derive(Debug)]
pub(crate) struct NotifySocket(SocketAddr);

impl NotifySocket {
    /// Understands a value of `NOTIFY_SOCKET`: an absolute path, or `@` and an abstract name where there are such.
    pub(crate) fn parse(value: &OsStr) -> Option<NotifySocket> {
        let address = match value.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(value).ok(),
            #[cfg(target_os = "linux")]
            [b'@', name @ ..] if !name.is_empty() => {
                use std::os::linux::net::SocketAddrExt;
                SocketAddr::from_abstract_name(name).ok()
            }
            _ => None,
        };
        address.map(NotifySocket)
    }

    /// Sends a state, without waiting for a reader that is slow.
    ///
    /// # Errors
    /// When nobody listens there, or its queue is full.
    pub(crate) fn send(&self, state: &str) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(state.as_bytes(), &self.0).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 64];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    #[test]
    fn a_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let there = NotifySocket::parse(path.as_os_str()).unwrap();
        there.send("READY=1").unwrap();
        assert_eq!(received(&socket), "READY=1");
        drop(socket);
        assert!(there.send("STOPPING=1").is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_abstract_name() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("pm2-rs-test-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        NotifySocket::parse(OsStr::new(&format!("@{name}"))).unwrap().send("READY=1").unwrap();
        assert_eq!(received(&socket), "READY=1");
    }

    #[test]
    fn what_is_no_socket() {
        for value in ["", "@", "relative", "vsock:2:1234", &format!("/{}", "x".repeat(200))] {
            assert!(NotifySocket::parse(OsStr::new(value)).is_none(), "{value}");
        }
    }
}

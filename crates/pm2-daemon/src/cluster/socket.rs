//! Binding what a worker asks for.

use std::fs::Permissions;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;

use socket2::{Domain, SockAddr, Socket, Type};

/// A worker's wish, as its frame words it.
pub(super) struct Wanted<'a> {
    pub(super) address: Option<&'a str>,
    pub(super) port: i64,
    /// `4`, `6`, `-1` (a path), `udp4`, `udp6`, or `null`.
    pub(super) address_type: &'a str,
    pub(super) backlog: i32,
    /// libuv's bind flags: 1 = IPv6 only, 4 = reuse the address (UDP).
    pub(super) flags: i32,
    /// The worker runs as another user, for whom the daemon must not touch files.
    pub(super) foreign: bool,
    /// `listen({fd})`: a descriptor of the primary, which an app has no business with.
    pub(super) names_descriptor: bool,
    /// Everybody may read from a socket file.
    pub(super) readable_all: bool,
    /// Everybody may write to a socket file.
    pub(super) writable_all: bool,
    /// Others will listen beside it ([`bind_beside`]).
    pub(super) grouped: bool,
}

/// The file of a socket; removed when this is dropped.
#[derive(Debug)]
pub(super) struct BoundPath(PathBuf);

impl BoundPath {
    /// The file of a socket that was bound earlier.
    pub(super) fn at(path: String) -> BoundPath {
        BoundPath(path.into())
    }

    /// The path; nobody removes the file now.
    pub(super) fn into_path(mut self) -> Option<String> {
        std::mem::take(&mut self.0).into_os_string().into_string().ok()
    }
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            // Somebody else may have removed it.
            drop(std::fs::remove_file(&self.0));
        }
    }
}

impl Wanted<'_> {
    pub(super) fn is_datagram(&self) -> bool {
        self.address_type.starts_with("udp")
    }
}

/// Binds, and listens unless it is a datagram socket. The result is non-blocking; beside it what goes with it.
///
/// # Errors
/// The system's error, which goes to the worker as it is.
pub(super) fn bind(wanted: &Wanted<'_>) -> io::Result<(Socket, Option<BoundPath>)> {
    if wanted.names_descriptor {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let (socket, path) = match wanted.address_type {
        "-1" => bind_path(wanted)?,
        "udp4" | "udp6" => (bind_ip(wanted, Type::DGRAM)?, None),
        _ => (bind_ip(wanted, Type::STREAM)?, None),
    };
    socket.set_nonblocking(true)?;
    if wanted.grouped {
        // Only now, so that an address that is taken was refused. Without it there is no group.
        drop(socket.set_reuse_port(true));
    }
    if !wanted.is_datagram() {
        socket.listen(wanted.backlog)?;
    }
    Ok((socket, path))
}

/// Another socket at the address of the first one of a group.
///
/// # Errors
/// The system's error.
pub(super) fn bind_beside(first: &Socket, backlog: i32) -> io::Result<Socket> {
    let address = first.local_addr()?;
    let socket = Socket::new(address.domain(), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(first.only_v6()?)?;
    }
    socket.bind(&address)?;
    socket.set_nonblocking(true)?;
    socket.listen(backlog)?;
    Ok(socket)
}

/// The address of a TCP socket as `server.address()` shows it, JSON.
pub(super) fn shown_address(socket: &Socket) -> Option<String> {
    let address = socket.local_addr().ok()?.as_socket()?;
    let family = if address.is_ipv6() { "IPv6" } else { "IPv4" };
    Some(format!(r#"{{"address":"{}","family":"{family}","port":{}}}"#, address.ip(), address.port()))
}

fn bind_path(wanted: &Wanted<'_>) -> io::Result<(Socket, Option<BoundPath>)> {
    let path = wanted.address.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    if wanted.foreign {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    // The only thing that can be wrong with a path here is its length.
    let address = SockAddr::unix(path).map_err(|_| io::Error::from_raw_os_error(libc::ENAMETOOLONG))?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    match socket.bind(&address) {
        // As Node words it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(io::Error::from_raw_os_error(libc::EACCES));
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path, &address)? => {
            // A file left by a killed process: nobody answers there.
            std::fs::remove_file(path)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    // The abstract namespace has no files.
    let file = (!path.starts_with('\0')).then(|| BoundPath(path.into()));
    let everybody = (0o444 * u32::from(wanted.readable_all)) | (0o222 * u32::from(wanted.writable_all));
    if file.is_some() && everybody != 0 {
        let mode = std::fs::metadata(path)?.permissions().mode();
        std::fs::set_permissions(path, Permissions::from_mode(mode | everybody))?;
    }
    Ok((socket, file))
}

/// Whether a path is a socket on which nobody listens. Anything else there is not ours to remove.
fn is_stale(path: &str, address: &SockAddr) -> io::Result<bool> {
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        return Ok(false);
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A listener that is too busy to answer lives.
    probe.set_nonblocking(true)?;
    Ok(probe.connect(address).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}

fn bind_ip(wanted: &Wanted<'_>, kind: Type) -> io::Result<Socket> {
    let port = u16::try_from(wanted.port.max(0)).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let stream = kind == Type::STREAM;
    let unknown = || io::Error::from_raw_os_error(libc::EADDRNOTAVAIL);
    let mut scope = 0;
    let address: IpAddr = match wanted.address {
        Some(address) => {
            let (address, interface) = address.split_once('%').unwrap_or((address, ""));
            if !interface.is_empty() {
                // The number itself, or the name of an interface.
                scope = interface
                    .parse()
                    .or_else(|_| nix::net::if_::if_nametoindex(interface))
                    .map_err(|_| unknown())?;
            }
            address.parse().map_err(|_| unknown())?
        }
        None if wanted.address_type == "udp4" => Ipv4Addr::UNSPECIFIED.into(),
        // Node listens on `::` and so on IPv4 too, or on 0.0.0.0 where there is no IPv6.
        None if Socket::new(Domain::IPV6, kind, None).is_ok() => Ipv6Addr::UNSPECIFIED.into(),
        None => Ipv4Addr::UNSPECIFIED.into(),
    };
    let mut address = SocketAddr::new(address, port);
    if let SocketAddr::V6(address) = &mut address {
        address.set_scope_id(scope);
    }
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if stream || wanted.flags & 4 != 0 {
        socket.set_reuse_address(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(wanted.flags & 1 != 0)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &std::path::Path) -> Wanted<'_> {
        Wanted {
            address: path.to_str(),
            port: -1,
            address_type: "-1",
            backlog: 5,
            flags: 0,
            foreign: false,
            names_descriptor: false,
            readable_all: false,
            writable_all: false,
            grouped: false,
        }
    }

    #[test]
    fn only_dead_sockets_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("precious");
        std::fs::write(&file, "data").unwrap();
        assert_eq!(bind(&at(&file)).unwrap_err().raw_os_error(), Some(libc::EADDRINUSE));
        assert_eq!(std::fs::read(&file).unwrap(), b"data");

        let socket = folder.path().join("socket");
        let living = bind(&at(&socket)).unwrap();
        assert_eq!(bind(&at(&socket)).unwrap_err().raw_os_error(), Some(libc::EADDRINUSE));
        // As after the end of its owner by SIGKILL.
        let (descriptor, file) = living;
        std::mem::forget(file);
        drop(descriptor);
        bind(&at(&socket)).unwrap();
        assert!(!socket.exists(), "it went with the listener");
    }

    #[test]
    fn for_another_user_no_path_is_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let wanted = Wanted { foreign: true, ..at(&path) };
        assert_eq!(bind(&wanted).unwrap_err().raw_os_error(), Some(libc::EACCES));
        assert!(!path.exists());
    }
}

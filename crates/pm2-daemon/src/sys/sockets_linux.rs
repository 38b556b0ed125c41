//! Linux: groups of listening sockets at one address (SO_REUSEPORT), steered by a classic BPF program.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::unix::Steering;

/// Takes a waiting connection; non-blocking, closed on exec.
///
/// # Errors
/// `EAGAIN` when none waits, `EMFILE` when the daemon has no descriptor left, and the network's own.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is open while it is borrowed; no address is asked for.
    let fd = unsafe {
        libc::accept4(
            listener.as_raw_fd(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so this is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Decides where the new connections of a group go; `socket` is any member.
///
/// # Errors
/// A kernel or sandbox without this.
pub(crate) fn steer(socket: BorrowedFd<'_>, to: &Steering) -> io::Result<()> {
    let mut program = program(to);
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let attached = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    // SAFETY: the structure and the program that it points to outlive the call, which copies them.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const attached).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Instructions of classic BPF that end with the number of a socket.
fn program(to: &Steering) -> Vec<libc::sock_filter> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const RANDOM: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM) as u32;
    let plain = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let answer = |socket: u32| plain(libc::BPF_RET | libc::BPF_K, socket);
    let unless_equal_skip = |k: u32| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: 1,
        k,
    };
    let mut program = Vec::new();
    if let Steering::Spread { over, first_every } = to
        && !over.is_empty()
    {
        if let Some(every) = first_every {
            program.push(plain(LOAD, RANDOM));
            program.push(plain(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, every - 1));
            program.push(unless_equal_skip(0));
            program.push(answer(0));
        }
        program.push(plain(LOAD, RANDOM));
        program.push(plain(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, over.len() as u32));
        for (n, socket) in (0..).zip(over) {
            program.push(unless_equal_skip(n));
            program.push(answer(*socket));
        }
    }
    program.push(answer(0));
    program
}

/// How many connections wait on a listening TCP socket; `None` when the system does not say.
pub(crate) fn n_unaccepted(listener: BorrowedFd<'_>) -> Option<u32> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into a structure of that size.
    let result = unsafe {
        libc::getsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    // SAFETY: zeroed before, and every bit pattern is valid for its integers.
    (result == 0).then(|| unsafe { info.assume_init() }.tcpi_unacked)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::os::fd::AsFd;

    use socket2::{Domain, Socket, Type};

    use super::*;

    fn group(n: usize) -> (Vec<Socket>, std::net::SocketAddr) {
        let mut sockets: Vec<Socket> = Vec::new();
        let mut address = "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap();
        for _ in 0..n {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_reuse_port(true).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.bind(&address.into()).unwrap();
            address = socket.local_addr().unwrap().as_socket().unwrap();
            socket.listen(64).unwrap();
            sockets.push(socket);
        }
        (sockets, address)
    }

    #[test]
    fn connections_go_where_they_are_steered() {
        let (sockets, address) = group(4);
        let waiting =
            || sockets.iter().map(|socket| n_unaccepted(socket.as_fd()).unwrap()).collect::<Vec<_>>();
        steer(sockets[0].as_fd(), &Steering::First).unwrap();
        let first: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(address).unwrap()).collect();
        assert_eq!(waiting(), [8, 0, 0, 0]);
        steer(sockets[0].as_fd(), &Steering::Spread { over: vec![1, 3], first_every: None }).unwrap();
        let spread: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
        let now = waiting();
        assert!(now[0] == 8 && now[2] == 0 && now[1] > 0 && now[3] > 0 && now[1] + now[3] == 40, "{now:?}");
        steer(sockets[0].as_fd(), &Steering::Spread { over: vec![2], first_every: Some(1) }).unwrap();
        drop(TcpStream::connect(address).unwrap());
        assert_eq!(waiting()[0], 9, "one of one");
        assert!(accept(sockets[0].as_fd()).is_ok());
        drop((first, spread));
    }

    #[test]
    fn nobody_waits() {
        let (sockets, _) = group(1);
        assert_eq!(accept(sockets[0].as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}

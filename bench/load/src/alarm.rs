//! Wakes the poll loop at a moment. epoll's own time limit counts in whole milliseconds, and several arrivals fall into
//! one of these; kqueue's counts in nanoseconds, so that other systems need no alarm.

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::Alarm;
#[cfg(target_os = "linux")]
pub(crate) use linux::Alarm;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd};
    use std::time::Duration;

    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};
    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

    pub(crate) struct Alarm(TimerFd);

    impl Alarm {
        pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Alarm> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
            registry.register(&mut SourceFd(&timer.as_fd().as_raw_fd()), token, Interest::READABLE)?;
            Ok(Alarm(timer))
        }

        /// Replaces what was set before. Nothing need be read: setting it takes an expiration back.
        pub(crate) fn set(&self, after: Duration) -> io::Result<()> {
            // Zero would switch it off.
            let after = TimeSpec::from_duration(after.max(Duration::from_nanos(1)));
            Ok(self.0.set(Expiration::OneShot(after), TimerSetTimeFlags::empty())?)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::io;
    use std::time::Duration;

    use mio::{Registry, Token};

    pub(crate) struct Alarm;

    impl Alarm {
        pub(crate) fn new(_: &Registry, _: Token) -> io::Result<Alarm> {
            Ok(Alarm)
        }

        pub(crate) fn set(&self, _: Duration) -> io::Result<()> {
            Ok(())
        }
    }
}

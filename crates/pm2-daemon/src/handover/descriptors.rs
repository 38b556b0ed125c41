//! Descriptors that go from one program image to the next under their numbers.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::sys::{is_open, keep_over_exec};

/// The number under which a descriptor is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Kept(pub(crate) RawFd);

/// Owns what is handed over until somebody takes it back; the rest is closed with it.
#[derive(Debug, Default)]
pub(crate) struct Descriptors(BTreeMap<Kept, OwnedFd>);

impl Descriptors {
    /// Owns again what a program image before this one kept. Numbers that are not open are left out.
    ///
    /// # Safety
    /// Nobody else in this process may own one of them.
    pub(crate) unsafe fn adopt(numbers: &[Kept]) -> Descriptors {
        let open = numbers.iter().filter(|Kept(number)| is_open(*number));
        // SAFETY: open, and the caller vouches that it has no other owner; a map has each number once.
        Descriptors(open.map(|kept| (*kept, unsafe { OwnedFd::from_raw_fd(kept.0) })).collect())
    }

    /// Takes a descriptor over; it stays open under this number.
    pub(crate) fn keep(&mut self, descriptor: impl Into<OwnedFd>) -> Kept {
        let descriptor = descriptor.into();
        let kept = Kept(descriptor.as_raw_fd());
        self.0.insert(kept, descriptor);
        kept
    }

    /// Gives a descriptor back, once.
    ///
    /// # Errors
    /// When it was not kept, or has been taken.
    pub(crate) fn take(&mut self, kept: Kept) -> io::Result<OwnedFd> {
        let Kept(number) = kept;
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("descriptor {number} was not kept"));
        self.0.remove(&kept).ok_or_else(missing)
    }

    /// The part with these numbers, as far as they are there.
    pub(crate) fn split(&mut self, numbers: &[Kept]) -> Descriptors {
        Descriptors(numbers.iter().filter_map(|kept| self.0.remove_entry(kept)).collect())
    }

    /// Everything that is kept.
    pub(crate) fn numbers(&self) -> Vec<Kept> {
        self.0.keys().copied().collect()
    }

    /// Adds what others have kept.
    pub(crate) fn add(&mut self, others: Descriptors) {
        self.0.extend(others.0);
    }

    /// Whether all of them stay open when this process runs another program.
    ///
    /// # Errors
    /// The system's; some may have been changed then.
    pub(crate) fn survive_exec(&self, survive: bool) -> io::Result<()> {
        self.0.values().try_for_each(|descriptor| keep_over_exec(descriptor.as_fd(), survive))
    }
}

/// Keeps what belongs to one thread, of which several parts may hold the same descriptor.
#[derive(Default)]
pub(crate) struct Shared {
    descriptors: Descriptors,
    shares: BTreeMap<Kept, Rc<OwnedFd>>,
}

impl Shared {
    /// Takes over a descriptor that has one holder.
    pub(crate) fn keep(&mut self, descriptor: impl Into<OwnedFd>) -> Kept {
        self.descriptors.keep(descriptor)
    }

    /// Takes over one holder's share.
    pub(crate) fn keep_share(&mut self, descriptor: Rc<OwnedFd>) -> Kept {
        let kept = Kept(descriptor.as_raw_fd());
        self.shares.insert(kept, descriptor);
        kept
    }

    /// All of them, once no other holder is left.
    pub(crate) fn into_descriptors(mut self) -> Descriptors {
        for descriptor in self.shares.into_values().filter_map(Rc::into_inner) {
            self.descriptors.keep(descriptor);
        }
        self.descriptors
    }
}

/// The other way round: gives every holder its share.
pub(crate) struct Sharing {
    descriptors: Descriptors,
    shares: BTreeMap<Kept, Rc<OwnedFd>>,
}

impl Sharing {
    pub(crate) fn of(descriptors: Descriptors) -> Sharing {
        Sharing { descriptors, shares: BTreeMap::new() }
    }

    /// A descriptor that has one holder.
    ///
    /// # Errors
    /// When it was not kept, or has been taken.
    pub(crate) fn take(&mut self, kept: Kept) -> io::Result<OwnedFd> {
        self.descriptors.take(kept)
    }

    /// One more share of a descriptor.
    ///
    /// # Errors
    /// When it was not kept.
    pub(crate) fn take_share(&mut self, kept: Kept) -> io::Result<Rc<OwnedFd>> {
        if let Some(share) = self.shares.get(&kept) {
            return Ok(share.clone());
        }
        let share = Rc::new(self.descriptors.take(kept)?);
        self.shares.insert(kept, share.clone());
        Ok(share)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn null() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    fn survives(descriptor: &OwnedFd) -> bool {
        // SAFETY: only asks for a flag.
        unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_GETFD) & libc::FD_CLOEXEC == 0 }
    }

    #[test]
    fn each_is_given_back_once() {
        let mut descriptors = Descriptors::default();
        let descriptor = null();
        let number = descriptor.as_raw_fd();
        let kept = descriptors.keep(descriptor);
        assert_eq!((kept, descriptors.numbers()), (Kept(number), vec![Kept(number)]));
        descriptors.survive_exec(true).unwrap();
        assert!(survives(&descriptors.0[&kept]));
        descriptors.survive_exec(false).unwrap();
        let back = descriptors.take(kept).unwrap();
        assert!(!survives(&back));
        assert_eq!(descriptors.take(kept).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_not_taken_is_closed() {
        let (mut ours, theirs) = std::io::pipe().unwrap();
        let mut descriptors = Descriptors::default();
        descriptors.keep(theirs);
        drop(descriptors);
        assert_eq!(io::Read::read(&mut ours, &mut [0]).unwrap(), 0, "nobody can write any more");
    }

    #[test]
    fn shares_come_together_and_apart() {
        let mut shared = Shared::default();
        let socket = Rc::new(null());
        let kept = shared.keep_share(socket.clone());
        assert_eq!(shared.keep_share(socket), kept);
        let own = shared.keep(null());
        let mut sharing = Sharing::of(shared.into_descriptors());
        let (first, second) = (sharing.take_share(kept).unwrap(), sharing.take_share(kept).unwrap());
        assert!(Rc::ptr_eq(&first, &second));
        assert!(sharing.take(own).is_ok() && sharing.take(own).is_err());
        assert!(sharing.take_share(Kept(-1)).is_err());
    }
}

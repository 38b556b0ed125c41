//! What an earlier program image of this process has left.

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, RawFd};

use crate::handover::{Descriptors, State};
use crate::ready::occupy_lowest;
use crate::sys::is_open;

/// Name of the variable with the number of the file that holds the state.
pub(super) const VARIABLE: &str = "PM2_RS_HANDOVER_FD";

/// The daemon that this process was until now.
pub struct Predecessor(File);

impl Predecessor {
    /// Takes the file that the environment names, once; `None` when this process has just been started.
    ///
    /// # Safety
    /// To be called once, before anything else opens descriptors and before there is another thread.
    pub unsafe fn from_environment() -> Option<Predecessor> {
        let number = std::env::var(VARIABLE).ok()?.parse::<RawFd>().ok()?;
        // SAFETY: there is no other thread. Nobody that is started from here is meant.
        unsafe { std::env::remove_var(VARIABLE) };
        if number <= 2 || !is_open(number) {
            return None;
        }
        // SAFETY: open, and nobody else in this process knows it.
        let state = unsafe { File::from_raw_fd(number) };
        occupy_lowest();
        Some(Predecessor(state))
    }

    /// The state, and the descriptors that it names.
    ///
    /// # Errors
    /// When it cannot be read or is not understood.
    pub(crate) fn read(self) -> io::Result<(State, Descriptors)> {
        let state = State::read(&self.0)?;
        // SAFETY: the image before has kept these for nobody else, and nothing was opened under such a number since.
        let descriptors = unsafe { Descriptors::adopt(&state.descriptors) };
        descriptors.survive_exec(false)?;
        Ok((state, descriptors))
    }
}

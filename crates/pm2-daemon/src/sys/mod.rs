//! Everything that depends on the platform: starting a process, learning of its end, looking at
//! processes. Each platform offers the same names, so a gap does not compile.

mod forked;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(not(target_os = "linux"))]
use portable as platform;
mod unix;

pub(crate) use platform::{ProcessWatch, descendants, group_members, sample, spawn_process, wait_for_exit};
pub(crate) use unix::{
    Exit, Launch, Sample, Signal, channel_pair, group_exists, output_pipe, peer_is_trusted, send_signal,
    send_with_descriptor, signal_by_name, watch_descriptor,
};

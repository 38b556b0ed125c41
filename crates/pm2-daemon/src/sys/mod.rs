//! Everything that depends on the platform: starting a process, learning of its end, looking at
//! processes. Each platform offers the same names, so a gap does not compile; the feature `portable`
//! puts the portable twin to the test on Linux.

#[cfg(all(
    target_os = "linux",
    not(feature = "portable"),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#[path = "cgroup_linux.rs"]
mod cgroup;
#[cfg(not(all(
    target_os = "linux",
    not(feature = "portable"),
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
#[path = "cgroup_portable.rs"]
mod cgroup;
mod forked;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
mod memory;
mod notify;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
#[path = "sockets_linux.rs"]
mod sockets;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
#[path = "sockets_portable.rs"]
mod sockets;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
use linux as platform;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
use portable as platform;
mod succession;
mod unix;

pub(crate) use cgroup::{cgroup_members, kill_cgroup, own_cgroup, remove_cgroup, spawn_in_cgroup};
pub(crate) use memory::give_back_memory;
pub(crate) use notify::NotifySocket;
pub(crate) use platform::{
    Adoption, ProcessWatch, Sampler, children, close_from, group_members, memory_file, parent_of,
    spawn_process, standing_of, variables_of, wait_for_exit,
};
pub(crate) use sockets::{accept, n_unaccepted, steer};
pub(crate) use succession::{
    is_open, keep_over_exec, leave_signals_to_others, replace_program, take_signals_again, without_signals,
};
pub(crate) use unix::{
    Exit, Launch, Sample, Signal, Standing, Steering, channel_pair, enlarge_pipe, group_exists, output_pipe,
    peer_is_trusted, pipe_capacity, poll_for_exit, raise_descriptor_limit, reap, send_signal,
    send_with_descriptor, signal_by_name, watch_descriptor,
};

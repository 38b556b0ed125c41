//! Memory that is not needed any more.

/// Gives it back to the system after a large amount was freed: glibc keeps pages that have something small behind them.
pub(crate) fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it has no requirements, and takes the locks of the allocator itself.
    unsafe {
        libc::malloc_trim(0);
    }
}

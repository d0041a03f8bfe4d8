//! Memory that is needed soon, fetched while the processor does other things.
//!
//! A connection is visited twice a tick, with thousands of others and the kernel's own work in between: what it has is in no cache by
//! then, and waiting for it would take longer than what is done with it.

/// Bytes that are fetched together.
const LINE: usize = 64;

/// Has all of `value` itself fetched. Nothing behind its pointers.
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = std::ptr::from_ref(value).cast::<i8>();
        for offset in (0..size_of::<T>()).step_by(LINE) {
            // SAFETY: a hint; it reads nothing that the program could see, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(offset)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (value, LINE);
}

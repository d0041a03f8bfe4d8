//! Prefetches memory that is needed soon while the processor does other things.
//!
//! A connection is visited twice per tick, with thousands of others and the kernel's own work in between. By
//! then its memory is in no cache, and waiting for it would take longer than the work itself.

#![allow(unsafe_code, reason = "an instruction of the processor")]

/// Size of a cache line, bytes.
const LINE: usize = 64;

/// Prefetches all of `value` itself, but nothing behind its pointers.
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = std::ptr::from_ref(value).cast::<i8>();
        for offset in (0..size_of::<T>()).step_by(LINE) {
            // SAFETY: this is a hint; it reads nothing that the program could see, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(offset)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (value, LINE);
}

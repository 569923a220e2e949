//! Threads of libtorch and rayon.

use std::sync::Once;

/// Gives libtorch and rayon the run's threads. rayon and libtorch's threads between operations keep
/// the first answer of a process.
pub(crate) fn set_threads(threads: usize) {
    static ONCE: Once = Once::new();
    let count = i32::try_from(threads).unwrap_or(i32::MAX);
    tch::set_num_threads(count);
    ONCE.call_once(|| tch::set_num_interop_threads(1));
    // An error only says that the pool exists already, which happens when one process runs twice,
    // in tests.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
}

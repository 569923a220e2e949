//! Turns panics into error messages.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};

thread_local! {
    /// The message of the last panic on this thread, kept for the error.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic that was caught.
#[derive(Debug, thiserror::Error)]
#[error("internal error: {0}\nThis is a bug in liprl; please report it with the command that caused it.")]
pub struct Panic(String);

/// Runs `work`; a panic in it becomes an error with its message and place.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let place = info.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
        let message = format!("{}{place}", message_of(info.payload()));
        LAST.with_borrow_mut(|last| *last = Some(message));
    }));
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let message = LAST.with_borrow_mut(Option::take).unwrap_or_else(|| message_of(&*payload).to_owned());
        Panic(message)
    })
}

fn message_of(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message")
}

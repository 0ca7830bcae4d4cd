//! A panic of this library, as a record.
//!
//! Each one is caught, by a task's runtime or by the code that UniFFI makes. The place in the source is known to the hook alone.

use std::panic::{self, PanicHookInfo};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use super::Sink;
use crate::{LogLevel, LogRecord};

/// Logs of the clients whose threads may run.
static LOGS: Mutex<Vec<Weak<Sink>>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

/// From now on panics are written to this log. A process has one hook: the first log installs this one, which calls the one
/// before.
pub(super) fn write_to(log: &Arc<Sink>) {
    // A thread that panics cannot change the hook.
    if !std::thread::panicking() {
        HOOK.call_once(install);
    }
    let mut logs = LOGS.lock().unwrap_or_else(PoisonError::into_inner);
    logs.retain(|log| log.strong_count() > 0);
    logs.push(Arc::downgrade(log));
}

fn install() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        report(info);
        previous(info);
    }));
}

/// No code panics while it holds the lock, so the thread can take it here.
fn report(info: &PanicHookInfo<'_>) {
    let record = LogRecord { level: LogLevel::Error, module: module_path!().into(), text: text(info) };
    let logs: Vec<_> =
        LOGS.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    for log in logs {
        log.write(record.clone());
    }
}

/// A message that is formatted may hold content; one of the program's text does not.
fn text(info: &PanicHookInfo<'_>) -> String {
    let mut text = "panic caught".to_owned();
    if let Some(location) = info.location() {
        text.push_str(&format!(" location={location}"));
    }
    if let Some(message) = info.payload().downcast_ref::<&'static str>() {
        text.push_str(&format!(" message={message:?}"));
    }
    text
}

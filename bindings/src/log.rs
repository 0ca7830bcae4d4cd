//! The library's log records, for the app's own log.
//!
//! Only statements of our own crates pass: those name no key, no content and no full address. A client's threads log to
//! that client; a panic, which any thread may have, is written to the logs of all clients. The last records of a log stay here,
//! whether or not the app takes them, and leave redacted.

mod history;
mod panics;
mod redaction;

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};

use tokio::sync::{Mutex, mpsc};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Level, Metadata, Subscriber};

use crate::inbox::Inbox;
use history::History;

/// Records kept for an app that does not take them; further ones are counted.
const QUEUE: usize = 512;
/// Records pulled at once.
const BATCH: usize = 64;
/// Crates whose words reach the app.
const OURS: [&str; 3] = ["peers", "peers_proto", "peers_ffi"];

/// The severity of a record, and the least one that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum LogLevel {
    /// A defect of this library.
    Error,
    /// Something that should not happen, such as a peer that breaks the protocol.
    Warn,
    /// A change of a connection or session.
    Info,
    /// Every step on the way.
    Debug,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct LogRecord {
    /// The severity.
    pub level: LogLevel,
    /// The module that says it.
    pub module: String,
    /// The message, with names and values.
    pub text: String,
}

/// Records of a client's threads: those that the app has not taken, and the last of all.
pub(crate) struct Logs {
    level: LevelFilter,
    records: Mutex<mpsc::Receiver<LogRecord>>,
    taken: Inbox<LogRecord>,
    sink: Weak<Sink>,
    kept: Arc<Kept>,
}

/// The part that outlives the client's threads.
#[derive(Debug, Default)]
struct Kept {
    missed: AtomicU64,
    history: History,
}

/// While a process has one log only, `tracing` asks the thread that reaches a statement first whether anybody listens, and
/// remembers its answer for all. Another client's thread may be the first.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

/// A log, and what the client's threads write it with. Panics are written to it as well.
pub(crate) fn log(level: LogLevel) -> (Dispatch, Logs) {
    LazyLock::force(&SECOND);
    let (sink, logs) = sink(level);
    panics::write_to(&sink);
    (Dispatch::new(sink), logs)
}

fn sink(level: LogLevel) -> (Arc<Sink>, Logs) {
    let level = level.into();
    let (sender, records) = mpsc::channel(QUEUE);
    let kept = Arc::<Kept>::default();
    let sink = Arc::new(Sink { level, records: sender, kept: kept.clone() });
    let records = Mutex::new(records);
    let logs = Logs { level, records, taken: Inbox::new(), sink: Arc::downgrade(&sink), kept };
    (sink, logs)
}

impl Logs {
    /// Waits for records. False when all threads of the client have ended.
    pub(crate) async fn ready(&self) -> bool {
        let pull = || async {
            let mut pulled = Vec::new();
            self.records.lock().await.recv_many(&mut pulled, BATCH).await;
            Ok::<_, std::convert::Infallible>(self.after_missed(pulled))
        };
        self.taken.fill(pull).await.unwrap_or(false)
    }

    /// True if there are records, without waiting.
    pub(crate) fn is_ready(&self) -> bool {
        if self.taken.is_empty()
            && let Ok(mut records) = self.records.try_lock()
        {
            let rest = std::iter::from_fn(|| records.try_recv().ok()).collect();
            self.taken.add(self.after_missed(rest));
        }
        !self.taken.is_empty()
    }

    pub(crate) fn take(&self, max: usize) -> Vec<LogRecord> {
        self.taken.take(max)
    }

    /// Adds a record of the façade, if its level is asked for.
    pub(crate) fn write(&self, record: LogRecord) {
        if LevelFilter::from(record.level) > self.level {
            return;
        }
        match self.sink.upgrade() {
            Some(sink) => sink.write(record),
            // The threads have ended, and with them what is taken.
            None => self.kept.history.add(&record),
        }
    }

    /// The last records, a line each, redacted.
    pub(crate) fn recent(&self) -> String {
        self.kept.history.export()
    }

    fn after_missed(&self, mut records: Vec<LogRecord>) -> Vec<LogRecord> {
        let missed = self.kept.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            let text = format!("{missed} records were dropped because nobody took them");
            records.push(LogRecord { level: LogLevel::Warn, module: module_path!().into(), text });
        }
        records
    }
}

/// Turns statements into records. Runs wherever a statement is, so it never waits for the app.
#[derive(Debug)]
struct Sink {
    level: LevelFilter,
    records: mpsc::Sender<LogRecord>,
    kept: Arc<Kept>,
}

impl Sink {
    fn write(&self, record: LogRecord) {
        self.kept.history.add(&record);
        if let Err(mpsc::error::TrySendError::Full(_)) = self.records.try_send(record) {
            self.kept.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Subscriber for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let from = metadata.target().split("::").next().unwrap_or_default();
        *metadata.level() <= self.level && OURS.contains(&from)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let metadata = event.metadata();
        let module = metadata.target().to_owned();
        self.write(LogRecord { level: (*metadata.level()).into(), module, text: text.0 });
    }

    // Our crates have no spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// `message name=value name=value`
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            // Quotes say where a name ends.
            name if name.ends_with("name") => match format!("{value:?}") {
                quoted if quoted.starts_with('"') => write!(self.0, "{name}={quoted}"),
                bare => write!(self.0, "{name}={bare:?}"),
            },
            name => {
                // Words of a relay or of a peer do not begin lines, nor act on a terminal.
                let value = format!("{value:?}").replace(char::is_control, " ");
                write!(self.0, "{name}={value}")
            }
        };
    }
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
        }
    }
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warn,
            Level::INFO => Self::Info,
            _ => Self::Debug,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without the panics of other tests.
    fn log(level: LogLevel) -> (Dispatch, Logs) {
        LazyLock::force(&SECOND);
        let (sink, logs) = sink(level);
        (Dispatch::new(sink), logs)
    }

    #[test]
    fn only_our_own_words_of_the_level_are_kept() {
        let (dispatch, logs) = log(LogLevel::Info);
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info!(attempt = 2, why = %"no answer", "no path");
            tracing::debug!("a detail");
            tracing::error!(target: "rtc_ice::agent", "192.0.2.1:4711 is down");
            tracing::error!(target: "peers_of_others", "not ours either");
        });
        assert!(logs.is_ready());
        let text = "no path attempt=2 why=no answer".into();
        let module = "peers_ffi::log::tests".into();
        assert_eq!(logs.take(9), [LogRecord { level: LogLevel::Info, module, text }]);
    }

    #[test]
    fn a_statement_is_kept_although_a_thread_without_a_log_reached_it_first() {
        let (dispatch, logs) = log(LogLevel::Info);
        let say = || tracing::info!("no path");
        std::thread::spawn(say).join().unwrap();
        tracing::dispatcher::with_default(&dispatch, say);
        assert!(logs.is_ready());
    }

    #[tokio::test]
    async fn a_log_nobody_takes_is_bounded_and_says_so() {
        let (dispatch, logs) = log(LogLevel::Debug);
        tracing::dispatcher::with_default(&dispatch, || (0..QUEUE + 3).for_each(|n| tracing::info!(n)));
        drop(dispatch);
        assert!(logs.is_ready());
        let kept = logs.take(usize::MAX);
        assert_eq!(kept.len(), QUEUE + 1);
        assert!(kept[QUEUE].text.starts_with("3 records were dropped"), "{:?}", kept[QUEUE]);
        assert!(!logs.ready().await);
    }

    #[test]
    fn the_last_records_stay_whether_or_not_they_are_taken() {
        let (dispatch, logs) = log(LogLevel::Info);
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info!(device_name = %"Anna's phone", relay = "wss://relay.example.com/", "no path");
            (0..QUEUE).for_each(|n| tracing::info!(n));
        });
        assert!(logs.is_ready());
        assert_eq!(logs.take(usize::MAX).len(), QUEUE + 1);
        drop(dispatch);
        let recent = logs.recent();
        assert_eq!(recent.lines().count(), QUEUE + 1);
        let first = " INFO peers_ffi::log::tests no path device_name=<name-1> relay=\"wss://<host-1>\"";
        assert!(recent.lines().next().unwrap().ends_with(first), "{recent}");
    }

    #[test]
    fn a_record_of_the_facade_is_kept_if_its_level_is_asked_for() {
        let (dispatch, logs) = log(LogLevel::Warn);
        let record = |level, text: &str| LogRecord { level, module: "app".into(), text: text.into() };
        logs.write(record(LogLevel::Info, "too much"));
        logs.write(record(LogLevel::Warn, "source failed"));
        assert!(logs.is_ready());
        assert_eq!(logs.take(9), [record(LogLevel::Warn, "source failed")]);
        drop(dispatch);
        logs.write(record(LogLevel::Error, "after the end"));
        let recent = logs.recent();
        assert_eq!(
            recent.lines().map(|line| line[25..].to_owned()).collect::<Vec<_>>(),
            ["WARN app source failed", "ERROR app after the end",]
        );
    }

    #[test]
    fn a_panic_is_written_to_every_log_and_only_a_fixed_message_with_it() {
        let all = [LogLevel::Error, LogLevel::Debug].map(super::log);
        let place = std::thread::spawn(|| {
            let line = line!() + 1;
            let fixed = std::panic::catch_unwind(|| panic!("out of order"));
            let made = std::panic::catch_unwind(|| panic!("{}", String::from("swordfish")));
            assert!(fixed.is_err() && made.is_err());
            line
        });
        let line = place.join().unwrap();
        for (dispatch, logs) in all {
            let recent = logs.recent();
            let of = |line| recent.lines().find(|found| found.contains(&format!("log.rs:{line}:"))).unwrap();
            assert!(of(line).contains(" ERROR peers_ffi::log::panics panic caught location="), "{recent}");
            assert!(of(line).ends_with(r#" message="out of order""#), "{recent}");
            assert!(!of(line + 1).contains("message"), "{recent}");
            assert!(!recent.contains("swordfish"), "{recent}");
            assert!(logs.is_ready());
            drop(dispatch);
        }
    }
}

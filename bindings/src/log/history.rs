//! The last of a log, for a report of a problem.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::redaction::Redaction;
use crate::{LogLevel, LogRecord};

/// Records kept: minutes of [`LogLevel::Debug`], days of [`LogLevel::Info`].
const RECORDS: usize = 2_000;
/// Bytes of texts kept, which far fewer records may have as well.
const BYTES: usize = 512 * 1024;
/// Bytes kept of one text.
const LONGEST: usize = 4 * 1024;

/// The last second that has four digits for its year.
const END: u64 = 253_402_300_799;
const DAY: u64 = 24 * 60 * 60;

#[derive(Debug, Default)]
pub(super) struct History(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<(SystemTime, LogRecord)>,
    bytes: usize,
}

impl History {
    pub(super) fn add(&self, record: &LogRecord) {
        let record = LogRecord {
            level: record.level,
            module: cut(&record.module).to_owned(),
            text: cut(&record.text).to_owned(),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(SystemTime::now(), record);
    }

    /// A line a record, oldest first: time in UTC, level, module, text.
    pub(super) fn export(&self) -> String {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner).entries.clone();
        let mut redaction = Redaction::default();
        entries.iter().map(|(at, record)| line(*at, record, &mut redaction)).collect()
    }
}

impl Ring {
    fn add(&mut self, at: SystemTime, record: LogRecord) {
        self.bytes += size(&record);
        self.entries.push_back((at, record));
        while self.entries.len() > RECORDS || self.bytes > BYTES {
            let Some((_, oldest)) = self.entries.pop_front() else { return };
            self.bytes -= size(&oldest);
        }
    }
}

fn size(record: &LogRecord) -> usize {
    record.module.len() + record.text.len()
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

fn line(at: SystemTime, record: &LogRecord, redaction: &mut Redaction) -> String {
    let level = match record.level {
        LogLevel::Error => "ERROR",
        LogLevel::Warn => "WARN",
        LogLevel::Info => "INFO",
        LogLevel::Debug => "DEBUG",
    };
    let text = redaction.redact(&record.text).replace(['\n', '\r'], " ");
    format!("{} {level} {} {text}\n", utc(at), record.module)
}

/// `2026-11-29T14:00:00.500Z`
fn utc(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = since.as_secs().min(END);
    let (mut year, mut day) = (1970, seconds / DAY);
    while day >= days(year) {
        day -= days(year);
        year += 1;
    }
    let february = days(year) - 337;
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let (day, hour, minute, second) = (day + 1, seconds % DAY / 3600, seconds / 60 % 60, seconds % 60);
    let millisecond = since.subsec_millis();
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
}

fn days(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    365 + u64::from(leap)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: String) -> LogRecord {
        LogRecord { level: LogLevel::Info, module: "m".into(), text }
    }

    fn texts(history: &History) -> Vec<String> {
        let lines = history.export();
        lines.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn a_line_tells_time_level_module_and_text() {
        let at = UNIX_EPOCH + Duration::from_millis(1_795_960_800_500);
        let warning = LogRecord {
            level: LogLevel::Warn,
            module: "peers::engine".into(),
            text: "no path\nto=192.0.2.1".into(),
        };
        let expected = "2026-11-29T14:00:00.500Z WARN peers::engine no path to=<address-1>\n";
        assert_eq!(line(at, &warning, &mut Redaction::default()), expected);
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (END, "9999-12-31T23:59:59.000Z"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
        assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(END * 2)), "9999-12-31T23:59:59.000Z");
        assert_eq!(utc(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn only_the_last_records_are_kept() {
        let history = History::default();
        (0..RECORDS + 3).for_each(|number| history.add(&record(format!("record {number}"))));
        let kept = texts(&history);
        assert_eq!(kept.len(), RECORDS);
        assert_eq!((kept[0].as_str(), kept[RECORDS - 1].as_str()), ("record 3", "record 2002"));
    }

    #[test]
    fn long_records_are_cut_and_fewer_of_them_kept() {
        let history = History::default();
        (0..200).for_each(|number| history.add(&record(format!("{number:03}{}", "é".repeat(LONGEST)))));
        let kept = texts(&history);
        // Of `é` there is no half.
        assert!(kept.iter().all(|text| text.len() == LONGEST - 1));
        assert_eq!(kept.len(), BYTES / LONGEST);
        assert!(kept[kept.len() - 1].starts_with("199"));
        let ring = history.0.lock().unwrap();
        assert_eq!(ring.bytes, ring.entries.iter().map(|(_, record)| size(record)).sum::<usize>());
    }
}

//! The kernel's account of a piece of work.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::time::{Duration, Instant};

use super::Outcome;

/// Time, CPU and peak memory of one run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    pub(super) wall: Duration,
    pub(super) cpu: Duration,
    pub(super) peak_mib: f64,
}

/// Runs `work` and says what the whole process took meanwhile.
pub(super) async fn of(work: impl Future<Output = Outcome<()>>) -> Outcome<Usage> {
    reset_peak()?;
    let (start, cpu) = (Instant::now(), process_cpu()?);
    work.await?;
    Ok(Usage { wall: start.elapsed(), cpu: process_cpu()? - cpu, peak_mib: peak_mib()? })
}

fn process_cpu() -> Outcome<Duration> {
    let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that outlives the call.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut used) };
    if status != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(Duration::new(used.tv_sec.try_into()?, used.tv_nsec.try_into()?))
}

/// Lowers the high-water mark to what is resident now (proc(5), `clear_refs`).
fn reset_peak() -> Outcome<()> {
    Ok(fs::write("/proc/self/clear_refs", "5")?)
}

fn peak_mib() -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

/// The system's allocator. It counts, if asked to, what was asked for and not given back: the system's own count is of
/// what it keeps at hand, too.
#[derive(Debug)]
pub struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static ALLOCATED: AtomicIsize = AtomicIsize::new(0);

// SAFETY: everything is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

fn count(bytes: isize) {
    if COUNTS.load(Ordering::Relaxed) {
        ALLOCATED.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// From now on.
pub(super) fn count_allocations() {
    COUNTS.store(true, Ordering::Relaxed);
}

/// Bytes allocated and not freed since [`count_allocations`].
pub(super) fn allocated() -> isize {
    ALLOCATED.load(Ordering::Relaxed)
}

//! The kernel's figures on the processes of a world.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use peers_proto::limits;
use peers_tests::bench::Outcome;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes a process may grow by, whatever is done to it: more, and a phone ends an app that is not looked at.
pub(crate) const GROWTH: u64 = 64 << 20;
/// Bytes that all sessions of a process may hold for their peers. The rest is for transports, handshakes and the gaps between
/// blocks.
const HELD: usize = limits::RECEIVED_POOL
    + limits::SENT_POOL
    + limits::MAX_CONNECTIONS * (limits::RECEIVED_SHARE + limits::SENT_SHARE);
const _: () = assert!((HELD as u64) < GROWTH, "the limits promise more than there is");
/// Bytes of new data after which the system gives a process no more, so that no attack takes the machine.
const LIMIT: u64 = 4 * GROWTH;
/// Interval between looks at a process: the memory that it held when it died is known to this.
const LOOKS: Duration = Duration::from_millis(20);

/// Ticks of all processors since the machine started.
#[derive(Debug)]
pub(crate) struct MachineTime {
    all: u64,
    stolen: u64,
}

impl MachineTime {
    /// Without `/proc/stat` there are none.
    pub(crate) fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = stat.lines().next().unwrap_or_default();
        // user, nice, system, idle, iowait, irq, softirq, steal; guest time after them is a part of user (proc(5)).
        let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).flat_map(str::parse).collect();
        Self { all: ticks.iter().sum(), stolen: ticks.get(7).copied().unwrap_or(0) }
    }

    /// The share of processor time since then that the hypervisor gave to other machines.
    pub(crate) fn stolen_since(&self) -> f64 {
        let now = Self::now();
        now.stolen.saturating_sub(self.stolen) as f64 / now.all.saturating_sub(self.all).max(1) as f64
    }
}

/// Growth of a process since the meter was started, at its peak.
#[derive(Debug)]
pub(crate) struct Meter {
    grown: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Meter {
    /// Lowers the high-water mark of process `id` to what is resident now (proc(5), `clear_refs`).
    pub(crate) fn start(id: u32) -> Outcome<Self> {
        fs::write(format!("/proc/{id}/clear_refs"), "5")?;
        let before = status(id, "VmRSS:")?;
        let (tell, grown) = watch::channel(0);
        let task = tokio::spawn(async move {
            let mut looks = tokio::time::interval(LOOKS);
            // Afterwards it has no memory any more.
            while let Ok(peak) = status(id, "VmHWM:") {
                tell.send_replace(peak.saturating_sub(before));
                looks.tick().await;
            }
        });
        Ok(Self { grown, task })
    }

    /// Bytes so far.
    pub(crate) fn grown(&self) -> u64 {
        *self.grown.borrow()
    }

    /// Waits for the end of the process.
    pub(crate) async fn ended(&self) {
        let mut grown = self.grown.clone();
        while grown.changed().await.is_ok() {}
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// From now on process `id` gets no more than [`LIMIT`] bytes.
pub(crate) fn limit_memory(id: u32) -> Outcome<()> {
    let most = status(id, "VmData:")? + LIMIT;
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the pointer is to a limit that outlives the call; no old limit is asked for.
    let status =
        unsafe { libc::prlimit(id.try_into()?, libc::RLIMIT_DATA, &raw const limit, std::ptr::null_mut()) };
    if status == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().into()) }
}

/// As many descriptors as the system allows, for this process and those it starts.
pub(crate) fn raise_descriptors() -> Outcome<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a limit that outlives the call.
    let status = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if status != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the same.
    let status = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    if status == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().into()) }
}

/// The calling thread gives way to the processes of the world: a real attacker has a processor of its own.
pub(crate) fn give_way() {
    // SAFETY: no pointers. Without the right to it the thread keeps its priority, and times get worse, not better.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) };
}

/// Bytes of a field of `/proc/ID/status`.
fn status(id: u32, field: &str) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
}

/// Descriptors process `id` has open.
pub(crate) fn descriptors(id: u32) -> Outcome<usize> {
    Ok(fs::read_dir(format!("/proc/{id}/fd"))?.count())
}

/// UDP sockets of process `id`, by an address that reaches each.
pub(crate) fn udp_sockets(id: u32) -> Outcome<Vec<SocketAddr>> {
    let mut inodes = Vec::new();
    for fd in fs::read_dir(format!("/proc/{id}/fd"))? {
        // One that was closed meanwhile is none.
        let Ok(target) = fs::read_link(fd?.path()) else { continue };
        let name = target.to_string_lossy().into_owned();
        inodes.extend(name.strip_prefix("socket:[").and_then(|n| n.strip_suffix(']')).map(str::to_owned));
    }
    let mut sockets = Vec::new();
    for (table, host) in [("udp", "127.0.0.1"), ("udp6", "[::1]")] {
        for line in fs::read_to_string(format!("/proc/{id}/net/{table}"))?.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            let (Some(local), Some(inode)) = (fields.get(1), fields.get(9)) else { continue };
            let port = local.rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok());
            if let Some(port) = port.filter(|_| inodes.iter().any(|i| i == inode)) {
                sockets.push(format!("{host}:{port}").parse()?);
            }
        }
    }
    Ok(sockets)
}

/// The smallest of `values` that 99 of 100 do not exceed.
pub(crate) fn p99(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    let at = (values.len() * 99).div_ceil(100);
    values.get(at.saturating_sub(1)).copied().unwrap_or(0)
}

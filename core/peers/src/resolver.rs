//! Host names to addresses, beside the runtime.
//!
//! The system's resolver blocks its thread, for half a minute where no server answers, and a runtime that ends waits for
//! its blocking threads. So each look-up has a thread of its own, which nothing waits for: it ends with the process.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};

use peers_proto::limits;
use tokio::sync::oneshot;

/// The addresses of `host`, a name or an address without brackets. Cancel safe: the look-up itself goes on.
///
/// # Errors Errors of the system's resolver, or `ResourceBusy` while [`limits::MAX_NAME_LOOKUPS`] are under way.
pub(crate) async fn look_up(host: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let (answer, answered) = oneshot::channel();
    let name = host.to_owned();
    spawn(move || system(&name), move |found| drop(answer.send(found)))?;
    answered.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
}

/// The blocking look-up by the system.
pub(crate) fn system(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|found| found.ip()).collect())
}

/// Runs a blocking look-up on a thread of its own and calls `answer` there.
///
/// # Errors
/// `ResourceBusy` while [`limits::MAX_NAME_LOOKUPS`] are under way, or what the system says to one more thread.
pub(crate) fn spawn(
    look_up: impl FnOnce() -> io::Result<Vec<IpAddr>> + Send + 'static,
    answer: impl FnOnce(io::Result<Vec<IpAddr>>) + Send + 'static,
) -> io::Result<()> {
    let place = LookupPlace::take().ok_or(io::ErrorKind::ResourceBusy)?;
    let thread = std::thread::Builder::new().name("peers-resolver".into());
    thread.spawn(move || {
        let found = look_up();
        drop(place);
        answer(found);
    })?;
    Ok(())
}

/// One of the look-ups that may be under way. Of the process, as its threads are.
struct LookupPlace;

static TAKEN: AtomicUsize = AtomicUsize::new(0);

impl LookupPlace {
    fn take() -> Option<Self> {
        let one_more = |taken: usize| (taken < limits::MAX_NAME_LOOKUPS).then_some(taken + 1);
        TAKEN.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok().map(|_| Self)
    }
}

impl Drop for LookupPlace {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn an_address_needs_no_resolver() {
        assert_eq!(look_up("2001:db8::1").await.unwrap(), ["2001:db8::1".parse::<IpAddr>().unwrap()]);
        assert!(look_up("localhost").await.unwrap().iter().all(IpAddr::is_loopback));
    }

    #[test]
    fn a_runtime_does_not_wait_for_a_look_up_that_hangs() {
        let (release, hangs) = mpsc::channel::<()>();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.spawn(async move {
            let hang = move || {
                let _ = hangs.recv();
                Ok(Vec::new())
            };
            spawn(hang, |_| ())
        });
        let start = Instant::now();
        drop(runtime);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        drop(release);
    }
}

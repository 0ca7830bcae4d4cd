//! Happy eyeballs (RFC 8305) beyond TCP: an address that accepts and then answers wrongly, or not at all, must not keep
//! the next one from being tried.

use std::collections::VecDeque;
use std::net::SocketAddr;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use peers_proto::time::Instant;
use peers_proto::timing;
use tokio::net::TcpStream;

use super::connect::{DialError, unreachable};
use crate::clock::Clock;

type Step<T, E> = (SocketAddr, Result<Reached<T>, E>);

/// A step that an attempt has taken.
enum Reached<T> {
    /// TCP, within what is left of [`timing::DIAL_TIMEOUT`].
    Tcp(TcpStream, Instant),
    Open(T),
}

/// Attempts at the addresses of one host, in order. The next one begins when those before have failed, or after
/// [`timing::HAPPY_EYEBALLS`] without TCP, or after [`timing::ANSWER_PATIENCE`] without what `open` makes of it.
pub(crate) struct Race<'a, T, E, O> {
    clock: &'a Clock,
    open: O,
    left: VecDeque<SocketAddr>,
    under_way: FuturesUnordered<BoxFuture<'a, Step<T, E>>>,
    /// The next attempt's time, whatever those under way do.
    next: Instant,
}

impl<'a, T, E, F, O> Race<'a, T, E, O>
where
    T: Send + 'a,
    E: From<DialError> + Send + 'a,
    F: Future<Output = Result<T, E>> + Send + 'a,
    O: Fn(TcpStream) -> F,
{
    /// Tries `first` first if it is one of the addresses; the others by families in turns, beginning with the resolver's
    /// favourite.
    pub(crate) fn new(
        clock: &'a Clock,
        addresses: &[SocketAddr],
        first: Option<SocketAddr>,
        open: O,
    ) -> Self {
        let mut left = interleave(addresses);
        if let Some(at) = left.iter().position(|address| Some(*address) == first) {
            left[..=at].rotate_right(1);
        }
        Self { clock, open, left: left.into(), under_way: FuturesUnordered::new(), next: clock.now() }
    }

    /// The next outcome, and of which address; `None` once all have been returned. An outcome that is a success does not end
    /// the race: what was made may still turn out to be of no use.
    pub(crate) async fn next(&mut self) -> Option<(SocketAddr, Result<T, E>)> {
        loop {
            if self.under_way.is_empty() || self.clock.now() >= self.next {
                match self.left.pop_front() {
                    Some(address) => self.begin(address),
                    None if self.under_way.is_empty() => return None,
                    None => {}
                }
            }
            let waiting = (!self.left.is_empty()).then_some(self.next);
            let (address, step) = tokio::select! {
                Some(step) = self.under_way.next() => step,
                () = self.clock.sleep_until_any(waiting) => continue,
            };
            match step {
                Ok(Reached::Tcp(tcp, deadline)) => self.go_on(address, tcp, deadline),
                Ok(Reached::Open(open)) => return Some((address, Ok(open))),
                Err(error) => {
                    self.next = self.clock.now();
                    return Some((address, Err(error)));
                }
            }
        }
    }

    fn begin(&mut self, address: SocketAddr) {
        let (clock, now) = (self.clock, self.clock.now());
        self.next = now + timing::HAPPY_EYEBALLS;
        let deadline = now + timing::DIAL_TIMEOUT;
        self.under_way.push(Box::pin(async move {
            let reached: Result<_, E> =
                match clock.timeout(timing::DIAL_TIMEOUT, TcpStream::connect(address)).await {
                    Some(Ok(tcp)) => Ok(Reached::Tcp(tcp, deadline)),
                    Some(Err(error)) => Err(unreachable(&error).into()),
                    None => Err(DialError::TimedOut.into()),
                };
            (address, reached)
        }));
    }

    fn go_on(&mut self, address: SocketAddr, tcp: TcpStream, deadline: Instant) {
        let (clock, now) = (self.clock, self.clock.now());
        self.next = self.next.max(now + timing::ANSWER_PATIENCE);
        let open = (self.open)(tcp);
        self.under_way.push(Box::pin(async move {
            let opened = clock.timeout(deadline - now, open).await;
            (address, opened.unwrap_or_else(|| Err(DialError::TimedOut.into())).map(Reached::Open))
        }));
    }
}

/// The families in turns, beginning with the resolver's favourite.
fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first = addresses.first().map(SocketAddr::is_ipv6);
    let (mut preferred, mut other): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|a| Some(a.is_ipv6()) == first);
    preferred.reverse();
    other.reverse();
    let mut mixed = Vec::with_capacity(addresses.len());
    while mixed.len() < addresses.len() {
        mixed.extend(preferred.pop());
        mixed.extend(other.pop());
    }
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let (a, b) = ("192.0.2.1:1".parse().unwrap(), "192.0.2.2:1".parse().unwrap());
        let c = "[2001:db8::1]:1".parse().unwrap();
        assert_eq!(interleave(&[c, a, b]), [c, a, b]);
        assert_eq!(interleave(&[a, b, c]), [a, c, b]);
    }

    #[test]
    fn an_address_that_worked_before_is_the_first() {
        let [a, b, c] = [1, 2, 3].map(|n| SocketAddr::from(([192, 0, 2, n], 1)));
        let clock = Clock::manual();
        let order = |first| {
            let open = |_| std::future::ready(Ok::<_, DialError>(()));
            Vec::from(Race::new(&clock, &[a, b, c], first, open).left)
        };
        assert_eq!(order(None), [a, b, c]);
        assert_eq!(order(Some(c)), [c, a, b]);
        assert_eq!(order(Some("192.0.2.9:1".parse().unwrap())), [a, b, c]);
    }
}

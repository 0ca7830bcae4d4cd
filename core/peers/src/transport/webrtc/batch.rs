//! Outgoing datagrams that share one `sendmsg`.

use std::io;
use std::net::SocketAddr;

/// Datagrams to one destination, of one size except the last: what UDP segmentation offload takes in one call.
/// A full socket buffer keeps them; nothing is dropped.
#[derive(Debug, Default)]
pub(super) struct Batch {
    destination: Option<SocketAddr>,
    segment: usize,
    /// A shorter datagram can only be the last.
    closed: bool,
    count: usize,
    /// Segmentation failed for this batch: its datagrams go one by one.
    singly: bool,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were sent already, when going one by one.
    sent: usize,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// True if `datagram` may join. An empty batch takes anything.
    pub(super) fn fits(&self, destination: SocketAddr, datagram: &[u8], max_segments: usize) -> bool {
        self.is_empty()
            || (self.destination == Some(destination)
                && !self.closed
                && self.sent == 0
                && datagram.len() <= self.segment
                && self.count < max_segments.min(MAX_SEGMENTS)
                && self.buffer.len() + datagram.len() <= MAX_BYTES)
    }

    pub(super) fn push(&mut self, destination: SocketAddr, datagram: &[u8]) {
        if self.is_empty() {
            self.destination = Some(destination);
            self.segment = datagram.len();
        }
        self.closed = datagram.len() < self.segment;
        self.count += 1;
        self.buffer.extend_from_slice(datagram);
    }

    /// Sends what is there through `send(destination, bytes, segment size)`.
    ///
    /// Returns how many datagrams the system refused. `WouldBlock` is handed back, and the next call resumes.
    pub(super) fn flush(
        &mut self,
        mut send: impl FnMut(SocketAddr, &[u8], Option<usize>) -> io::Result<()>,
    ) -> Result<u64, WouldBlock> {
        let mut refused = 0;
        while let Some(destination) = self.destination.filter(|_| self.sent < self.buffer.len()) {
            let left = self.buffer.get(self.sent..).unwrap_or_default();
            let whole = !self.singly && self.count > 1;
            let (bytes, segment) = match whole {
                true => (left, Some(self.segment)),
                false => (left.get(..self.segment).unwrap_or(left), None),
            };
            let size = bytes.len();
            match send(destination, bytes, segment) {
                Ok(()) => self.sent += size,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(WouldBlock),
                // Some interfaces take no segmentation: the datagrams themselves may still go.
                Err(_) if whole => self.singly = true,
                Err(_) => {
                    refused += 1;
                    self.sent += size;
                }
            }
        }
        self.buffer.clear();
        (self.sent, self.count, self.singly, self.closed) = (0, 0, false, false);
        Ok(refused)
    }
}

/// The socket buffer is full.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WouldBlock;

/// Linux takes 64 segments in one call; the driver's own batches stay below that too.
const MAX_SEGMENTS: usize = 60;
/// A UDP payload must stay below 64 KiB including headers.
const MAX_BYTES: usize = 65_000;

#[cfg(test)]
mod tests {
    use super::*;

    const TO: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7);

    fn batch(sizes: &[usize]) -> Batch {
        let mut b = Batch::default();
        for (i, size) in sizes.iter().enumerate() {
            b.push(TO, &vec![u8::try_from(i).unwrap(); *size]);
        }
        b
    }

    #[test]
    fn a_full_socket_buffer_loses_nothing() {
        let mut b = batch(&[3, 3, 1]);
        let expected = b.buffer.clone();
        let blocked = |_: SocketAddr, _: &[u8], _: Option<usize>| Err(io::ErrorKind::WouldBlock.into());
        assert_eq!(b.flush(blocked), Err(WouldBlock));
        assert_eq!(b.flush(blocked), Err(WouldBlock));
        let mut sent = Vec::new();
        let ok = b.flush(|to, bytes, segment| {
            sent.push((to, bytes.to_vec(), segment));
            Ok(())
        });
        assert_eq!(ok, Ok(0));
        assert_eq!(sent, [(TO, expected, Some(3))]);
        assert!(b.is_empty());
    }

    #[test]
    fn without_segmentation_each_datagram_goes_alone_and_resumes_where_it_blocked() {
        let mut b = batch(&[3, 3, 2]);
        let (mut room, mut sent) = (1, Vec::new());
        let mut send = |_: SocketAddr, bytes: &[u8], segment: Option<usize>| {
            if segment.is_some() {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            if room == 0 {
                room = 9;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            room -= 1;
            sent.push(bytes.to_vec());
            Ok(())
        };
        assert_eq!(b.flush(&mut send), Err(WouldBlock));
        assert!(!b.fits(TO, &[0; 3], 64), "a half-sent batch takes no more");
        assert_eq!(b.flush(&mut send), Ok(0));
        assert_eq!(sent, [vec![0; 3], vec![1; 3], vec![2; 2]]);
    }

    #[test]
    fn a_refused_datagram_is_counted_and_does_not_stop_the_rest() {
        let mut b = batch(&[3, 3]);
        assert_eq!(b.flush(|_, _, _| Err(io::ErrorKind::PermissionDenied.into())), Ok(2));
        assert!(b.is_empty());
    }

    #[test]
    fn only_equal_sizes_to_one_destination_join_and_a_shorter_one_closes() {
        let b = batch(&[3]);
        assert!(b.fits(TO, &[0; 3], 64) && b.fits(TO, &[0; 2], 64));
        assert!(!b.fits(TO, &[0; 4], 64));
        assert!(!b.fits(TO, &[0; 3], 1), "no segmentation on this system");
        assert!(!b.fits(SocketAddr::new(TO.ip(), 8), &[0; 3], 64));
        assert!(!batch(&[3, 2]).fits(TO, &[0; 2], 64));
        assert!(Batch::default().fits(TO, &[0; 3], 1));
    }
}

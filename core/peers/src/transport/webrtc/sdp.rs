//! The few facts we read from a session description, and what of it we let pass.

use peers_proto::limits;

use super::candidate::{self, CandidateFilter};

/// SHA-256 of a DTLS certificate in DER.
pub type Fingerprint = [u8; 32];

/// Why a remote description was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// Larger than any signaling message.
    #[error("description too large")]
    TooLarge,
    /// Not exactly one data section: media is never negotiated.
    #[error("not exactly one data section")]
    Sections,
    /// No `a=fingerprint:sha-256`, one that does not parse, several that differ, or a weaker hash.
    #[error("no single sha-256 fingerprint")]
    Fingerprint,
}

/// The DTLS certificate hash that `sdp` promises (RFC 8122 §5), for comparison with the signed envelope.
///
/// # Errors
/// [`DescriptionError::Fingerprint`] unless every fingerprint line holds the same SHA-256.
pub fn fingerprint_of_sdp(sdp: &str) -> Result<Fingerprint, DescriptionError> {
    let mut found = None;
    for line in sdp.lines() {
        let Some(value) = line.trim().strip_prefix("a=fingerprint:") else { continue };
        let parsed = parse_fingerprint(value).ok_or(DescriptionError::Fingerprint)?;
        if found.is_some_and(|f| f != parsed) {
            return Err(DescriptionError::Fingerprint);
        }
        found = Some(parsed);
    }
    found.ok_or(DescriptionError::Fingerprint)
}

/// A remote description that is safe to hand to the stack.
pub(super) struct Vetted {
    pub(super) sdp: String,
    pub(super) fingerprint: Fingerprint,
    pub(super) refused: u64,
}

/// Checks a remote description and removes the candidates that `filter` refuses.
pub(super) fn vet(sdp: &str, filter: &mut CandidateFilter) -> Result<Vetted, DescriptionError> {
    if sdp.len() > limits::MAX_SIGNALING {
        return Err(DescriptionError::TooLarge);
    }
    let mut sections = sdp.lines().filter(|l| l.starts_with("m="));
    let one = sections.next().is_some_and(|l| l.starts_with("m=application ")) && sections.next().is_none();
    if !one {
        return Err(DescriptionError::Sections);
    }
    let fingerprint = fingerprint_of_sdp(sdp)?;
    let mut refused = 0;
    let sdp = map_candidates(sdp, |line| match filter.admit(line) {
        Ok(()) => Some(line.to_owned()),
        Err(_) => {
            refused += 1;
            None
        }
    });
    Ok(Vetted { sdp, fingerprint, refused })
}

/// Our own description as the peer may see it: usable addresses only, and with `relay_only` none of this device's.
pub(super) fn publishable(sdp: &str, relay_only: bool) -> String {
    map_candidates(sdp, |line| match relay_only {
        true => candidate::is_relay(line).then(|| candidate::hide_related(line)),
        false => candidate::is_specified(line).then(|| line.to_owned()),
    })
}

fn map_candidates(sdp: &str, mut f: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(sdp.len());
    for line in sdp.lines() {
        let kept = if line.starts_with("a=candidate:") { f(line) } else { Some(line.to_owned()) };
        if let Some(kept) = kept {
            out.push_str(&kept);
            out.push_str("\r\n");
        }
    }
    out
}

fn parse_fingerprint(value: &str) -> Option<Fingerprint> {
    let (algorithm, hex) = value.split_once(' ')?;
    if !algorithm.eq_ignore_ascii_case("sha-256") {
        return None;
    }
    let mut out = [0; 32];
    let mut bytes = hex.trim().split(':');
    for slot in &mut out {
        let byte = bytes.next().filter(|b| b.len() == 2 && b.bytes().all(|c| c.is_ascii_hexdigit()))?;
        *slot = u8::from_str_radix(byte, 16).ok()?;
    }
    bytes.next().is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(byte: u8) -> String {
        format!("a=fingerprint:sha-256 {}", vec![format!("{byte:02X}"); 32].join(":"))
    }

    fn sdp(lines: &[&str]) -> String {
        let mut all = vec!["v=0", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"];
        all.extend(lines);
        all.join("\r\n")
    }

    #[test]
    fn the_fingerprint_is_read_once_and_unambiguously() {
        let (one, other) = (line(0xab), line(0xcd));
        assert_eq!(fingerprint_of_sdp(&sdp(&[&one])), Ok([0xab; 32]));
        assert_eq!(fingerprint_of_sdp(&sdp(&[&one, &one])), Ok([0xab; 32]));
        let bad = Err(DescriptionError::Fingerprint);
        assert_eq!(fingerprint_of_sdp(&sdp(&[&one, &other])), bad);
        assert_eq!(fingerprint_of_sdp(&sdp(&[])), bad);
        assert_eq!(fingerprint_of_sdp(&sdp(&[&one, "a=fingerprint:sha-1 AA:BB"])), bad);
        assert_eq!(fingerprint_of_sdp(&sdp(&["a=fingerprint:sha-256 +1:02"])), bad);
    }

    #[test]
    fn candidates_in_a_description_pass_the_same_filter() {
        let good = "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host";
        let bad = "a=candidate:2 1 udp 1 127.0.0.1 5000 typ host";
        let vetted = vet(&sdp(&[&line(1), good, bad]), &mut CandidateFilter::new(false)).unwrap();
        assert!(vetted.sdp.contains(good) && !vetted.sdp.contains(bad));
        assert_eq!(vetted.refused, 1);
    }

    #[test]
    fn media_and_oversize_are_refused() {
        let mut filter = CandidateFilter::new(false);
        let audio = sdp(&[&line(1), "m=audio 9 UDP/TLS/RTP/SAVPF 111"]);
        assert_eq!(vet(&audio, &mut filter).err(), Some(DescriptionError::Sections));
        assert_eq!(vet(&"v".repeat(1 << 20), &mut filter).err(), Some(DescriptionError::TooLarge));
    }
}

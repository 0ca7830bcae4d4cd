//! Session descriptions: read, judged, and written anew. The stack gets only what [`Description`] prints, so no line
//! reaches it that was not understood here, and the peer gets the same of ours.

use std::fmt;
use std::net::IpAddr;

use peers_proto::limits;

use super::attribute::{Attributes, Setup};
use super::candidate::{self, Candidate, CandidateFilter, CandidateKind};

/// SHA-256 of a DTLS certificate in DER.
pub type Fingerprint = [u8; 32];

/// The reason for which a description was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// Larger than `MAX_SDP`.
    #[error("description too large")]
    TooLarge,
    /// A line that is none, or not what a description begins with.
    #[error("not a session description")]
    Malformed,
    /// Not exactly one data section: media is never negotiated.
    #[error("not exactly one data section")]
    Sections,
    /// No `a=fingerprint:sha-256`, one that does not parse, several that differ, or a weaker hash.
    #[error("no single sha-256 fingerprint")]
    Fingerprint,
    /// This attribute is missing, does not parse, or is there twice with different values.
    #[error("no single valid {0}")]
    Attribute(&'static str),
}

/// The DTLS certificate hash that `sdp` promises (RFC 8122 §5), for comparison with the signed envelope.
///
/// # Errors
/// [`DescriptionError`] if `sdp` would not be used as a description.
pub fn fingerprint_of_sdp(sdp: &str) -> Result<Fingerprint, DescriptionError> {
    Ok(Description::parse(sdp)?.fingerprint)
}

/// All that matters of a description. Its `Display` is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) ufrag: String,
    pub(super) password: String,
    pub(super) fingerprint: Fingerprint,
    setup: Setup,
    pub(super) mid: String,
    sctp_port: u16,
    max_message_size: u32,
    /// The text of each candidate, to be judged one by one.
    candidates: Vec<String>,
}

impl Description {
    /// Reads a description. Attributes count wherever they stand, since there is one section; unknown ones are left out.
    pub(super) fn parse(sdp: &str) -> Result<Self, DescriptionError> {
        use DescriptionError::{Attribute, Malformed, Sections, TooLarge};
        if sdp.len() > limits::MAX_SDP {
            return Err(TooLarge);
        }
        let mut lines = sdp.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        if lines.next() != Some("v=0") {
            return Err(Malformed);
        }
        let (mut read, mut sections) = (Attributes::default(), 0);
        for line in lines.filter(|line| !line.is_empty()) {
            match split(line).ok_or(Malformed)? {
                ('m', section) => {
                    sections += 1;
                    if sections > 1 || !is_data_section(section) {
                        return Err(Sections);
                    }
                }
                ('a', attribute) => read.take(attribute)?,
                _ => {}
            }
        }
        if sections == 0 {
            return Err(Sections);
        }
        Ok(Self {
            ufrag: read.ufrag.ok_or(Attribute("ice-ufrag"))?,
            password: read.password.ok_or(Attribute("ice-pwd"))?,
            fingerprint: read.fingerprint.ok_or(DescriptionError::Fingerprint)?,
            setup: read.setup.ok_or(Attribute("setup"))?,
            mid: read.mid.ok_or(Attribute("mid"))?,
            sctp_port: read.sctp_port.unwrap_or(SCTP_PORT),
            max_message_size: read.max_message_size.unwrap_or(MAX_MESSAGE_SIZE),
            candidates: read.candidates,
        })
    }

    /// Leaves the candidates that `filter` admits. Returns how many it refused.
    pub(super) fn admit(&mut self, filter: &mut CandidateFilter) -> u64 {
        self.rewrite(|text| filter.admit(text).ok())
    }

    /// The peer's own addresses.
    pub(super) fn hosts(&self) -> Vec<IpAddr> {
        let candidates = self.candidates.iter().filter_map(|text| Candidate::parse(text).ok());
        candidates.filter_map(|candidate| candidate.host()).take(limits::MAX_HOST_CANDIDATES).collect()
    }

    /// As the peer may see it: usable addresses only, and with `relay_only` none of this device's.
    #[must_use]
    pub(super) fn published(mut self, relay_only: bool) -> Self {
        self.rewrite(|text| publishable(text, relay_only));
        self
    }

    fn rewrite(&mut self, mut keep: impl FnMut(&str) -> Option<Candidate>) -> u64 {
        let before = self.candidates.len();
        let kept =
            self.candidates.iter().filter_map(|text| keep(text)).map(|candidate| candidate.to_string());
        self.candidates = kept.collect();
        (before - self.candidates.len()) as u64
    }
}

/// A candidate of this device as the peer may see it, if it may.
pub(super) fn publishable(text: &str, relay_only: bool) -> Option<Candidate> {
    let candidate = Candidate::parse(text).ok().filter(Candidate::is_usable)?;
    match (relay_only, candidate.kind) {
        (false, _) => Some(candidate),
        (true, CandidateKind::Relay) => Some(candidate.hidden()),
        (true, _) => None,
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex: Vec<String> = self.fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
        write!(f, "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n", self.mid)?;
        write!(f, "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n")?;
        write!(f, "a=mid:{}\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", self.mid, self.ufrag, self.password)?;
        write!(f, "a=ice-options:trickle\r\na=fingerprint:sha-256 {}\r\n", hex.join(":"))?;
        write!(f, "a=setup:{}\r\na=sctp-port:{}\r\n", self.setup.name(), self.sctp_port)?;
        write!(f, "a=max-message-size:{}\r\n", self.max_message_size)?;
        self.candidates.iter().try_for_each(|candidate| write!(f, "a={candidate}\r\n"))
    }
}

/// A line's letter and value. Nothing but the end of a line is a control character.
fn split(line: &str) -> Option<(char, &str)> {
    let (letter, value) = line.split_once('=')?;
    let letter = letter.parse::<char>().ok().filter(char::is_ascii_lowercase)?;
    (!value.chars().any(char::is_control)).then_some((letter, value))
}

/// A section that is not rejected, for data channels (RFC 8841 §4).
fn is_data_section(section: &str) -> bool {
    let words: Vec<&str> = section.split(' ').collect();
    let ["application", port, "UDP/DTLS/SCTP" | "TCP/DTLS/SCTP", "webrtc-datachannel"] = words[..] else {
        return false;
    };
    candidate::number::<u16>(port).is_some_and(|port| port > 0)
}

/// The values that the attributes' absence stands for (RFC 8841 §5.1, RFC 8841 §6.1).
const SCTP_PORT: u16 = 5000;
const MAX_MESSAGE_SIZE: u32 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(byte: u8) -> String {
        format!("a=fingerprint:sha-256 {}", vec![format!("{byte:02X}"); 32].join(":"))
    }

    /// A description with `lines` at its end.
    fn sdp(lines: &[&str]) -> String {
        let mut all = vec![
            "v=0",
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
            "a=ice-ufrag:abcd",
            "a=ice-pwd:abcdefghijklmnopqrstuv",
            "a=setup:actpass",
            "a=mid:0",
        ];
        all.extend(lines);
        all.join("\r\n")
    }

    fn parse(lines: &[&str]) -> Result<Description, DescriptionError> {
        Description::parse(&sdp(lines))
    }

    #[test]
    fn the_fingerprint_is_read_once_and_unambiguously() {
        let (one, other) = (fingerprint(0xab), fingerprint(0xcd));
        let read = |lines: &[&str]| fingerprint_of_sdp(&sdp(lines));
        assert_eq!(read(&[&one]), Ok([0xab; 32]));
        assert_eq!(read(&[&one, &one]), Ok([0xab; 32]));
        let bad = Err(DescriptionError::Fingerprint);
        assert_eq!(read(&[&one, &other]), bad);
        assert_eq!(read(&[]), bad);
        assert_eq!(read(&[&one, "a=fingerprint:sha-1 AA:BB"]), bad);
        assert_eq!(read(&["a=fingerprint:sha-256 +1:02"]), bad);
    }

    #[test]
    fn candidates_in_a_description_pass_the_same_filter() {
        let good = "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host";
        let bad = "a=candidate:2 1 udp 1 127.0.0.1 5000 typ host";
        let mut description = parse(&[&fingerprint(1), good, bad]).unwrap();
        assert_eq!(description.admit(&mut CandidateFilter::new(false)), 1);
        assert_eq!(description.candidates, [good.trim_start_matches("a=")]);
    }

    #[test]
    fn media_and_oversize_are_refused() {
        let audio = parse(&[&fingerprint(1), "m=audio 9 UDP/TLS/RTP/SAVPF 111"]);
        assert_eq!(audio, Err(DescriptionError::Sections));
        let rejected = sdp(&[&fingerprint(1)]).replace("application 9", "application 0");
        assert_eq!(Description::parse(&rejected), Err(DescriptionError::Sections));
        assert_eq!(Description::parse("v=0\r\n"), Err(DescriptionError::Sections));
        assert_eq!(Description::parse(&"v".repeat(1 << 20)), Err(DescriptionError::TooLarge));
    }

    #[test]
    fn lines_that_another_reader_may_read_otherwise_are_refused() {
        let print = fingerprint(1);
        for odd in [
            "a=x\ra=candidate:1 1 udp 1 127.0.0.1 5000 typ host",
            "a=x\r\rm=audio 9 UDP/TLS/RTP/SAVPF 111",
            " a=candidate:1 1 udp 1 127.0.0.1 5000 typ host",
            "a=x\u{b}a=y",
            "a=x\u{85}a=y",
            "a=x\0",
            "A=x",
            "candidate",
        ] {
            assert_eq!(parse(&[&print, odd]), Err(DescriptionError::Malformed), "{odd:?}");
        }
        assert_eq!(Description::parse("s=-\r\nv=0"), Err(DescriptionError::Malformed));
        let ignored = parse(&[&print, "a= candidate:1 1 udp 1 127.0.0.1 5000 typ host", "a=Setup:active"]);
        assert_eq!(ignored, parse(&[&print]));
    }

    #[test]
    fn an_attribute_has_one_valid_value() {
        let print = fingerprint(1);
        for (line, name) in [
            ("a=ice-ufrag:other", "ice-ufrag"),
            ("a=ice-pwd:abcdefghijklmnopqrstuvw", "ice-pwd"),
            ("a=setup:active", "setup"),
            ("a=setup:holdconn", "setup"),
            ("a=mid:1", "mid"),
            ("a=sctp-port:0", "sctp-port"),
            ("a=sctp-port:+5", "sctp-port"),
            ("a=max-message-size:-1", "max-message-size"),
            ("a=ice-lite", "ice-lite"),
        ] {
            assert_eq!(parse(&[&print, line]), Err(DescriptionError::Attribute(name)), "{line}");
        }
        for (line, name) in [
            ("a=ice-ufrag:abcd", "ice-ufrag"),
            ("a=ice-pwd:abcdefghijklmnopqrstuv", "ice-pwd"),
            ("a=setup:actpass", "setup"),
            ("a=mid:0", "mid"),
        ] {
            let without = sdp(&[&print]).replace(&format!("{line}\r\n"), "");
            assert_eq!(Description::parse(&without), Err(DescriptionError::Attribute(name)), "{line}");
            let spaced = sdp(&[&print]).replace(line, &format!("{line} x"));
            assert_eq!(Description::parse(&spaced), Err(DescriptionError::Attribute(name)), "{line} x");
        }
    }

    /// As Chromium offers a data channel, with a candidate of each sort.
    const CHROMIUM: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
        a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n\
        m=application 54400 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 198.51.100.7\r\n\
        a=candidate:842163049 1 udp 1677729535 198.51.100.7 46154 typ srflx raddr 0.0.0.0 rport 0 generation 0 network-cost 999\r\n\
        a=candidate:1 1 udp 2113937151 8a1f.local 46154 typ host generation 0\r\n\
        a=candidate:2 1 tcp 1518280447 192.0.2.4 9 typ host tcptype active generation 0\r\n\
        a=ice-ufrag:Ab+/\r\na=ice-pwd:9uK1yS0xQmC8Yk5zW+vJ/Q2f\r\na=ice-options:trickle\r\n\
        a=fingerprint:sha-256 AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB\r\n\
        a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";

    /// As libdatachannel answers.
    const LIBDATACHANNEL: &str = "v=0\r\no=rtc 3767197920 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE data\r\n\
        a=group:LS data\r\na=msid-semantic:WMS *\r\na=ice-options:ice2,trickle\r\n\
        a=fingerprint:sha-256 ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:data\r\na=sendrecv\r\n\
        a=sctp-port:5000\r\na=max-message-size:262144\r\na=setup:active\r\na=ice-ufrag:+7gX\r\n\
        a=ice-pwd:bHWRv9U8bPzLtWkV7qk0kQ\r\na=candidate:1 1 UDP 2122317823 192.0.2.4 58316 typ host\r\n\
        a=end-of-candidates\r\n";

    #[test]
    fn other_stacks_descriptions_are_understood() {
        for (text, mid, candidates, refused) in [(CHROMIUM, "0", 1, 2), (LIBDATACHANNEL, "data", 1, 0)] {
            let mut description = Description::parse(text).unwrap();
            assert_eq!(description.admit(&mut CandidateFilter::new(false)), refused);
            assert_eq!((description.mid.as_str(), description.candidates.len()), (mid, candidates));
            assert_eq!((description.fingerprint, description.max_message_size), ([0xab; 32], 262_144));
        }
        let lf_only = CHROMIUM.replace("\r\n", "\n");
        assert_eq!(Description::parse(&lf_only), Description::parse(CHROMIUM));
    }

    #[test]
    fn what_is_written_reads_the_same_and_is_written_the_same() {
        for text in [CHROMIUM, LIBDATACHANNEL, &sdp(&[&fingerprint(1)])] {
            let mut description = Description::parse(text).unwrap();
            description.admit(&mut CandidateFilter::new(false));
            let written = description.to_string();
            let read = Description::parse(&written).unwrap();
            assert_eq!(read, description);
            assert_eq!(read.to_string(), written);
        }
    }

    #[test]
    fn no_edit_of_a_description_gets_a_line_past_the_reader() {
        let inserts =
            ["\r", "\n", " ", "a=", "\0", ":", "m=audio 9 X 1", "\r\na=ice-ufrag:evil", "9", "\u{2028}"];
        for at in (0..CHROMIUM.len()).filter(|at| CHROMIUM.is_char_boundary(*at)) {
            for insert in inserts {
                let mut text = CHROMIUM.to_owned();
                text.insert_str(at, insert);
                let Ok(mut description) = Description::parse(&text) else { continue };
                description.admit(&mut CandidateFilter::new(false));
                let written = description.to_string();
                assert_eq!(Description::parse(&written), Ok(description), "{insert:?} at {at}");
                assert_eq!(written.matches("\r\nm=").count(), 1);
                assert!(written.split("\r\n").all(|line| !line.contains(['\r', '\n', '\0', '\u{2028}'])));
            }
        }
    }
}

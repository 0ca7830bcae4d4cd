//! What an envelope says, as MessagePack. Strict: there is exactly one encoding of each body.

use serde::{Deserialize, Serialize};

use crate::limits;

/// What one device tells the other about one attempt.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// The initiator's description.
    Offer {
        /// The sender's instance, random, one per negotiation: attempt numbers compare only within one.
        instance: u64,
        /// The recipient's instance as far as the sender knows it. Only an offer for its own is answered.
        to: Option<u64>,
        /// At most [`limits::MAX_SDP`] bytes.
        sdp: String,
    },
    /// The responder's description.
    Answer {
        /// The sender's instance, the one that the offer was made for.
        instance: u64,
        /// At most [`limits::MAX_SDP`] bytes.
        sdp: String,
    },
    /// The first word between two instances: asks for the other's, which [`Body::Retry`] tells. An offer made at once would
    /// have to be made again, and candidates would be a round trip ahead of their description.
    Hello,
    /// The offer of this attempt was made for another instance of this device or for none, so it may be a replay. It is
    /// answered if it is made again for this one.
    Retry {
        /// The sender's instance.
        instance: u64,
    },
    /// Candidates of either side, at most [`limits::MAX_CANDIDATES`] of at most [`limits::MAX_CANDIDATE`] bytes, as
    /// in the attribute of RFC 8839 section 5.1.
    Candidates(Vec<String>),
    /// The attempt is over.
    Bye(ByeReason),
    /// The answer to a knock ([`crate::signaling::knock`]): the certificate of the sealed envelope is all it says.
    Welcome,
}

/// Why a device gave an attempt up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum ByeReason {
    /// Nobody wants it any more.
    Cancelled,
    /// It took too long.
    TimedOut,
    /// Its transport failed.
    Failed,
    /// Both dialed, and the other attempt goes on.
    Glare,
    /// A reason this version does not know.
    Other(u8),
}

impl From<u8> for ByeReason {
    fn from(code: u8) -> Self {
        match code {
            0 => Self::Cancelled,
            1 => Self::TimedOut,
            2 => Self::Failed,
            3 => Self::Glare,
            code => Self::Other(code),
        }
    }
}

impl From<ByeReason> for u8 {
    fn from(reason: ByeReason) -> Self {
        match reason {
            ByeReason::Cancelled => 0,
            ByeReason::TimedOut => 1,
            ByeReason::Failed => 2,
            ByeReason::Glare => 3,
            ByeReason::Other(code) => code,
        }
    }
}

/// Bytes that are not a body, or a body beyond its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not the one encoding of a body.
    #[error("malformed negotiation body")]
    Malformed,
    /// A description or candidate too long, or too many candidates.
    #[error("negotiation body beyond its bounds")]
    TooLarge,
    /// A description whose envelope names no DTLS certificate.
    #[error("a description without a fingerprint")]
    NoFingerprint,
}

impl Body {
    /// The bytes that go into an envelope.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`].
    pub fn encode(&self) -> Result<Vec<u8>, BodyError> {
        self.check()?;
        rmp_serde::to_vec(self).map_err(|_| BodyError::Malformed)
    }

    /// Reads what an envelope held.
    ///
    /// # Errors
    /// [`BodyError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, BodyError> {
        if bytes.len() > limits::MAX_SIGNALING {
            return Err(BodyError::TooLarge);
        }
        let body: Self = rmp_serde::from_slice(bytes).map_err(|_| BodyError::Malformed)?;
        // One encoding only: trailing bytes and roundabout forms do not survive this.
        if body.encode()? == bytes { Ok(body) } else { Err(BodyError::Malformed) }
    }

    fn check(&self) -> Result<(), BodyError> {
        let fits = match self {
            Self::Offer { sdp, .. } | Self::Answer { sdp, .. } => sdp.len() <= limits::MAX_SDP,
            Self::Candidates(list) => {
                list.len() <= limits::MAX_CANDIDATES && list.iter().all(|c| c.len() <= limits::MAX_CANDIDATE)
            }
            Self::Hello | Self::Retry { .. } | Self::Bye(_) | Self::Welcome => true,
        };
        if fits { Ok(()) } else { Err(BodyError::TooLarge) }
    }
}

impl std::fmt::Debug for Body {
    /// Without addresses: descriptions and candidates hold those of the device.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Offer { .. } => f.write_str("Offer"),
            Self::Answer { .. } => f.write_str("Answer"),
            Self::Retry { .. } => f.write_str("Retry"),
            Self::Candidates(list) => write!(f, "Candidates({})", list.len()),
            Self::Bye(reason) => write!(f, "Bye({reason:?})"),
            Self::Hello => f.write_str("Hello"),
            Self::Welcome => f.write_str("Welcome"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bodies() -> impl Strategy<Value = Body> {
        prop_oneof![
            (any::<u64>(), any::<Option<u64>>(), ".{0,50}").prop_map(|(instance, to, sdp)| Body::Offer {
                instance,
                to,
                sdp
            }),
            (any::<u64>(), ".{0,50}").prop_map(|(instance, sdp)| Body::Answer { instance, sdp }),
            any::<u64>().prop_map(|instance| Body::Retry { instance }),
            proptest::collection::vec(".{0,20}", 0..5).prop_map(Body::Candidates),
            any::<u8>().prop_map(|code| Body::Bye(code.into())),
            Just(Body::Welcome),
            Just(Body::Hello),
        ]
    }

    proptest! {
        #[test]
        fn bodies_round_trip_and_every_truncation_and_extension_is_typed(body in bodies(), extra: u8) {
            let mut bytes = body.encode().unwrap();
            for n in 0..bytes.len() {
                prop_assert_eq!(Body::decode(&bytes[..n]), Err(BodyError::Malformed));
            }
            prop_assert_eq!(Body::decode(&bytes), Ok(body));
            bytes.push(extra);
            prop_assert_eq!(Body::decode(&bytes), Err(BodyError::Malformed));
        }

        #[test]
        fn any_bytes_are_the_one_encoding_of_a_body_or_a_typed_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(body) = Body::decode(&bytes) {
                prop_assert_eq!(body.encode().unwrap(), bytes);
            }
        }
    }

    #[test]
    fn bounds_hold_on_both_sides() {
        let sdp = "x".repeat(limits::MAX_SDP);
        assert!(Body::Answer { instance: 1, sdp: sdp.clone() }.encode().is_ok());
        let too_large = [
            Body::Answer { instance: 1, sdp: sdp + "x" },
            Body::Candidates(vec![String::new(); limits::MAX_CANDIDATES + 1]),
            Body::Candidates(vec!["x".repeat(limits::MAX_CANDIDATE + 1)]),
        ];
        for body in too_large {
            assert_eq!(body.encode(), Err(BodyError::TooLarge));
            assert_eq!(Body::decode(&rmp_serde::to_vec(&body).unwrap()), Err(BodyError::TooLarge));
        }
    }

    #[test]
    fn a_length_that_lies_allocates_nothing() {
        // An array of candidates that claims four billion entries.
        let bytes = [&[0x81, 0xaa][..], b"Candidates", &[0xdd, 0xff, 0xff, 0xff, 0xff]].concat();
        assert_eq!(Body::decode(&bytes), Err(BodyError::Malformed));
    }
}

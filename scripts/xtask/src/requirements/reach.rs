//! The part of the product that a test goes through, by the folder of the test.

use std::path::Path;

/// The part of the product that a test exercises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Through an interface of users: `Client`, a façade, the command or the relay's socket.
    Whole,
    /// Through one machine, transport or codec by itself.
    Part,
}

/// Beginnings of paths; the longest that fits a file counts. All other files reach a part.
const PLACES: [(&str, Reach); 14] = [
    ("core/peers/tests/", Reach::Whole),
    // Transports by themselves.
    ("core/peers/tests/memory.rs", Reach::Part),
    ("core/peers/tests/webrtc_", Reach::Part),
    ("core/peers/tests/websocket.rs", Reach::Part),
    ("core/cli/tests/", Reach::Whole),
    // Its neighbour `broker` calls the broker without a socket.
    ("core/relay/tests/relay/", Reach::Whole),
    ("bindings/tests/", Reach::Whole),
    ("android/peers/src/test/", Reach::Whole),
    ("android/shim/src/test/", Reach::Whole),
    ("android/sample/src/test/", Reach::Whole),
    ("ios/Peers/Tests/", Reach::Whole),
    ("tests/src/bin/lab/", Reach::Whole),
    ("tests/src/bin/hostile/", Reach::Whole),
    ("tests/tests/", Reach::Whole),
];

impl Reach {
    /// The reach of the tests in `file`, a path from the top of the checkout.
    pub(super) fn of(file: &Path) -> Self {
        let file = file.to_string_lossy();
        let places = PLACES.iter().filter(|(start, _)| file.starts_with(start));
        places.max_by_key(|(start, _)| start.len()).map_or(Self::Part, |(_, reach)| *reach)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_test_decides_its_reach() {
        for (file, reach) in [
            ("core/peers/tests/session.rs", Reach::Whole),
            ("core/peers/tests/relay_client/exchanges.rs", Reach::Whole),
            ("core/peers/tests/webrtc_transport.rs", Reach::Part),
            ("core/peers/tests/websocket.rs", Reach::Part),
            ("core/peers/src/engine/network.rs", Reach::Part),
            ("core/proto/src/session/tests/paths.rs", Reach::Part),
            ("core/proto/tests/negotiation.rs", Reach::Part),
            ("core/cli/tests/command/files.rs", Reach::Whole),
            ("core/relay/tests/relay/routing.rs", Reach::Whole),
            ("core/relay/tests/broker/offline_queue.rs", Reach::Part),
            ("core/relay/src/ice.rs", Reach::Part),
            ("android/peers/src/test/kotlin/app/peers/sdk/PeersTest.kt", Reach::Whole),
            ("ios/Peers/Tests/PeersTests/PeersTests.swift", Reach::Whole),
            ("tests/src/bin/lab/scenarios/matrix.rs", Reach::Whole),
            ("tests/tests/hostile_relay/dtls.rs", Reach::Whole),
            ("tests/sim/tests/sim.rs", Reach::Part),
            ("tests/vectors/check.mjs", Reach::Part),
        ] {
            assert_eq!(Reach::of(Path::new(file)), reach, "{file}");
        }
    }
}

import Foundation
import XCTest

@testable import Peers

/// What happens to a phone: its network changes, its app is suspended and comes back.
final class MobileTests: XCTestCase {
    // proves S086 S096 S109 S159
    func testAStreamGoesOnWhileItsSessionMovesToAnotherNetworkAndBack() async throws {
        try await network { network in
            let (session, device) = try await network.rustPeer()
            try device.networkChanged(wifi(7))
            let stream = try await session.openStream("file")
            let chunk = Data((0..<64 * 1024).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 8) })
            let writer = Task {
                for _ in 0..<512 { try await stream.write(chunk) }
                try await stream.finish()
            }
            for last in [8, 7] {
                try device.networkChanged(wifi(last))
                for status in [SessionStatus.verifying, .usable] {
                    try await device.event("\(status) paths") { if case .statusChanged(_, status) = $0 { () } else { nil } }
                }
            }
            try await writer.value
            let answer = try await stream.readAll()
            let count = answer.prefix(8).reduce(0) { $0 << 8 | Int($1) }
            XCTAssertEqual(count, 512 * chunk.count)
            XCTAssertEqual(Data(answer.dropFirst(8)), try SHA256.hash(chunk, times: 512))
        }
    }

    // proves S087 S160
    func testASessionTellsWhatCarriesItAndHowGoodThatIs() async throws {
        try await network { network in
            let (session, device) = try await network.rustPeer()
            try await device.event("a good path") {
                if case .qualityChanged(_, let quality) = $0, quality.level == .good { () } else { nil }
            }
            // The path may change between the two looks.
            var (path, seen) = (session.path, session.pathInfo)
            while seen?.kind != path { (path, seen) = (session.path, session.pathInfo) }
            let info = try XCTUnwrap(seen)
            XCTAssertNotNil(info.rtt)
            XCTAssertTrue(info.loss == 0 && info.sent > 0 && info.received > 0, "\(info)")
            XCTAssertTrue(info.quality.score > 70 && !info.relayed, "\(info)")
        }
    }

    // proves S120
    func testASuspendedAppComesBackToItsSessions() async throws {
        try await network { network in
            let (session, device) = try await network.rustPeer()
            try await device.setAppState(.suspended)
            XCTAssertEqual(device.state, .suspended)
            XCTAssertEqual(session.status, .away)
            XCTAssertNil(session.path)
            XCTAssertNil(session.pathInfo)
            try await session.send("said while away")
            try await device.setAppState(.background)
            try await device.setAppState(.foreground)
            for try await message in session.messages {
                XCTAssertEqual(try message.text, "said while away")
                break
            }
            try await device.isOnline()
        }
    }

    // proves S019
    func testASupersededDeviceIsToldSoUntilItsAppComesToTheForeground() async throws {
        try await network { network in
            let (keys, _) = try await network.keys()
            let first = try await network.device { $0.identity = keys }
            let second = try await network.device { $0.identity = keys }
            try await first.becomes(.superseded)
            for state in [AppState.background, .suspended, .background] {
                try await first.setAppState(state)
                XCTAssertEqual(first.state, .superseded)
            }
            try await first.setAppState(.foreground)
            try await first.isOnline()
            try await second.becomes(.superseded)
        }
    }

    func testBulkWaitsWhileDataCostsMoney() async throws {
        try await network { network in
            let (session, device) = try await network.rustPeer()
            let stream = try await session.openStream("bulk")
            stream.bulk = true
            XCTAssertTrue(stream.bulk)
            for unmarks in [false, true] {
                var metered = wifi(7)
                metered.metered = true
                try device.networkChanged(metered)
                try await device.tells(metered: true)
                let written = Once<Bool>()
                let writing = Task {
                    try await stream.write(Data(count: 64))
                    await written.set(true)
                }
                // Everything else goes on.
                try await session.send("hello")
                try await session.drain()
                let before = await written.isSet
                XCTAssertFalse(before)
                if unmarks {
                    stream.bulk = false
                } else {
                    try device.networkChanged(wifi(7))
                    try await device.tells(metered: false)
                }
                try await writing.value
            }
        }
    }

    func testAnAddressThatIsNoneIsAnError() async throws {
        try await network { network in
            let device = try await network.device()
            let snapshot = NetworkSnapshot(online: true, addresses: ["192.168.0.7/24"])
            let error = await thrown { try device.networkChanged(snapshot) } as? PeersError
            guard case .config = error else { return XCTFail("\(String(describing: error))") }
        }
    }
}

extension Peers {
    fileprivate func tells(metered wanted: Bool) async throws {
        try await event("metered \(wanted)") { if case .metered(wanted) = $0 { () } else { nil } }
    }
}

private func wifi(_ last: Int) -> NetworkSnapshot {
    NetworkSnapshot(online: true, medium: .wifi, addresses: ["192.168.0.\(last)", "fe80::1"])
}

import Foundation
import XCTest

@testable import Peers

final class ValueTests: XCTestCase {
    // proves S012
    func testEveryKindOfValueSurvivesTheWay() throws {
        let integers: [Int64] = [0, 127, 128, -32, -33, -128, -129, 32767, 32768, -32769, 1 << 31, .max, .min]
        let lengths = [0, 15, 16, 31, 32, 255, 256, 65_536]
        let value: Value = [
            "null": nil, "bools": [true, false], "decimal": -1.5e300,
            "integers": .list(integers.map { .integer($0) }),
            "texts": .list(lengths.map { .text(String(repeating: "x", count: $0)) } + ["grüezi 🌍"]),
            "bytes": .list(lengths.map { .bytes(Data(repeating: 7, count: $0)) }),
            "lists": .list(lengths.map { .list(Array(repeating: 1, count: $0)) }),
            "object": .object(Dictionary(uniqueKeysWithValues: (0..<20).map { ("key \($0)", .integer($0)) })),
        ]
        XCTAssertEqual(try Value(encoded: value.encoded()), value)
    }

    // proves S012
    func testTheEncodingIsMessagePack() {
        XCTAssertEqual((["compact": true] as Value).encoded(), bytes("81a7636f6d70616374c3"))
        XCTAssertEqual((["schema": 0] as Value).encoded(), bytes("81a6736368656d6100"))
    }

    func testNumbersOtherWritersChooseAreRead() throws {
        let numbers: [String: Int64] = [
            "ccff": 255, "cdffff": 65_535, "ceffffffff": 4_294_967_295, "cf0000000000000001": 1,
        ]
        for (hex, number) in numbers { XCTAssertEqual(try Value(encoded: bytes(hex)), .integer(number)) }
        XCTAssertEqual(try Value(encoded: bytes("ca3fc00000")), 1.5)
    }

    func testEveryTruncationIsAnError() {
        let whole = (["a": [1, "two", 3.0], "b": .bytes(Data(count: 300))] as Value).encoded()
        for length in 0..<whole.count { XCTAssertThrowsError(try Value(encoded: whole.prefix(length))) }
        XCTAssertThrowsError(try Value(encoded: whole + [0]))
    }

    func testWhatNoObjectMayBeIsAnError() {
        let deep = String(repeating: "91", count: 40) + "c0"
        for bad in [deep, "ddffffffff", "c1", "d4000000", "82a16101a16102", "810101", "a2c328", "cfffffffffffffffff"] {
            XCTAssertThrowsError(try Value(encoded: bytes(bad)), bad) { XCTAssertTrue($0 is PeersError, bad) }
        }
    }

    func testRandomBytesAreAValueOrATypedError() throws {
        var seed: UInt64 = 7
        func random() -> UInt8 {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: seed >> 33)
        }
        for _ in 0..<20_000 {
            let data = Data((0..<Int(random() % 40)).map { _ in random() })
            do {
                let encoded = try Value(encoded: data).encoded()
                // Compared as bytes: not every number equals itself. Fields of an object have no order.
                XCTAssertEqual(try Value(encoded: encoded).encoded().count, encoded.count)
            } catch is PeersError {
            }
        }
    }

    private func bytes(_ hex: String) -> Data {
        let digits = Array(hex)
        return Data(stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0...$0 + 1]), radix: 16) })
    }
}

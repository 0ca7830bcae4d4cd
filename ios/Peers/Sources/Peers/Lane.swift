import Foundation
internal import PeersFFI

/// The library's plain C functions for messages and streams, which cost a tenth of generated methods. They never wait: what one
/// of them does not do, the generated method does, or it says why not. bindings/src/lane.rs describes them, their results and
/// how messages lie in a buffer.
enum Lane {
    private static let size = 64 * 1024
    private static let header = 5

    /// Queues a message if there is room now.
    static func send(_ session: UInt64, _ bytes: Data, group: String?) throws -> Bool {
        let label = group.map { Array($0.utf8) } ?? []
        let length = header + label.count + bytes.count
        guard label.count <= UInt8.max, length <= size else { return false }
        return try withUnsafeTemporaryAllocation(byteCount: length, alignment: 1) { space in
            space.storeBytes(of: UInt32(bytes.count).littleEndian, as: UInt32.self)
            space[header - 1] = UInt8(label.count)
            if !label.isEmpty { UnsafeMutableRawBufferPointer(rebasing: space[header...]).copyBytes(from: label) }
            bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: space[(header + label.count)...]).copyMemory(from: $0) }
            return try done(peers_lane_send(session, address(space), UInt32(length))) == 1
        }
    }

    /// Messages that are there, oldest first. Nil when the first one needs the generated method.
    static func take(_ session: UInt64) throws -> [Message]? {
        try withUnsafeTemporaryAllocation(byteCount: size, alignment: 1) { space in
            guard let filled = try done(peers_lane_take(session, address(space), UInt32(size))) else { return nil }
            var rest = UnsafeRawBufferPointer(rebasing: space[..<filled])
            var messages: [Message] = []
            while !rest.isEmpty { messages.append(Message(from: &rest)) }
            return messages
        }
    }

    /// Writes of the data from `start` on what there is room for now. Returns how many bytes.
    static func write(_ stream: UInt64, _ data: Data, from start: Int) throws -> Int {
        try data.withUnsafeBytes { bytes in
            let rest = UnsafeRawBufferPointer(rebasing: bytes[start...].prefix(size))
            let pointer = rest.baseAddress?.assumingMemoryBound(to: UInt8.self)
            return try done(peers_lane_write(stream, pointer, UInt32(rest.count))) ?? 0
        }
    }

    /// Bytes that are there, at most `max`.
    static func read(_ stream: UInt64, max: Int) throws -> Data {
        let room = min(size, max)
        return try withUnsafeTemporaryAllocation(byteCount: room, alignment: 1) { space in
            let filled = try done(peers_lane_read(stream, address(space), UInt32(room))) ?? 0
            return space.baseAddress.map { Data(bytes: $0, count: filled) } ?? Data()
        }
    }

    private static func address(_ space: UnsafeMutableRawBufferPointer) -> UnsafeMutablePointer<UInt8>? {
        space.baseAddress?.assumingMemoryBound(to: UInt8.self)
    }

    /// Nil when the generated method has to do it.
    private static func done(_ result: Int64) throws -> Int? {
        switch result {
        case 0...: Int(result)
        case -1, -3: nil
        default: throw PeersError.internal("the fast lane failed with \(result)")
        }
    }
}

extension Message {
    /// Reads the message at the front of `bytes`, which the library has written.
    fileprivate init(from bytes: inout UnsafeRawBufferPointer) {
        let length = Int(UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)))
        let body = 5 + Int(bytes[4])
        let label = bytes[5..<body]
        group = label.isEmpty ? nil : GroupID(String(decoding: label, as: UTF8.self))
        self.bytes = bytes.baseAddress.map { Data(bytes: $0 + body, count: length) } ?? Data()
        bytes = UnsafeRawBufferPointer(rebasing: bytes[(body + length)...])
    }
}

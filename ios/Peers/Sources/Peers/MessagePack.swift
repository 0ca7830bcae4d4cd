import Foundation

/// Values as MessagePack (github.com/msgpack/msgpack, spec.md), smallest encodings.
struct MessagePackWriter {
    private(set) var data = Data()

    mutating func write(_ value: Value) {
        switch value {
        case .null: byte(0xc0)
        case .bool(let value): byte(value ? 0xc3 : 0xc2)
        case .integer(let value): integer(value)
        case .decimal(let value):
            byte(0xcb)
            big(value.bitPattern)
        case .text(let value): text(value)
        case .bytes(let value):
            length(value.count, tag: 0xc4)
            data.append(value)
        case .list(let values):
            count(values.count, short: 0x90, long: 0xdc)
            for value in values { write(value) }
        case .object(let fields):
            count(fields.count, short: 0x80, long: 0xde)
            for (name, field) in fields {
                text(name)
                write(field)
            }
        }
    }

    private mutating func integer(_ value: Int64) {
        if let small = Int8(exactly: value) {
            if small < -32 { byte(0xd0) }
            byte(UInt8(bitPattern: small))
        } else if let medium = Int16(exactly: value) {
            byte(0xd1)
            big(medium)
        } else if let large = Int32(exactly: value) {
            byte(0xd2)
            big(large)
        } else {
            byte(0xd3)
            big(value)
        }
    }

    private mutating func text(_ value: String) {
        let utf8 = value.utf8
        if utf8.count < 32 { byte(0xa0 | UInt8(utf8.count)) } else { length(utf8.count, tag: 0xd9) }
        data.append(contentsOf: utf8)
    }

    /// Lengths of one, two or four bytes have consecutive tags.
    private mutating func length(_ size: Int, tag: UInt8) {
        if let short = UInt8(exactly: size) {
            byte(tag)
            byte(short)
        } else if let medium = UInt16(exactly: size) {
            byte(tag + 1)
            big(medium)
        } else {
            byte(tag + 2)
            big(UInt32(size))
        }
    }

    private mutating func count(_ size: Int, short: UInt8, long: UInt8) {
        if size < 16 {
            byte(short | UInt8(size))
        } else if let medium = UInt16(exactly: size) {
            byte(long)
            big(medium)
        } else {
            byte(long + 1)
            big(UInt32(size))
        }
    }

    private mutating func byte(_ value: UInt8) {
        data.append(value)
    }

    private mutating func big<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.bigEndian) { data.append(contentsOf: $0) }
    }
}

/// Reads what peers sent: never deeper than `maxDepth`, never more memory than the input justifies.
struct MessagePackReader {
    private static let maxDepth = 32
    private var rest: Data.SubSequence

    init(_ data: Data) {
        rest = data[...]
    }

    mutating func readAll() throws -> Value {
        let value = try read(depth: 0)
        guard rest.isEmpty else { throw PeersError.codec("bytes after the object") }
        return value
    }

    private mutating func read(depth: Int) throws -> Value {
        guard depth <= Self.maxDepth else { throw PeersError.codec("nested too deeply") }
        let tag: UInt8 = try big()
        switch tag {
        case 0x00...0x7f: return .integer(Int64(tag))
        case 0x80...0x8f: return try map(Int(tag & 0x0f), depth)
        case 0x90...0x9f: return try list(Int(tag & 0x0f), depth)
        case 0xa0...0xbf: return .text(try text(Int(tag & 0x1f)))
        case 0xc0: return .null
        case 0xc2: return .bool(false)
        case 0xc3: return .bool(true)
        case 0xc4...0xc6: return .bytes(try raw(try size(tag - 0xc4)))
        case 0xca: return .decimal(Double(Float(bitPattern: try big())))
        case 0xcb: return .decimal(Double(bitPattern: try big()))
        case 0xcc...0xce: return .integer(Int64(try unsigned(tag - 0xcc)))
        case 0xcf:
            guard let value = Int64(exactly: try big() as UInt64) else { throw PeersError.codec("a number is too large") }
            return .integer(value)
        case 0xd0: return .integer(Int64(try big() as Int8))
        case 0xd1: return .integer(Int64(try big() as Int16))
        case 0xd2: return .integer(Int64(try big() as Int32))
        case 0xd3: return .integer(try big())
        case 0xd9...0xdb: return .text(try text(try size(tag - 0xd9)))
        case 0xdc...0xdd: return try list(try size(tag - 0xdc + 1), depth)
        case 0xde...0xdf: return try map(try size(tag - 0xde + 1), depth)
        case 0xe0...0xff: return .integer(Int64(Int8(bitPattern: tag)))
        default: throw PeersError.codec("a type that objects do not have")
        }
    }

    private mutating func list(_ count: Int, _ depth: Int) throws -> Value {
        var values: [Value] = []
        for _ in 0..<count { values.append(try read(depth: depth + 1)) }
        return .list(values)
    }

    private mutating func map(_ count: Int, _ depth: Int) throws -> Value {
        var fields: [String: Value] = [:]
        for _ in 0..<count {
            guard case .text(let name) = try read(depth: depth + 1) else { throw PeersError.codec("a key is not a text") }
            guard fields.updateValue(try read(depth: depth + 1), forKey: name) == nil else {
                throw PeersError.codec("a key comes twice")
            }
        }
        return .object(fields)
    }

    private mutating func text(_ size: Int) throws -> String {
        guard let text = String(data: try raw(size), encoding: .utf8) else { throw PeersError.codec("a text is not UTF-8") }
        return text
    }

    private mutating func raw(_ size: Int) throws -> Data {
        guard size <= rest.count else { throw PeersError.codec("the object is cut short") }
        defer { rest = rest.dropFirst(size) }
        return Data(rest.prefix(size))
    }

    /// A length of one, two or four bytes.
    private mutating func size(_ width: UInt8) throws -> Int {
        let size = try unsigned(width)
        // Every element and every byte takes one byte at least.
        guard size <= rest.count else { throw PeersError.codec("the object is cut short") }
        return size
    }

    private mutating func unsigned(_ width: UInt8) throws -> Int {
        switch width {
        case 0: Int(try big() as UInt8)
        case 1: Int(try big() as UInt16)
        default: Int(try big() as UInt32)
        }
    }

    private mutating func big<T: FixedWidthInteger>() throws -> T {
        let width = MemoryLayout<T>.size
        guard width <= rest.count else { throw PeersError.codec("the object is cut short") }
        defer { rest = rest.dropFirst(width) }
        return rest.prefix(width).reduce(0) { $0 << 8 | T(truncatingIfNeeded: $1) }
    }
}

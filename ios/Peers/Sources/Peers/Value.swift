import Foundation

/// An object as it crosses between devices: MessagePack, without its extensions.
public enum Value: Sendable, Hashable {
    /// Nothing.
    case null
    /// Yes or no.
    case bool(Bool)
    /// A whole number.
    case integer(Int64)
    /// A number.
    case decimal(Double)
    /// A text.
    case text(String)
    /// Raw bytes.
    case bytes(Data)
    /// Several values.
    case list([Value])
    /// Named values.
    case object([String: Value])

    /// A field of an object; nil for anything else.
    public subscript(name: String) -> Value? {
        guard case .object(let fields) = self else { return nil }
        return fields[name]
    }

    /// As MessagePack.
    public func encoded() -> Data {
        var writer = MessagePackWriter()
        writer.write(self)
        return writer.data
    }

    /// From MessagePack; `PeersError.codec` when it is not.
    public init(encoded data: Data) throws {
        var reader = MessagePackReader(data)
        self = try reader.readAll()
    }
}

extension Value: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(nilLiteral: ()) { self = .null }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .decimal(value) }
    public init(stringLiteral value: String) { self = .text(value) }
    public init(arrayLiteral elements: Value...) { self = .list(elements) }
    public init(dictionaryLiteral elements: (String, Value)...) {
        self = .object(Dictionary(elements, uniquingKeysWith: { _, last in last }))
    }
}

import Foundation

/// The last records of a client's log.
struct LogRing: Sendable {
    /// Minutes of `.debug`, days of `.info`; less than a megabyte.
    static let capacity = 2000

    private var entries: [(time: Date, record: LogRecord)] = []
    /// Where the oldest is, once the ring is full.
    private var oldest = 0

    mutating func append(_ record: LogRecord, at time: Date = Date()) {
        if entries.count < Self.capacity {
            entries.append((time, record))
        } else {
            entries[oldest] = (time, record)
            oldest = (oldest + 1) % Self.capacity
        }
    }

    /// One line a record, the oldest first, without ids, addresses and names of hosts.
    var redacted: String {
        var redactor = Redactor()
        let format = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        return (entries[oldest...] + entries[..<oldest]).map { time, record in
            "\(time.formatted(format)) \(record.level) \(record.module): \(redactor.redact(record.text))\n"
        }.joined()
    }
}

/// Takes out of texts who somebody is and where. The same id has the same number in all of them.
struct Redactor {
    private var ids: [Substring: Int] = [:]

    mutating func redact(_ text: String) -> String {
        var text = text.replacing(#/\b(wss?|https?|turns?|stuns?):(//)?[^\s",/?\]]+/#) { "\($0.output.1):<host>" }
        text = text.replacing(/\b[a-z2-7]{32}\b/) { match in
            let number = ids[match.output] ?? ids.count + 1
            ids[match.output] = number
            return "<id \(number)>"
        }
        return text.replacing(/[0-9A-Fa-f:.]*[0-9A-Fa-f]/) { match in
            isAddress(match.output) ? "<address>" : String(match.output)
        }
    }
}

/// An IPv4 address, with or without a port, or an IPv6 address.
private func isAddress(_ text: Substring) -> Bool {
    var address = in6_addr()
    if inet_pton(AF_INET6, String(text), &address) == 1 { return true }
    let host = text.split(separator: ":", maxSplits: 1).first ?? text
    return inet_pton(AF_INET, String(host), &address) == 1
}

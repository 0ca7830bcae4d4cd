#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The addresses of each network interface, as text without a zone or a prefix length; empty if the system does not tell.
func interfaceAddresses() -> [String: [String]] {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return [:] }
    defer { freeifaddrs(list) }
    var addresses: [String: [String]] = [:]
    for entry in sequence(first: list, next: { $0?.pointee.ifa_next }) {
        guard let entry = entry?.pointee, let address = entry.ifa_addr, let text = numericHost(address) else { continue }
        addresses[String(cString: entry.ifa_name), default: []].append(text)
    }
    return addresses
}

/// An IPv4 or IPv6 address as text; nil for another family.
private func numericHost(_ address: UnsafeMutablePointer<sockaddr>) -> String? {
    let length: Int
    switch Int32(address.pointee.sa_family) {
    case AF_INET: length = MemoryLayout<sockaddr_in>.size
    case AF_INET6: length = MemoryLayout<sockaddr_in6>.size
    default: return nil
    }
    var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    let status = getnameinfo(address, socklen_t(length), &host, socklen_t(host.count), nil, 0, NI_NUMERICHOST)
    guard status == 0 else { return nil }
    let text = host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return String(decoding: text.prefix { $0 != UInt8(ascii: "%") }, as: UTF8.self)
}

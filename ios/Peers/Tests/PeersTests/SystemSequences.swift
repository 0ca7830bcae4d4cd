@testable import Peers

/// What happens to a phone in daily life, as the system tells it, and what the core is to hear of it.
struct SystemSequence: Sendable {
    let name: String
    let facts: [SystemFact]
    let reports: [SystemReport]
}

extension NetworkFacts {
    fileprivate static func wifi(
        _ address: String = "192.168.0.7", gateway: String = "192.168.0.1", constrained: Bool = false
    ) -> NetworkFacts {
        NetworkFacts(
            status: .satisfied, interfaces: [.wifi([address])], gateways: [gateway], constrained: constrained)
    }

    fileprivate static func cellular(_ addresses: String...) -> NetworkFacts {
        NetworkFacts(status: .satisfied, interfaces: [.cellular(addresses)], expensive: true)
    }

    fileprivate static func none(_ reason: Reason = .notAvailable) -> NetworkFacts {
        NetworkFacts(status: .unsatisfied(reason), interfaces: [])
    }
}

extension NetworkFacts.Interface {
    fileprivate static func wifi(_ addresses: [String]) -> Self { Self(name: "en0", kind: .wifi, addresses: addresses) }

    fileprivate static func cellular(_ addresses: [String]) -> Self {
        Self(name: "pdp_ip0", kind: .cellular, addresses: addresses)
    }

    fileprivate static func tunnel(_ addresses: [String]) -> Self { Self(name: "utun4", kind: .other, addresses: addresses) }
}

extension NetworkSnapshot {
    fileprivate static func wifi(_ address: String = "192.168.0.7", metered: Bool = false) -> NetworkSnapshot {
        NetworkSnapshot(online: true, medium: .wifi, metered: metered, addresses: [address])
    }

    fileprivate static func cellular(_ addresses: String...) -> NetworkSnapshot {
        NetworkSnapshot(online: true, medium: .cellular, metered: true, addresses: addresses)
    }
}

extension SystemSequence {
    static let all = networks + phones + lives

    private static let networks = [
        SystemSequence(
            name: "lift: Wi-Fi goes, nothing, the same Wi-Fi is back",
            facts: [.network(.wifi()), .network(.none()), .network(.wifi())],
            reports: [.network(.wifi()), .network(.offline), .network(.wifi())]),
        SystemSequence(
            name: "tunnel: the mobile network goes and comes back with another address",
            facts: [.network(.cellular("10.3.0.9")), .network(.none()), .network(.cellular("10.3.7.1"))],
            reports: [.network(.cellular("10.3.0.9")), .network(.offline), .network(.cellular("10.3.7.1"))]),
        SystemSequence(
            name: "leaving home: Wi-Fi to the mobile network without a gap",
            facts: [.network(.wifi()), .network(.cellular("10.3.0.9"))],
            reports: [.network(.wifi()), .network(.cellular("10.3.0.9"))]),
        SystemSequence(
            name: "coming home: both networks, Wi-Fi preferred",
            facts: [
                .network(.cellular("10.3.0.9")),
                .network(
                    NetworkFacts(status: .satisfied, interfaces: [.wifi(["192.168.0.7"]), .cellular(["10.3.0.9"])])),
            ],
            reports: [.network(.cellular("10.3.0.9")), .network(.wifi())]),
        SystemSequence(
            name: "two networks: the one in reserve changes",
            facts: ["10.3.0.9", "10.3.7.1"].map {
                .network(NetworkFacts(status: .satisfied, interfaces: [.wifi(["192.168.0.7"]), .cellular([$0])]))
            },
            reports: [.network(.wifi())]),
        SystemSequence(
            name: "roaming between access points with the same address",
            facts: [.network(.wifi()), .network(.wifi()), .network(.wifi())],
            reports: [.network(.wifi())]),
        SystemSequence(
            name: "roaming between access points with a gap",
            facts: [.network(.wifi()), .network(.none()), .network(.none()), .network(.wifi())],
            reports: [.network(.wifi()), .network(.offline), .network(.wifi())]),
        SystemSequence(
            name: "another Wi-Fi gives the same address, behind another gateway",
            facts: [.network(.wifi()), .network(.wifi(gateway: "192.168.0.254"))],
            reports: [.network(.wifi()), .network(.offline), .network(.wifi())]),
        SystemSequence(
            name: "a second gateway beside the first",
            facts: [
                .network(.wifi()),
                .network(
                    NetworkFacts(
                        status: .satisfied, interfaces: [.wifi(["192.168.0.7"])],
                        gateways: ["192.168.0.1", "fe80::1"])),
            ],
            reports: [.network(.wifi())]),
        SystemSequence(
            name: "another Wi-Fi with another address",
            facts: [.network(.wifi()), .network(.wifi("10.0.0.4", gateway: "10.0.0.1"))],
            reports: [.network(.wifi()), .network(.wifi("10.0.0.4"))]),
        SystemSequence(
            name: "DHCP gives another address",
            facts: [.network(.wifi()), .network(.wifi("192.168.0.8"))],
            reports: [.network(.wifi()), .network(.wifi("192.168.0.8"))]),
        SystemSequence(
            name: "captive portal: Wi-Fi is joined and not preferred until its page is passed",
            facts: [
                .network(
                    NetworkFacts(
                        status: .satisfied, interfaces: [.cellular(["10.3.0.9"]), .wifi(["172.16.0.5"])],
                        expensive: true)),
                .network(
                    NetworkFacts(status: .satisfied, interfaces: [.wifi(["172.16.0.5"]), .cellular(["10.3.0.9"])])),
            ],
            reports: [.network(.cellular("10.3.0.9")), .network(.wifi("172.16.0.5"))]),
        SystemSequence(
            name: "captive portal without a mobile network",
            facts: [.network(.none()), .network(.wifi("172.16.0.5"))],
            reports: [.network(.offline), .network(.wifi("172.16.0.5"))]),
    ]

    private static let phones = [
        SystemSequence(
            name: "airplane mode on and off",
            facts: [
                .network(.cellular("10.3.0.9")), .network(.none()), .network(.none(.cellularDenied)),
                .network(.cellular("10.3.0.9")),
            ],
            reports: [.network(.cellular("10.3.0.9")), .network(.offline), .network(.cellular("10.3.0.9"))]),
        SystemSequence(
            name: "airplane mode with Wi-Fi",
            facts: [.network(.cellular("10.3.0.9")), .network(.none()), .network(.wifi())],
            reports: [.network(.cellular("10.3.0.9")), .network(.offline), .network(.wifi())]),
        SystemSequence(
            name: "mobile data is denied to this app",
            facts: [.network(.cellular("10.3.0.9")), .network(.none(.cellularDenied))],
            reports: [.network(.cellular("10.3.0.9")), .network(.offline)]),
        SystemSequence(
            name: "VPN on and off over Wi-Fi",
            facts: [
                .network(.wifi()),
                .network(
                    NetworkFacts(status: .satisfied, interfaces: [.tunnel(["10.8.0.2"]), .wifi(["192.168.0.7"])])),
                .network(.wifi()),
            ],
            reports: [
                .network(.wifi()), .network(NetworkSnapshot(online: true, medium: .other, addresses: ["10.8.0.2"])),
                .network(.wifi()),
            ]),
        SystemSequence(
            name: "VPN on demand: a connection attempt brings it up",
            facts: [
                .network(NetworkFacts(status: .requiresConnection, interfaces: [])),
                .network(NetworkFacts(status: .satisfied, interfaces: [.tunnel(["10.8.0.2"])])),
            ],
            reports: [
                .network(NetworkSnapshot(online: true, medium: .other)),
                .network(NetworkSnapshot(online: true, medium: .other, addresses: ["10.8.0.2"])),
            ]),
        SystemSequence(
            name: "the network under a VPN changes",
            facts: [[NetworkFacts.Interface.wifi(["192.168.0.7"])], [.cellular(["10.3.0.9"])]].map {
                .network(NetworkFacts(status: .satisfied, interfaces: [.tunnel(["10.8.0.2"])] + $0))
            },
            reports: [.network(NetworkSnapshot(online: true, medium: .other, addresses: ["10.8.0.2"]))]),
        SystemSequence(
            name: "IPv6 alone, with 464XLAT that comes up later",
            facts: [
                .network(.cellular("2001:db8::7", "fe80::7")),
                .network(.cellular("2001:db8::7", "fe80::7", "192.0.0.2")),
            ],
            reports: [.network(.cellular("2001:db8::7", "fe80::7"))]),
        SystemSequence(
            name: "a real address that only looks like 464XLAT's",
            facts: [.network(.wifi("192.0.0.10"))],
            reports: [.network(.wifi("192.0.0.10"))]),
        SystemSequence(
            name: "Low Data Mode on and off",
            facts: [.network(.wifi()), .network(.wifi(constrained: true)), .network(.wifi())],
            reports: [.network(.wifi()), .network(.wifi(metered: true)), .network(.wifi())]),
        SystemSequence(
            name: "a hotspot of another phone",
            facts: [
                .network(
                    NetworkFacts(status: .satisfied, interfaces: [.wifi(["172.20.10.3"])], expensive: true))
            ],
            reports: [.network(.wifi("172.20.10.3", metered: true))]),
        SystemSequence(
            name: "a cable in the dock",
            facts: [
                .network(.wifi()),
                .network(
                    NetworkFacts(
                        status: .satisfied,
                        interfaces: [
                            NetworkFacts.Interface(name: "en3", kind: .wired, addresses: ["192.168.0.30"]),
                            .wifi(["192.168.0.7"]),
                        ])),
            ],
            reports: [
                .network(.wifi()),
                .network(NetworkSnapshot(online: true, medium: .wired, addresses: ["192.168.0.30"])),
            ]),
    ]

    private static let lives = [
        SystemSequence(
            name: "a glance at another app",
            facts: [.foreground, .background, .foreground, .foreground],
            reports: [.app(.background), .app(.foreground)]),
        SystemSequence(
            name: "suspended in the background, and back",
            facts: [.background, .expiring, .foreground, .foreground],
            reports: [.app(.background), .app(.suspended), .app(.foreground)]),
        SystemSequence(
            name: "back in the moment in which the time ends",
            facts: [.background, .foreground, .expiring],
            reports: [.app(.background), .app(.foreground)]),
        SystemSequence(
            name: "control centre over the app",
            facts: [.foreground, .foreground],
            reports: []),
        SystemSequence(
            name: "home on Wi-Fi, suspended, back on the mobile network",
            facts: [
                .network(.wifi()), .background, .expiring, .network(.none()), .network(.cellular("10.3.0.9")), .foreground,
            ],
            reports: [
                .network(.wifi()), .app(.background), .app(.suspended), .network(.offline),
                .network(.cellular("10.3.0.9")), .app(.foreground),
            ]),
        SystemSequence(
            name: "the network changes in the background",
            facts: [.network(.wifi()), .background, .network(.cellular("10.3.0.9")), .expiring],
            reports: [
                .network(.wifi()), .app(.background), .network(.cellular("10.3.0.9")), .app(.suspended),
            ]),
        SystemSequence(
            name: "a late notice of the background after suspension",
            facts: [.background, .expiring, .background],
            reports: [.app(.background), .app(.suspended)]),
        SystemSequence(
            name: "ended by the person while in front",
            facts: [.stopping],
            reports: [.app(.suspended)]),
        SystemSequence(
            name: "a Mac sleeps and wakes on another network",
            facts: [.network(.wifi()), .stopping, .network(.none()), .foreground, .network(.wifi("10.0.0.4"))],
            reports: [
                .network(.wifi()), .app(.suspended), .network(.offline), .app(.foreground), .network(.wifi("10.0.0.4")),
            ]),
    ]
}

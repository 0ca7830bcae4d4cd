// swift-tools-version:6.0
import Foundation
import PackageDescription

struct Release {
    var url: String
    var checksum: String
}

// Written by scripts/package for a release.
let release: Release? = nil

// `Generated` is written by scripts/swift and scripts/package from the Rust library; it is neither public nor committed.
#if os(Linux)
    // The host's library, found by the linker flags of scripts/swift.
    let ffi: Target = .target(name: "PeersFFI", path: "Generated/FFI", linkerSettings: [.linkedLibrary("peers_ffi")])
#else
    let ffi: Target =
        if let release {
            .binaryTarget(name: "PeersFFI", url: release.url, checksum: release.checksum)
        } else {
            .binaryTarget(name: "PeersFFI", path: "Generated/PeersFFI.xcframework")
        }
#endif

let package = Package(
    name: "Peers",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "Peers", targets: ["Peers"])],
    targets: [
        ffi,
        .target(
            name: "PeersGenerated", dependencies: ["PeersFFI"], path: "Generated/Bindings",
            swiftSettings: [.swiftLanguageMode(.v5)]),
        .target(name: "Peers", dependencies: ["PeersFFI", "PeersGenerated"]),
    ]
)

// A package for apps has the library alone.
if FileManager.default.fileExists(atPath: Context.packageDirectory + "/Tests") {
    package.products.append(.executable(name: "peers-demo", targets: ["PeersDemo"]))
    package.targets += [
        .executableTarget(name: "PeersDemo", dependencies: ["Peers"]),
        .testTarget(name: "PeersTests", dependencies: ["Peers"]),
    ]
}

// swift-tools-version:6.0
import PackageDescription

// `Generated` is written by scripts/swift from the Rust library; it is neither public nor committed.
#if os(Linux)
    // The host's library, found by the linker flags of scripts/swift.
    let ffi: Target = .target(name: "PeersFFI", path: "Generated/FFI", linkerSettings: [.linkedLibrary("peers_ffi")])
#else
    let ffi: Target = .binaryTarget(name: "PeersFFI", path: "Generated/PeersFFI.xcframework")
#endif

let package = Package(
    name: "Peers",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [
        .library(name: "Peers", targets: ["Peers"]),
        .executable(name: "peers-demo", targets: ["PeersDemo"]),
    ],
    targets: [
        ffi,
        .target(
            name: "PeersGenerated", dependencies: ["PeersFFI"], path: "Generated/Bindings",
            swiftSettings: [.swiftLanguageMode(.v5)]),
        .target(name: "Peers", dependencies: ["PeersGenerated"]),
        .executableTarget(name: "PeersDemo", dependencies: ["Peers"]),
        .testTarget(name: "PeersTests", dependencies: ["Peers"]),
    ]
)

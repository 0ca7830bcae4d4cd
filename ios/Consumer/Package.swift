// swift-tools-version:6.0
import PackageDescription

// An app that depends on the package as scripts/package makes it, which is put beside it.
let package = Package(
    name: "Consumer",
    platforms: [.macOS(.v13)],
    dependencies: [.package(path: "../Peers")],
    targets: [.executableTarget(name: "Consumer", dependencies: [.product(name: "Peers", package: "Peers")])]
)

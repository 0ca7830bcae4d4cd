// swift-tools-version:6.0
import PackageDescription

let package = Package(
    name: "Sample",
    platforms: [.iOS(.v17), .macOS(.v14)],
    products: [.library(name: "ChatModel", targets: ["ChatModel"])],
    dependencies: [.package(path: "../Peers")],
    targets: [
        .target(name: "ChatModel", dependencies: [.product(name: "Peers", package: "Peers")]),
        // The app without screens: what the tests kill.
        .executableTarget(name: "ChatProcess", dependencies: ["ChatModel"]),
        .testTarget(
            name: "ChatModelTests", dependencies: ["ChatModel", "ChatProcess", .product(name: "Peers", package: "Peers")]),
    ]
)

// SwiftUI is Apple's alone.
#if !os(Linux)
    package.products.append(.executable(name: "ChatApp", targets: ["ChatApp"]))
    package.targets.append(.executableTarget(name: "ChatApp", dependencies: ["ChatModel"]))
#endif

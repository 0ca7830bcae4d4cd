import Foundation
import Peers

// peers-demo                 a device of scripts/demo: commands on standard input, answers on standard output, JSON lines
// peers-demo bench           a device of scripts/bench ffi, likewise
if CommandLine.arguments.dropFirst() == ["bench"] {
    var device = BenchDevice()
    await device.run()
} else {
    await DemoDevice().run()
}

func writeLine(_ fields: [String: any Sendable]) {
    guard let line = try? JSONSerialization.data(withJSONObject: fields, options: [.sortedKeys, .withoutEscapingSlashes]) else {
        return
    }
    FileHandle.standardOutput.write(line + Data("\n".utf8))
}

extension Duration {
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}

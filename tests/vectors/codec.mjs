// Writes codec.json: MessagePack and Brotli made by other implementations, `@msgpack/msgpack` and Node's zlib.
//
//     npm ci && node codec.mjs
//
// The Rust, Kotlin and Swift sides must read every entry. Look at the difference before you commit it.
import { writeFileSync } from "node:fs";
import { brotliCompressSync, constants } from "node:zlib";
import { encode } from "@msgpack/msgpack";

const hex = (bytes) => Buffer.from(bytes).toString("hex");

// Values that JSON can hold, so that every language can compare; bytes are written as {"bytes": hex}.
const values = [
  null, true, false, 0, 127, 128, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER,
  -1, -32, -33, -128, -129, -32768, -32769, -(2 ** 31), -(2 ** 31) - 1, Number.MIN_SAFE_INTEGER,
  0.5, -12500000000.5, "", "a", "Grüezi, 世界 🌍", "x".repeat(31), "x".repeat(32), "x".repeat(256),
  [], [1, [2, [3]]], Array.from({ length: 16 }, (_, i) => i),
  {}, { name: "Ada", age: 36, tags: ["first", "programmer"], boss: null },
  Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`key ${i}`, i % 2 === 0])),
  { bytes: "00ff10" }, { bytes: "ab".repeat(300) },
];
const native = (v) => (v?.bytes === undefined ? v : Buffer.from(v.bytes, "hex"));

// Each body is `unit`, repeated to `length` bytes: long ones need not be stored.
const text = "Objects on their way from one phone to another, again and again and 0123456789 again. ";
const numbers = Array.from({ length: 400 }, (_, i) => (i * 2654435761) % 2 ** 32).join(", ");
const bodies = [
  ["empty", "", 0, {}],
  ["one byte", "a", 1, {}],
  ["default settings", numbers, 3000, {}],
  ["fastest", numbers, 3000, { [constants.BROTLI_PARAM_QUALITY]: 0 }],
  ["quality 4", numbers, 3000, { [constants.BROTLI_PARAM_QUALITY]: 4 }],
  ["best", numbers, 3000, { [constants.BROTLI_PARAM_QUALITY]: 11 }],
  ["text mode", text, 2000, { [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT }],
  ["smallest window", numbers, 20000, { [constants.BROTLI_PARAM_LGWIN]: 10 }],
  ["window of 22 bits", numbers, 3000, { [constants.BROTLI_PARAM_LGWIN]: 22 }],
  ["several blocks", numbers, 65536, { [constants.BROTLI_PARAM_LGBLOCK]: 16 }],
];
const body = (unit, length) => Buffer.alloc(length, unit);

const compressed = bodies.map(([name, unit, length, params]) => ({
  name, unit, length, brotli: hex(brotliCompressSync(body(unit, length), { params })),
}));
const tooWide = brotliCompressSync(body(numbers, 3000), { params: { [constants.BROTLI_PARAM_LGWIN]: 24 } });

const vectors = {
  about: "MessagePack by @msgpack/msgpack and Brotli by Node's zlib. Readers must understand all of `messagepack` and `brotli` and refuse all of `refused`.",
  messagepack: values.map((value) => ({ value, messagepack: hex(encode(native(value))) })),
  brotli: compressed,
  refused: [{ name: "window of 24 bits", length: 3000, brotli: hex(tooWide) }],
};
writeFileSync(new URL("codec.json", import.meta.url), JSON.stringify(vectors, null, 2) + "\n");

// Reads the vectors as a foreign implementation would: `npm ci && node --test check.mjs`.
// proves S013, S015, S033, S116, S118
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { brotliDecompressSync } from "node:zlib";
import { decode } from "@msgpack/msgpack";

const read = (name) => JSON.parse(readFileSync(new URL(name, import.meta.url)));
const bytes = (hex) => Buffer.from(hex, "hex");
const plain = (value) => (value instanceof Uint8Array ? { bytes: Buffer.from(value).toString("hex") } : value);

for (const file of ["codec.json", "codec-rust.json"]) {
  const vectors = read(file);

  test(`${file}: MessagePack is the value it says`, () => {
    assert.ok(vectors.messagepack.length > 0);
    for (const { value, messagepack } of vectors.messagepack) {
      assert.deepEqual(plain(decode(bytes(messagepack))), value);
    }
  });

  test(`${file}: Brotli is the body it says`, () => {
    assert.ok(vectors.brotli.length > 0);
    for (const { name, unit, length, brotli } of vectors.brotli) {
      assert.deepEqual(brotliDecompressSync(bytes(brotli)), Buffer.alloc(length, unit), name);
    }
  });
}

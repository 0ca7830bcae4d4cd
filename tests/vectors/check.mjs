// Reads the vectors as a foreign implementation would: `npm ci && node --test check.mjs`.
// proves S013, S015, S033, S116, S118, S130
import assert from "node:assert/strict";
import * as crypto from "node:crypto";
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

// Noise revision 34: sections 5.2 (HandshakeState's hash and keys), 7.4 (pattern N: `<- s`, `-> e, es`), 12 (25519, ChaChaPoly, SHA256).
test("envelope.json: the envelope opens with the recipient's seed and says what it should", () => {
  const vector = read("envelope.json");
  const envelope = bytes(vector.envelope);
  const sha256 = (...parts) => crypto.createHash("sha256").update(Buffer.concat(parts)).digest();
  const hkdf = (input, salt, info, length) => Buffer.from(crypto.hkdfSync("sha256", input, salt, info, length));
  // PKCS #8 and SubjectPublicKeyInfo of X25519 are constant bytes before the key (RFC 8410).
  const secret = (key) =>
    crypto.createPrivateKey({
      key: Buffer.concat([bytes("302e020100300506032b656e04220420"), key]),
      format: "der",
      type: "pkcs8",
    });
  const open = (key) =>
    crypto.createPublicKey({ key: Buffer.concat([bytes("302a300506032b656e032100"), key]), format: "der", type: "spki" });

  const privateKey = secret(hkdf(bytes(vector.recipientSeed), "peers/1 keys", "device box", 32));
  const recipient = crypto.createPublicKey(privateKey).export({ format: "der", type: "spki" }).subarray(-32);
  const [ephemeral, ciphertext, tag] = [envelope.subarray(0, 32), envelope.subarray(32, -16), envelope.subarray(-16)];

  const protocol = Buffer.from("Noise_N_25519_ChaChaPoly_SHA256");
  const name = Buffer.concat([protocol, Buffer.alloc(32 - protocol.length)]);
  const hash = [Buffer.from("peers envelope\0"), recipient, ephemeral].reduce((hash, data) => sha256(hash, data), name);
  const shared = crypto.diffieHellman({ privateKey, publicKey: open(ephemeral) });
  const key = hkdf(shared, name, "", 64).subarray(32);
  const decipher = crypto.createDecipheriv("chacha20-poly1305", key, Buffer.alloc(12), { authTagLength: 16 });
  decipher.setAAD(hash, { plaintextLength: ciphertext.length });
  decipher.setAuthTag(tag);
  const inside = Buffer.concat([decipher.update(ciphertext), decipher.final()]);

  assert.equal(inside[0], 1);
  assert.equal(inside.subarray(21, 37).toString("hex"), vector.connectionId);
  assert.equal(inside.readUInt32BE(37), vector.attempt);
  assert.equal(inside[41], 1);
  assert.equal(inside.subarray(42, 74).toString("hex"), vector.fingerprint);
  const body = 76 + inside.readUInt16BE(74);
  assert.equal(inside.subarray(body, -64).toString("hex"), vector.body);
});

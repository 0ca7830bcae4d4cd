// One run of simple-peer on @roamhq/wrtc, both ends in this process; prints one JSON value.
//
//   node simple_peer.mjs bulk BYTES     {"wall_s", "cpu_s", "peak_kib"}
//   node simple_peer.mjs setup COUNT    [milliseconds, …]
import { readFileSync } from 'node:fs';
import wrtc from '@roamhq/wrtc';
import Peer from 'simple-peer';

const MESSAGE = 16 * 1024;
// Its stream interface stops at 64 KiB and polls; this much ahead is where it is fastest.
const AHEAD = 1024 * 1024;

async function connect() {
  const options = { wrtc, trickle: true, config: { iceServers: [] } };
  const a = new Peer({ ...options, initiator: true });
  const b = new Peer(options);
  a.on('signal', (data) => b.signal(data));
  b.on('signal', (data) => a.signal(data));
  await Promise.all([a, b].map((peer) => new Promise((resolve, reject) => {
    peer.once('connect', resolve);
    peer.once('error', reject);
  })));
  return [a, b];
}

async function bulk(bytes) {
  const [a, b] = await connect();
  const before = process.cpuUsage();
  const start = performance.now();
  const arrived = new Promise((resolve) => {
    let left = bytes;
    b.on('data', (data) => {
      left -= data.length;
      if (left <= 0) resolve();
    });
  });
  await Promise.all([send(a, bytes), arrived]);
  const { user, system } = process.cpuUsage(before);
  const status = readFileSync('/proc/self/status', 'utf8');
  return {
    wall_s: (performance.now() - start) / 1e3,
    cpu_s: (user + system) / 1e6,
    peak_kib: Number(/VmHWM:\s+(\d+)/.exec(status)[1]),
  };
}

async function send(peer, bytes) {
  const message = Buffer.alloc(MESSAGE);
  for (let left = bytes; left > 0; left -= MESSAGE) {
    peer.send(message.subarray(0, Math.min(left, MESSAGE)));
    // Looking is cheap; the channel's own event does not always come.
    while (peer.bufferSize >= AHEAD) await new Promise((resolve) => { setTimeout(resolve, 1); });
  }
}

async function setup(count) {
  const times = [];
  for (let n = 0; n < count; n += 1) {
    const start = performance.now();
    const peers = await connect();
    times.push(performance.now() - start);
    peers.forEach((peer) => peer.destroy());
  }
  return times;
}

const [what, amount] = process.argv.slice(2);
const run = { bulk, setup }[what];
if (!run || !(Number(amount) > 0)) {
  console.error('usage: simple_peer.mjs bulk BYTES | setup COUNT');
  process.exit(2);
}
process.stdout.write(`${JSON.stringify(await run(Number(amount)))}\n`, () => process.exit(0));

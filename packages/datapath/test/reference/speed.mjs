// Speed of the reference engine, by hand: npx tsc --build packages/datapath && node packages/datapath/test/reference/speed.mjs
// Prints µs per packet of 1,360 bytes in batches of 64, the best of five runs, and beside each the copy of one such packet.
import { ReferenceEngine, encodeDataHeader, makeDatagramBatch, makePacketBatch } from '../../dist/index.js';

const BATCH = 64;
const ROUNDS = 4000;
const own = Uint8Array.of(10, 0, 0, 1);
const peer = Uint8Array.of(10, 0, 0, 2);
const id = new Uint8Array(32).fill(5);
const locator = { address: Uint8Array.of(192, 0, 2, 1), port: 5000 };

function innerPacket(source, destination) {
  const packet = new Uint8Array(1360);
  packet.set([0x45, 0, 1360 >> 8, 1360 & 0xff, 0, 0, 0, 0, 64, 6, 0, 0, ...source, ...destination]);
  return packet;
}

const dataHeader = (flags = 0) =>
  encodeDataHeader({ flags, hopLimit: 16, copyBudget: 64, payloadKind: 1, nonce: new Uint8Array(8), ids: [id] });

function fill(batch, bytes) {
  for (let i = 0; i < BATCH; i++) {
    batch.arena.set(bytes, i * batch.slotBytes);
    batch.lengths[i] = bytes.length;
    batch.addresses?.set([...new Uint8Array(10), 0xff, 0xff, 192, 0, 2, 9, 0x13, 0x88], i * 18);
  }
  batch.count = BATCH;
  return batch;
}

function measure(name, engine, input, output) {
  const tunOut = makePacketBatch(BATCH, 2048);
  const udpOut = makeDatagramBatch(BATCH, 2048);
  let best = Infinity;
  for (let run = 0; run < 5; run++) {
    const start = process.hrtime.bigint();
    for (let round = 0; round < ROUNDS; round++) {
      tunOut.count = 0;
      udpOut.count = 0;
      engine.step(round, input, tunOut, udpOut);
      if ((output === 'tun' ? tunOut : udpOut).count !== BATCH) throw new Error(`${name}: packets are missing`);
    }
    best = Math.min(best, Number(process.hrtime.bigint() - start) / 1000 / ROUNDS / BATCH);
  }
  console.log(`${name.padEnd(34)} ${best.toFixed(3)} µs/packet`);
}

function baseline() {
  const from = Buffer.alloc(BATCH * 2048);
  const to = Buffer.alloc(BATCH * 2048);
  const start = process.hrtime.bigint();
  for (let i = 0; i < ROUNDS * BATCH; i++) from.copy(to, (i % BATCH) * 2048, (i % BATCH) * 2048, (i % BATCH) * 2048 + 1360);
  console.log(`${'copy of 1,360 bytes alone'.padEnd(34)} ${(Number(process.hrtime.bigint() - start) / 1000 / ROUNDS / BATCH).toFixed(3)} µs/packet`);
}

function host(rewritten) {
  const engine = new ReferenceEngine();
  engine.setDefaultServer(locator);
  engine.setFlow(peer, { action: 'tunnel', header: dataHeader(), source: own });
  const same = (address) => ({ from: address, to: address });
  const source4 = rewritten ? { from: peer, to: Uint8Array.of(10, 0, 9, 9) } : same(peer);
  engine.setInbound(id, { action: 'tun', flow: peer, source4, destination4: same(own), source6: null, destination6: null });
  return engine;
}

function server(responsibility) {
  const engine = new ReferenceEngine();
  engine.setResponsibility(responsibility);
  engine.setTriggers(id.subarray(0, 16), [{ id, target: { kind: 'locator', locator } }]);
  engine.setNextServer(id.subarray(0, 16), locator);
  return engine;
}

const inbound = Buffer.concat([dataHeader(), innerPacket(peer, own)]);
baseline();
measure('host: TUN to tunnel', host(false), { tun: fill(makePacketBatch(BATCH, 2048), innerPacket(own, peer)), udp: null }, 'udp');
const datagrams = fill(makeDatagramBatch(BATCH, 2048), inbound);
measure('host: inbound to TUN', host(false), { tun: null, udp: datagrams }, 'tun');
measure('host: inbound to TUN, rewritten', host(true), { tun: null, udp: datagrams }, 'tun');
measure('server: responsible, one trigger', server({ kind: 'all' }), { tun: null, udp: datagrams }, 'udp');
const elsewhere = { kind: 'range', from: new Uint8Array(16).fill(6), to: new Uint8Array(16).fill(7) };
measure('server: to the next server', server(elsewhere), { tun: null, udp: datagrams }, 'udp');

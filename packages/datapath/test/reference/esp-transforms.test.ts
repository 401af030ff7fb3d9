/**
 * Known answers: computed with Python 3 (`cryptography` 48 for AES-GCM and AES-CBC, `hmac` and `hashlib` for HMAC-SHA-256), from
 * docs/wire.md §7 alone. The packet inside is UDP from 10.0.0.1 port 5000 to 10.0.0.2 port 53, "known answer", DF, identification 0,
 * traffic class 0x2a; TTL 64 for BEET and 63 for tunnel mode. Keys 00 01 02 …, salt a0 a1 a2 a3, integrity key 64 65 66 ….
 */
import { describe, expect, it } from "vitest";
import type { EspTransform } from "../../src/datapath.js";
import { CHECKSUM } from "../../src/reference/step.js";
import { makeCipher } from "../../src/reference/esp-transforms.js";
import { CBC, CBC_128, GCM, GCM_128, NULL, REMOTE, SPI, inbound, makeReceiver, makeSender } from "./associations.js";
import { concat, bytes } from "./packets.js";

const hex = (value: Uint8Array): string => Buffer.from(value).toString("hex");
const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"));

const BEET_PACKET = unhex("452a002800004000401126990a0000010a00000213880035001454a86b6e6f776e20616e73776572");
const TUNNEL_PACKET = unhex("452a0028000040003f1127990a0000010a00000213880035001454a86b6e6f776e20616e73776572");
const TRANSFORMS: Readonly<Record<string, EspTransform>> = { gcm256: GCM, gcm128: GCM_128, null: NULL, cbc256: CBC, cbc128: CBC_128 };
const TRAFFIC_CLASS = 0x2a;

/** Transform, mode, sequence number, checksum state in the padding, ESP packet. */
const ROWS: readonly (readonly [string, "beet" | "tunnel", bigint, number, string])[] = [
  ["gcm256", "beet", 1n, 0, "20000001000000010000000000000001a327b8bb6c60921c70b4c21d154b6ce43e6dfc2f69621e3c195929f1a4dba291acabbcb79be9a5f7"],
  ["gcm128", "beet", 1n, 2, "2000000100000001000000000000000155f91cc76c9023f8ec022960b524f50862857cf197f783a668f78c1815ac55037362443e55b478cbf587e9bcf78ecad2"],
  ["null", "beet", 1n, 0, "200000010000000113880035001454a86b6e6f776e20616e737765720102021104228cb843bbdeee12071e55fd2667bf"],
  ["cbc256", "beet", 1n, 0, "2000000100000001f3f04e92492e87537171295083d8e35849a25403480971dd2b594bb112ec4cba59a216b74464f2c8c3a43b6152108a78b928e0e5bf2792793b657e92a30a37e2"],
  ["cbc128", "beet", 1n, 2, "2000000100000001f3f04e92492e87537171295083d8e3589e44a6cbae4bc78fef8d51584645ebe88dad9d2728423ffe57d25096c5b79a2409c2bc021af67344663e9ae7c91c7c72a9503ad18b00bc19b7357e02e961ceec2d4649de7ce923e865a11d89c177e4ed"],
  ["gcm256", "tunnel", 1n, 0, "20000001000000010000000000000001f585b8a66c7486b424cb8af3716b0d8b471a995f7be81c18a9c1d9f6459048e485de4a7016ccdfa46157e24ff1cb3ad2205246cecb4e902c7a177790"],
  ["gcm128", "tunnel", 1n, 2, "20000001000000010000000000000001035b1cda6c843750b87d618ed10494671bf21981857d80976de5dfb877c8306585dbafc55646f5a53108e7bcca2ab81cbb58e7d2d0d870aa796eb4ef6afe13a55f8d28ff"],
  ["null", "tunnel", 1n, 0, "2000000100000001452a0028000040003f1127990a0000010a00000213880035001454a86b6e6f776e20616e73776572010202041cb2bf58b33c09331908f422ca5cafb6"],
  ["cbc256", "tunnel", 1n, 0, "2000000100000001f3f04e92492e87537171295083d8e358437a2fd700f97b1f60f0dca17b9f2a4ca38ed52c80cd3ceeda720fb809b5fe1e7de31d7cf75484199c928c92aef58c0cd102f8e9a0a891fc927398e65df4cad7"],
  ["cbc128", "tunnel", 1n, 2, "2000000100000001f3f04e92492e87537171295083d8e3584d7ca45e28dabde7df8bcda22b9edaa37a6c44ddef3a6dc93a04af998f6c645ed4087be739a5599875201aaa5b55d9a8f71c751b7c722c2f49ea423e2fb811ca7d823fbe024cffcab829d65bd169797ad101def1ba00e7963eb3f87648de72b2"],
  ["gcm256", "beet", 21474836487n, 0, "2000000100000007000000050000000785dfaf56710837b52cf385a44986072b5bccbe01e8519fbfd2cf03005255821827ef23076b4fb14b"],
  ["gcm128", "beet", 21474836487n, 2, "20000001000000070000000500000007f6a87c0d3f093c86873d2d7262792ef7c8f91e95f33876109f8e9c2b96bc7f1e2a806ad606f6d085488423639483207a"],
  ["null", "beet", 21474836487n, 0, "200000010000000713880035001454a86b6e6f776e20616e7377657201020211f53a7e1d04902d80e078cd8df0e1018b"],
  ["cbc256", "beet", 21474836487n, 0, "20000001000000073a77a7799253e2c4e59c159190ba4cb6ae75a2e07b94a2c30a1f769d5a27b2cd0032fd0a8487be99cc82c5e30747b9afd82fa2e241b26a47890fb239f4252490"],
  ["cbc128", "beet", 21474836487n, 2, "20000001000000073a77a7799253e2c4e59c159190ba4cb6819fcc8147607b72f78f2045213fa73559a1e051236c718e825f2c9fd84d4471021f2144412d7a8be82e93c544c2fea82e82c401456bd78ba324bb3734d489817b5d61339fc8d944a04d8e80e7effdef"],
  ["gcm256", "tunnel", 21474836487n, 0, "20000001000000070000000500000007d37daf4b711c231d788ccd4a2da6664422bbdb71fadb9d9b6ea9398bbac022a8612a8b77bfd1ad2a1727f1edf9d06ed995b4444c65c2dacb4ec8292e"],
  ["gcm128", "tunnel", 21474836487n, 2, "20000001000000070000000500000007a00a7c103f1d282ed342659c06594f98b18e7be5e1b275219a9ccf8bf4d81a786c09d19009a25faf012aa48d41b884e5444a975461179fc7bc8135e23e9f62f913a7042f"],
  ["null", "tunnel", 21474836487n, 0, "2000000100000007452a0028000040003f1127990a0000010a00000213880035001454a86b6e6f776e20616e7377657201020204f880310842b11e30923bdee8e390daee"],
  ["cbc256", "tunnel", 21474836487n, 0, "20000001000000073a77a7799253e2c4e59c159190ba4cb673d4e052e5615e79461006b7dfab36af6df624b809e3ed694a6a0a0683b378c40608c337e4135b923f18bbcfa6013bd27d2aa967df2d239631987f1078565999"],
  ["cbc128", "tunnel", 21474836487n, 2, "20000001000000073a77a7799253e2c4e59c159190ba4cb66db694b7b6bd27dbd59414ad0db9720f62c40ba3afde056d34d764eb11c88305c79ba7e3d8ce17496031a7e02366b2487dcdc00faae49c8c6cfa3ec5ff87035edc5972c7ad2b1ec70d75dcbbf77e43395287cc09b7ec019f253c8e35fd62e899"],
];

describe.each(ROWS)("%s, %s, number %d, state %i", (name, mode, sequence, state, answer) => {
  const transform = TRANSFORMS[name] as EspTransform;
  const inner = mode === "beet" ? BEET_PACKET : TUNNEL_PACKET;

  it("is what the sender makes", () => {
    const sender = makeSender({ transform, checksumState: state !== CHECKSUM.complete, firstSequence: sequence });
    const { udp, drops } = sender.step([inner], [], [state]);
    expect(drops).toEqual({});
    expect(udp.map((datagram) => hex(datagram.bytes))).toEqual([answer]);
    expect(udp[0]?.to).toEqual(REMOTE);
    expect(sender.udpClasses).toEqual([TRAFFIC_CLASS]);
    expect(sender.engine.nextSequence(1)).toBe(sequence + 1n);
  });

  it("is opened with that number and no other", () => {
    const packet = Buffer.from(unhex(answer));
    const cipher = makeCipher(transform);
    expect(cipher.open(packet, sequence)).not.toBeNull();
    expect(cipher.open(packet, sequence + (1n << 32n))).toBeNull();
  });

  it("gives the receiver the packet, or fails its integrity check when a bit was changed", () => {
    const receiver = makeReceiver({ transform, checksumState: state !== CHECKSUM.complete });
    const arrival = unhex(answer);
    // The window stands at 0: a number whose high half is 5 is taken for one of high half 0.
    const inWindow = sequence < 1n << 32n;
    for (let at = 4; at < arrival.length; at++) {
      const changed = Uint8Array.from(arrival);
      changed[at] = (changed[at] as number) ^ 0x10;
      const { tun, drops } = receiver.step([], [{ from: REMOTE, bytes: changed, trafficClass: TRAFFIC_CLASS }]);
      expect([at, tun.length, drops]).toEqual([at, 0, { integrity: 1 }]);
    }
    const { tun, drops } = receiver.step([], [{ from: REMOTE, bytes: arrival, trafficClass: TRAFFIC_CLASS }]);
    expect(drops).toEqual(inWindow ? {} : { integrity: 1 });
    expect(tun.map(hex)).toEqual(inWindow ? [hex(inner)] : []);
    expect(receiver.tunStates).toEqual(inWindow ? [state] : []);
  });
});

describe("form", () => {
  it.each<readonly [string, EspTransform, number]>([
    ["GCM", GCM, 8 + 8 + 2 + 16],
    ["NULL", NULL, 8 + 2 + 16],
    ["CBC", CBC, 8 + 16 + 16 + 16],
  ])("%s: what is too short, and for CBC not whole blocks, is malformed", (_, transform, least) => {
    const receiver = makeReceiver({ transform });
    for (let length = 0; length <= 80; length++) {
      const packet = concat(bytes(0x20, 0, 0, 1, 0, 0, 0, 1), new Uint8Array(80)).subarray(0, length);
      const isWhole = length >= least && (transform !== CBC || (length - least) % 16 === 0);
      expect([length, receiver.fromUdp(REMOTE, packet).drops]).toEqual([length, isWhole ? { integrity: 1 } : { malformed: 1 }]);
    }
    const { drops } = receiver.fromUdp(REMOTE, bytes(0x20, 0, 0, 2, 0, 0, 0, 1));
    expect(drops).toEqual({ "unknown-spi": 1 });
  });

  it.each<readonly [string, unknown]>([
    ["GCM key of 24", { ...GCM, key: new Uint8Array(24) }],
    ["salt of 3", { ...GCM, salt: new Uint8Array(3) }],
    ["integrity key of 16", { ...NULL, integrityKey: new Uint8Array(16) }],
    ["CBC key of 0", { ...CBC, key: new Uint8Array(0) }],
    ["CBC integrity key of 31", { ...CBC, integrityKey: new Uint8Array(31) }],
    ["another transform", { kind: "rot13" }],
  ])("a %s is a RangeError", (_, transform) => {
    const { engine } = makeReceiver();
    expect(() => engine.setInboundAssociation(SPI, inbound({ transform: transform as EspTransform }))).toThrow(RangeError);
  });
});

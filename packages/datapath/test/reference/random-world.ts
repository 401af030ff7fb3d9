/**
 * An engine with random tables, and random packets for it from both sides, all from one seed. The pools are small, so that
 * packets meet entries; half of the packets are changed after they were made.
 */
import { makeLocator, type Locator } from "@i3/common";
import type { EspTransform, Flow, Inbound, InboundAssociation, OutboundAssociation, Responsibility, TriggerEntry } from "../../src/datapath.js";
import { innerLength } from "../../src/reference/inner-packet.js";
import { COPY_BUDGET, parseDataHeader } from "../../src/wire/data-header.js";
import { hipType } from "@i3/common";
import { CBC, GCM, NULL, SPI } from "./associations.js";
import { Harness, dataPacket, type Outcome } from "./harness.js";
import { hipPacket, hit, i1, NO_HIT, OWN_HIT, parameter, responder, straight } from "./hip.js";
import { bytes, concat, icmp, ip4, ip4Packet, ip6, ip6Packet, makeId, packet, tcp, udp } from "./packets.js";

/** mulberry32: a small generator of 32-bit numbers with a period of 2^32. */
export function makeRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * below);
  };
}

export class RandomWorld {
  readonly harness = new Harness({ slots: 256, slotBytes: 2_200 });
  readonly #random: (below: number) => number;
  /** Whether several triggers may match: then one packet may have many ends. */
  readonly #multicast: boolean;
  /** ESP packets that left, perhaps behind a header: some come back. */
  readonly #sealed: Uint8Array[] = [];

  constructor(seed: number, multicast: boolean) {
    this.#random = makeRandom(seed);
    this.#multicast = multicast;
    for (let change = 0; change < 60; change++) this.#changeTables();
  }

  /** Changes tables, or sends a packet and checks what became of it. Throws when something is wrong. */
  turn(): void {
    this.harness.nowMs += this.#random(30);
    const kind = this.#random(10);
    if (kind === 0) this.#changeTables();
    else if (kind < 5) this.#checkTun(this.#mutated(this.#innerPacket()));
    else this.#checkUdp(this.#mutated(this.#datagram()));
    this.#checkBounds();
  }

  #pick<T>(...choices: readonly [T, ...T[]]): T {
    return choices[this.#random(choices.length)] ?? choices[0];
  }

  #bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.#random(256));
  }

  #address4 = (): Uint8Array => ip4(this.#pick("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "224.0.0.1", "0.0.0.0"));
  #address6 = (): Uint8Array => this.#pick(ip6(1), ip6(2), ip6(3), concat(bytes(0xff, 2), new Uint8Array(14)));
  #locator = (): Locator => makeLocator(this.#pick(ip4("192.0.2.1"), ip4("192.0.2.2"), ip6(0x99)), 1 + this.#random(3));
  #ringByte = (): number => this.#pick(0x10, 0x50, 0x90, 0xd0);
  #id = (ringByte = this.#ringByte()): Uint8Array => makeId(ringByte, this.#pick(0, 1, 0x80), this.#pick(0, 1));
  #ids = (most: number): Uint8Array[] => Array.from({ length: 1 + this.#random(most) }, () => this.#id());

  #innerPacket(): Uint8Array {
    const payload = this.#bytes(this.#random(100));
    const four = this.#random(2) === 0;
    const [source, destination] = four ? [this.#address4(), this.#address4()] : [this.#address6(), this.#address6()];
    const quote = (): Uint8Array => concat(bytes(0, 0, 0, 0), packet(destination, source, this.#pick(6, 17), this.#pick(tcp(payload), udp(payload))).subarray(0, this.#random(120)));
    const message = this.#pick(
      () => packet(source, destination, 6, tcp(payload)),
      () => packet(source, destination, 17, udp(payload)),
      () => packet(source, destination, four ? 1 : 58, icmp(four ? 8 : 128, 0, payload)),
      () => packet(source, destination, four ? 1 : 58, icmp(four ? 3 : 1, 0, quote())),
      () => (four ? ip4Packet({ source, destination, protocol: 17, options: this.#bytes(4), fragment: this.#random(4) }, payload) : this.#extended(source, destination, payload)),
    );
    return message();
  }

  #extended(source: Uint8Array, destination: Uint8Array, payload: Uint8Array): Uint8Array {
    const header = (): Uint8Array => concat(bytes(this.#pick(0, 6, 17, 43, 44, 58, 60), this.#random(2)), this.#bytes(6));
    return ip6Packet({ source, destination, nextHeader: this.#pick(0, 43, 44, 60) }, concat(header(), header(), payload));
  }

  #datagram(): Uint8Array {
    const kind = this.#random(13);
    if (kind === 0) return concat(bytes(0x19), this.#bytes(this.#random(60)));
    if (kind === 1) return this.#bytes(this.#random(120));
    if (kind === 2) return this.#hipDatagram();
    if (kind < 6) return this.#sealed[this.#random(this.#sealed.length)] ?? bytes(0xff);
    return dataPacket(
      { ids: this.#ids(15), flags: this.#random(256), hopLimit: this.#random(20), copyBudget: this.#multicast ? this.#random(256) : COPY_BUDGET, payloadKind: this.#pick(1, 1, 1, 0, 2, 7), nonce: this.#bytes(8) },
      this.#innerPacket(),
    );
  }

  #hipDatagram(): Uint8Array {
    const packet = this.#pick(
      () => i1({ returnId: this.#pick(null, this.#id()), length: this.#pick(0, 200, 328), receiver: this.#pick(OWN_HIT, OWN_HIT, NO_HIT, hit(3)) }),
      () => hipPacket(this.#pick(1, 1, 3, 16), hit(1), OWN_HIT, ...Array.from({ length: this.#random(20) }, () => parameter(this.#pick(32_770, 511), this.#bytes(this.#pick(1, 32))))),
    )();
    return this.#pick(straight(packet), dataPacket({ ids: this.#ids(1), payloadKind: 3 }, packet));
  }

  #mutated(original: Uint8Array): Uint8Array {
    if (this.#random(2) === 0) return original;
    const out = Uint8Array.from(original);
    for (let changes = this.#random(3); changes >= 0 && out.length > 0; changes--) out[this.#random(Math.min(out.length, 100))] = this.#pick(0, 1, 0xff, this.#random(256));
    const cut = this.#random(4);
    if (cut === 0) return out.subarray(0, this.#random(out.length + 1));
    return cut === 1 ? concat(out, this.#bytes(this.#random(20))) : out;
  }

  #changeTables(): void {
    const { engine } = this.harness;
    const address = this.#pick(this.#address4, this.#address6)();
    const ringKey = this.#id().subarray(0, 16);
    this.#pick(
      () => engine.setFlow(address, this.#flow(address.length)),
      () => engine.setFlow(address, this.#flow(address.length)),
      () => engine.setInbound(this.#id(), this.#inbound()),
      () => engine.setInbound(this.#id(), this.#inbound()),
      () => this.#setForwarding(address),
      () => this.#setForwarding(address),
      () => this.#setTranslation(),
      () => this.#setTriggers(),
      () => this.#setTriggers(),
      () => engine.setOutboundAssociation(this.#random(2), this.#outbound()),
      () => engine.setOutboundAssociation(this.#random(2), this.#outbound()),
      () => engine.setInboundAssociation(SPI + this.#random(2), this.#inboundAssociation()),
      () => engine.setInboundAssociation(SPI + this.#random(2), this.#inboundAssociation()),
      () => engine.setHipResponder(this.#pick(null, responder({ r1Bytes: 200 }), responder({ openIds: [], rhash: "sha256" }))),
      () => engine.setResponsibility(this.#responsibility()),
      () => engine.setNextServer(ringKey, this.#pick(null, this.#locator())),
      () => engine.setDefaultServer(this.#pick(null, this.#locator())),
      () => engine.setUplink(this.#pick(0, 7)),
      () => engine.setKnownSource(this.#locator().address, this.#random(2) === 0),
      () => engine.setNeighbours(this.#pick([], [this.#locator()], [this.#locator(), this.#locator()])),
      () => engine.discardRoute(ringKey),
      () => engine.release(address),
      () => engine.discard(address, this.#random(2) === 0),
      () => engine.send([{ locator: this.#locator(), bytes: this.#bytes(this.#random(100)) }]),
      () => engine.inject([this.#bytes(this.#random(100))]),
      () => engine.submit([this.#mutated(this.#innerPacket())]),
      () => engine.deliver(this.#id(), [this.#innerPacket()]),
    )();
    while (engine.pending()) this.harness.step();
  }

  #flow(addressBytes: number): Flow | null {
    const source = addressBytes === 4 ? this.#address4() : this.#address6();
    const mtu = this.#pick({}, { mtu: 1_280 });
    const header = dataPacket({ ids: this.#ids(3), payloadKind: 4 });
    const way = this.#pick({ header, locator: null }, { header: null, locator: this.#locator() });
    return this.#pick<Flow | null>(
      null,
      { action: "setup" },
      { action: "refuse" },
      { action: "tunnel", header: dataPacket({ ids: this.#ids(15) }), source, ...mtu },
      { action: "esp", association: this.#random(2), source, ...way, ...mtu },
      { action: "esp", association: this.#random(2), source, ...way, ...mtu },
    );
  }

  #association = (): { transform: EspTransform; beet: 4 | 6 | null; checksumState: boolean } => ({
    transform: this.#pick<EspTransform>(GCM, NULL, CBC), beet: this.#pick(4, 6, null), checksumState: this.#random(2) === 0,
  });

  #outbound = (): OutboundAssociation | null => this.#pick(null, { spi: SPI + this.#random(2), ...this.#association() }, { spi: SPI, ...this.#association() });

  #inboundAssociation(): InboundAssociation | null {
    const four = (): { from: Uint8Array; to: Uint8Array } => ({ from: this.#address4(), to: this.#address4() });
    const six = (): { from: Uint8Array; to: Uint8Array } => ({ from: this.#address6(), to: this.#address6() });
    const whole = { ...this.#association(), flow: this.#address4(), source4: four(), destination4: four(), source6: six(), destination6: six() };
    return this.#pick<InboundAssociation | null>(null, whole, whole, { ...whole, source4: null, source6: null });
  }

  #inbound(): Inbound | null {
    const four = (): { from: Uint8Array; to: Uint8Array } => ({ from: this.#address4(), to: this.#address4() });
    const six = (): { from: Uint8Array; to: Uint8Array } => ({ from: this.#address6(), to: this.#address6() });
    const tun: Inbound = { action: "tun", flow: this.#address4(), source4: four(), destination4: four(), source6: this.#pick(null, six()), destination6: six() };
    return this.#pick<Inbound | null>(null, { action: "upcall" }, tun, tun);
  }

  #setTriggers(): void {
    const ringByte = this.#ringByte();
    const target = (): TriggerEntry["target"] => this.#pick<TriggerEntry["target"]>({ kind: "locator", locator: this.#locator() }, { kind: "stack", ids: this.#ids(this.#pick(2, 15)) });
    const most = this.#multicast ? 20 : 2;
    this.harness.engine.setTriggers(new Uint8Array(16).fill(ringByte), Array.from({ length: this.#random(most) }, () => ({ id: this.#id(ringByte), target: target() })));
  }

  #setForwarding(flow: Uint8Array): void {
    const other = flow.length === 4 ? this.#address6() : this.#address4();
    if (this.harness.engine.flowCounters(flow) !== undefined) this.harness.engine.setForwarding(flow, this.#random(4) !== 0, this.#pick(null, other, other));
  }

  /** Of each `to` one `from` of a flow: the two have the same places in their pools. */
  #setTranslation(): void {
    const which = this.#random(3);
    const [four, six] = [ip4(`10.0.0.${which + 1}`), ip6(which + 1)];
    const [from, to] = this.#pick([four, six] as const, [six, four] as const);
    const flow = from.length === 4 ? this.#address4() : this.#address6();
    this.harness.engine.setTranslation(flow, from, this.#pick(null, to, to, to));
  }

  #responsibility(): Responsibility {
    const end = (): Uint8Array => new Uint8Array(16).fill(this.#random(256));
    return this.#pick<Responsibility>({ kind: "none" }, { kind: "all" }, { kind: "range", from: end(), to: end() });
  }

  /** ICMP errors are the only thing that a packet from the TUN puts on the TUN; they come beside its drop. */
  #checkTun(inner: Uint8Array): void {
    const queued = this.harness.engine.queuedPackets();
    const outcome = this.harness.step([inner], [], [this.#random(4)]);
    const ends = outcome.udp.length + dropped(outcome) + this.harness.engine.queuedPackets() - queued;
    if (ends !== 1) throw new Error(`packet from the TUN has ${ends} ends: ${hex(inner)}`);
    if (outcome.tun.length > (outcome.drops["not-allocated"] ?? 0) + (outcome.drops.refused ?? 0) + (outcome.drops.policy ?? 0) + (outcome.drops["hop-limit"] ?? 0)) throw new Error(`too many ICMP errors: ${hex(inner)}`);
    this.#checkForm(outcome, inner);
  }

  #checkUdp(datagram: Uint8Array): void {
    const queued = this.harness.engine.queuedPackets();
    const answered = this.harness.engine.counters().hipAnswered;
    const outcome = this.harness.step([], [{ from: this.#locator(), bytes: datagram, trafficClass: this.#random(256) }]);
    const up = outcome.upcalls.filter(({ kind }) => kind === "control" || kind === "hip" || kind === "payload").length;
    const ends = outcome.udp.length + outcome.tun.length + up + dropped(outcome) + this.harness.engine.queuedPackets() - queued;
    // Of a translation's last hop its sender hears.
    const most = outcome.drops["hop-limit"] === undefined ? 1 : 2;
    const keepAlive = datagram.length === 1 && datagram[0] === 0xff;
    if (keepAlive ? ends !== 0 : this.#multicast ? ends < 1 || outcome.udp.length > COPY_BUDGET : ends < 1 || ends > most) throw new Error(`datagram has ${ends} ends: ${hex(datagram)}`);
    if (this.harness.engine.counters().hipAnswered > answered) return this.#checkAnswer(outcome, datagram);
    if (most === 1) for (const { bytes: sent } of outcome.udp) if ((sent[2] ?? 0) < 1 || (sent[2] ?? 0) > 15 || (this.#multicast && (sent[3] ?? 0) > 255)) throw new Error(`limits of ${hex(sent)}`);
    this.#checkForm(outcome, datagram);
  }

  /** One R1, and nothing longer than the I1 for somebody else. */
  #checkAnswer({ udp, upcalls }: Outcome, datagram: Uint8Array): void {
    const sent = udp[0]?.bytes ?? bytes();
    const isStraight = sent[0] === 0;
    const r1 = sent.subarray(isStraight ? 4 : 48);
    const fits = udp.length === 1 && upcalls.length === 0 && hipType(r1, 0, r1.length) === 2 && (isStraight || (sent[5] === 3 && sent.length <= datagram.length));
    if (!fits) throw new Error(`bad answer ${hex(sent)} to ${hex(datagram)}`);
  }

  #checkForm(outcome: Outcome, input: Uint8Array): void {
    for (const inner of outcome.tun) if (innerLength(inner, 0, inner.length) !== inner.length) throw new Error(`bad packet ${hex(inner)} from ${hex(input)}`);
    for (const { bytes: sent } of outcome.udp) {
      const isBare = (sent[0] ?? 0) >= 0x20;
      if (!isBare && parseDataHeader(sent, 0, sent.length) < 0) throw new Error(`bad datagram ${hex(sent)} from ${hex(input)}`);
      if ((isBare || sent[5] === 4) && this.#sealed.length < 50) this.#sealed.push(sent);
    }
  }

  #checkBounds(): void {
    const { engine } = this.harness;
    if (engine.pending()) throw new Error("something is pending though the batches were large enough");
    const queued = engine.queuedPackets();
    if (queued < 0 || queued > 10 * 16 + 4 * 32 * 15) throw new Error(`${queued} packets wait`);
  }
}

const hex = (value: Uint8Array): string => Buffer.from(value).toString("hex");
const dropped = (outcome: Outcome): number => Object.values(outcome.drops).reduce((sum, count) => sum + count, 0);

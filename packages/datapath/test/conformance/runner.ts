/** Doing the operations of a program to both engines. */
import type { InboundAssociation } from "../../src/datapath.js";
import type { RawDatagram } from "../../src/native-addon.js";
import { encodeEndpoint, encodeRoute } from "../../src/reference/endpoints.js";
import { makeCipher } from "../../src/reference/esp-transforms.js";
import { CHECKSUM } from "../../src/reference/step.js";
import { dataPacket } from "../reference/harness.js";
import { i1, MARK, straight } from "../reference/hip.js";
import { be32, bytes, concat, data } from "../reference/packets.js";
import { dataHeader, hipOf, plainArrival, streamPackets, trainOf, tunArrival, type Content, type DatagramRecipe, type EspRecipe, type StreamRecipe } from "./arrival-recipes.js";
import { checksumPlace, lengthOf, withPartialChecksum } from "./cut.js";
import type { EnginePair, TunArrival } from "./engine-pair.js";
import { BEGINNINGS, type Operation, type Program, type WindowNumber } from "./operations.js";
import { challengeRequestOf } from "./challenge-recipes.js";
import { refreshOf } from "./refresh-recipes.js";
import { buildPacket, damaged, PLAIN } from "./packet-recipes.js";
import { idOf, LOCATORS, ROUTES, nonceOf, SPIS, TRANSFORMS } from "./pools.js";

const GCM = TRANSFORMS[0]!;

/** Does operations to a pair, and knows what a peer would: the keys of the inbound associations, and all ESP packets so far. */
export class Runner {
  readonly #associations = new Map<number, InboundAssociation>();
  readonly #sequences = new Map<number, bigint>();
  readonly #sealed: Uint8Array[] = [];

  constructor(readonly pair: EnginePair) {}

  run({ beginning, operations }: Program): void {
    for (const step of BEGINNINGS[beginning]) this.apply(step);
    for (const step of operations) this.apply(step);
    this.#step(1, [], [], true);
  }

  apply(operation: Operation): void {
    const { pair } = this;
    const { kind } = operation;
    switch (operation.kind) {
      case "setFlow":
        return void pair.change(kind, (engine) => engine.setFlow(operation.address, operation.flow, operation.strength));
      case "setServices":
        return void pair.change(kind, (engine) => engine.setServices(operation.address, operation.services));
      case "setBehind":
        return void pair.change(kind, (engine) => engine.setBehind(operation.address, operation.bits, operation.flow));
      case "setForwarding":
        return void pair.change(kind, (engine) => engine.setForwarding(operation.flow, operation.isOn, operation.other ?? null));
      case "setTranslation":
        return void pair.change(kind, (engine) => engine.setTranslation(operation.flow, operation.from, operation.to));
      case "setInbound":
        return void pair.change(kind, (engine) => engine.setInbound(operation.id, operation.inbound));
      case "setOutboundAssociation":
        return void pair.change(kind, (engine) => engine.setOutboundAssociation(operation.name, operation.association));
      case "setInboundAssociation":
        if (operation.association === null) this.#associations.delete(operation.spi);
        else this.#associations.set(operation.spi, operation.association);
        return void pair.change(kind, (engine) => engine.setInboundAssociation(operation.spi, operation.association));
      case "setHipResponder":
        return void pair.change(kind, (engine) => engine.setHipResponder(operation.responder));
      case "setTriggers":
        return void pair.change(kind, (engine) => engine.setTriggers(operation.ringKey, operation.triggers));
      case "setLease":
        return void pair.change(kind, (engine) => engine.setLease(operation.id, operation.lease));
      case "setRefreshAnswers":
        return void pair.change(kind, (engine) => engine.setRefreshAnswers(operation.answers));
      case "setChallengeAnswers":
        return void pair.change(kind, (engine) => engine.setChallengeAnswers(operation.answers));
      case "challenges":
        return this.#step(operation.passedMs, [], operation.datagrams.map((recipe) => ({ bytes: challengeRequestOf(recipe), segmentBytes: 0, endpoint: encodeEndpoint(LOCATORS[recipe.from] ?? LOCATORS[0]!), trafficClass: 0 })), true);
      case "refreshes":
        return this.#step(operation.passedMs, [], operation.datagrams.map((recipe) => ({ bytes: refreshOf(recipe), segmentBytes: 0, endpoint: encodeEndpoint(LOCATORS[recipe.from] ?? LOCATORS[0]!), trafficClass: 0 })), true);
      case "takeRefreshed":
        return void pair.takeRefreshed();
      case "setResponsibility":
        return void pair.change(kind, (engine) => engine.setResponsibility(operation.range));
      case "setNextServer":
        return void pair.change(kind, (engine) => engine.setNextServer(operation.ringKey, operation.locator));
      case "setPassOn":
        return void pair.change(kind, (engine) => engine.setPassOn(operation.passOn));
      case "setDefaultServer":
        return void pair.change(kind, (engine) => engine.setDefaultServer(operation.locator));
      case "setUplink":
        return void pair.change(kind, (engine) => engine.setUplink(operation.interfaceIndex));
      case "setNeighbours":
        return void pair.change(kind, (engine) => engine.setNeighbours(operation.locators));
      case "setKnownSource":
        return void pair.change(kind, (engine) => engine.setKnownSource(operation.address, operation.isKnown));
      case "discardRoute":
        return void pair.change(kind, (engine) => engine.discardRoute(operation.ringKey));
      case "release":
        return void pair.change(kind, (engine) => engine.release(operation.address));
      case "discard":
        return void pair.change(kind, (engine) => engine.discard(operation.address, operation.refuse));
      case "send":
        return void pair.change(kind, (engine) => engine.send([{ locator: operation.locator, bytes: concat(bytes(operation.first), data(operation.length)).subarray(0, operation.length), isStraight: operation.isStraight }]));
      case "setDetour":
        return void pair.change(kind, (engine) => engine.setDetour(operation.isOn));
      case "takeDetoured": {
        const datagrams = operation.datagrams.map((recipe) => ({ from: operation.from, bytes: this.#datagram(recipe).bytes }));
        return void pair.change(kind, (engine) => engine.takeDetoured(datagrams));
      }
      case "inject":
        return void pair.change(kind, (engine) => engine.inject([buildPacket(operation.packet)]));
      case "submit":
        return void pair.change(kind, (engine) => engine.submit([buildPacket(operation.packet)]));
      case "deliver":
        return void pair.change(kind, (engine) => engine.deliver(operation.id, [buildPacket(operation.packet)]));
      case "step":
        return this.#step(operation.passedMs, operation.tun.map(tunArrival), operation.udp.map((recipe) => this.#datagram(recipe)), operation.offloads);
      case "stream":
        return this.#stream(operation.stream, operation.offloads);
      case "window":
        return this.#window(operation);
      case "flood":
        return this.#flood(operation);
    }
  }

  #step(passed: number, tun: readonly TunArrival[], udp: readonly RawDatagram[], offloading: boolean): void {
    for (const datagram of this.pair.step(passed, tun, udp, offloading)) {
      const isBare = (datagram[0] ?? 0) >= 0x20;
      if ((isBare || datagram[5] === 4) && this.#sealed.length < 400) this.#sealed.push(isBare ? datagram : datagram.subarray(16 + 32 * (datagram[4] ?? 0)));
    }
  }

  #content(content: Content, from: Uint8Array): Uint8Array {
    switch (content.what) {
      case "packet":
        return buildPacket(content.recipe);
      case "bytes":
        return data(content.length);
      case "hip":
        return hipOf(content.recipe, from);
      case "again":
        return this.#sealed.at(-1 - (content.index % Math.max(1, this.#sealed.length))) ?? bytes(0x20);
      case "esp": {
        const { inner, partial } = content.recipe;
        const built = buildPacket(inner);
        return this.#seal(content.recipe, partial && checksumPlace(built) !== undefined && lengthOf(built) === built.length ? withPartialChecksum(built) : built);
      }
    }
  }

  #seal({ spi: index, transform, beet, nextHeader, padding, untidy, overstated, advance }: Omit<EspRecipe, "inner" | "partial">, inner: Uint8Array): Uint8Array {
    const spi = SPIS[index] ?? SPIS[0];
    const keys = transform === null ? (this.#associations.get(spi)?.transform ?? GCM) : (TRANSFORMS[transform] ?? GCM);
    const cipher = makeCipher(keys);
    const last = this.#sequences.get(spi) ?? 0n;
    const sequence = BigInt.asUintN(64, last + BigInt(advance));
    if (sequence > last && last + BigInt(advance) === sequence) this.#sequences.set(spi, sequence);
    const version = (inner[0] ?? 0) >> 4;
    const headerBytes = version === 4 ? ((inner[0] ?? 0) & 15) * 4 : 40;
    const payload = beet ? inner.subarray(headerBytes) : inner;
    const next = nextHeader ?? (beet ? (version === 4 ? (inner[9] ?? 0) : (inner[6] ?? 0)) : version === 4 ? 4 : 41);
    const least = (cipher.blockBytes - ((payload.length + 2) % cipher.blockBytes)) % cipher.blockBytes;
    const count = Math.min(untidy && !cipher.wholeBlocks ? least + 1 : least + padding * cipher.blockBytes, 255 - ((255 - least) % cipher.blockBytes));
    const text = concat(payload, Uint8Array.from({ length: count }, (_, i) => i + 1), bytes(Math.min(255, count + overstated), next));
    const out = Buffer.from(concat(be32(spi), be32(Number(sequence & 0xffff_ffffn)), new Uint8Array(cipher.ivBytes), text, new Uint8Array(16)));
    cipher.seal(out, sequence);
    this.#sealed.push(out);
    return out;
  }

  #datagram(recipe: DatagramRecipe): RawDatagram {
    const { form, content, from, port, trafficClass: outerClass, damage, train } = recipe;
    const endpoint = encodeRoute(ROUTES[from] ?? ROUTES[0]!);
    const inner = this.#content(content, endpoint.slice(0, 16));
    const whole = form === "bare" ? inner : form === "data" ? concat(dataHeader(recipe), inner) : form === "marked" ? concat(MARK, inner) : concat(bytes(form), inner);
    const one = damaged(whole, damage).subarray(0, 65_507);
    if (port !== null) endpoint.set([port >> 8, port & 255], 16);
    return { ...(train === null ? { bytes: one, segmentBytes: 0 } : trainOf(one, train)), endpoint, trafficClass: outerClass };
  }

  #stream(stream: StreamRecipe, offloading: boolean): void {
    const { way, trafficClass: innerClass } = stream;
    const packets = streamPackets(stream);
    if (way.kind === "inject") {
      for (const whole of packets) this.pair.change("inject", (engine) => engine.inject([whole]));
      return this.#step(1, [], [], offloading);
    }
    const endpoint = encodeEndpoint(LOCATORS[0]!);
    const padding = { right: 0, partial: 1, verified: 2, odd: 3 }[stream.checksum];
    const wrapped = packets.map((whole) => {
      if (way.kind === "data") return concat(dataPacket({ ids: [idOf(way.id)], nonce: nonceOf(1) }), whole);
      return this.#seal({ spi: way.spi, transform: null, beet: way.beet, nextHeader: null, padding, untidy: false, overstated: 0, advance: 1 }, whole);
    });
    this.#step(1, [], wrapped.map((datagram) => ({ bytes: datagram, segmentBytes: 0, endpoint, trafficClass: innerClass })), offloading);
  }

  #window({ spi, numbers }: Operation & { kind: "window" }): void {
    const seen: bigint[] = [];
    const name = SPIS[spi] ?? SPIS[0];
    const seal = (number: WindowNumber): Uint8Array => {
      const last = this.#sequences.get(name) ?? 0n;
      const sequence = "advance" in number ? last + BigInt(number.advance) : (seen[number.which % Math.max(1, seen.length)] ?? last) + BigInt(number.behind);
      seen.push(sequence);
      return this.#seal({ spi, transform: null, beet: false, nextHeader: null, padding: 0, untidy: false, overstated: 0, advance: Number(sequence - last) }, buildPacket(PLAIN));
    };
    this.#step(1, [], numbers.map((number) => ({ bytes: seal(number), segmentBytes: 0, endpoint: encodeEndpoint(LOCATORS[0]!), trafficClass: 0 })), true);
  }

  #flood({ what, count, sources }: Operation & { kind: "flood" }): void {
    const origin = (i: number): Uint8Array => encodeEndpoint({ address: bytes(10, 9, 0, i % sources), port: 1_000 });
    const many = <T>(make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
    const each = (datagram: Uint8Array): RawDatagram[] => many((i) => ({ bytes: datagram, segmentBytes: 0, endpoint: origin(i), trafficClass: 0 }));
    if (what === "control") return this.#step(1, [], each(bytes(0x19, 1)), true);
    if (what === "hip") return this.#step(1, [], each(straight(i1())), true);
    if (what === "payload") return this.#step(1, [], each(dataPacket({ ids: [idOf(9)], payloadKind: 5 }, bytes(1))), true);
    if (what === "notice") return this.#step(1, [], each(dataPacket({ ids: [idOf(3)], flags: 1 }, bytes(1))), true);
    const destination = what === "setup" ? 0 : 8;
    const arrival = plainArrival(buildPacket({ ...PLAIN, destination, payloadBytes: 4 }), CHECKSUM.complete);
    this.#step(1, many(() => arrival), [], true);
  }
}

/** A responder keeps nothing, and makes no place for a peer, before an I2 has proved everything (RFC 7401 §4.1, §6.9). */
import { describe, expect, it } from "vitest";

import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { encodeHipPacket } from "../../src/wire/packet.js";
import { encodeEspInfo } from "../../src/wire/parameters/esp-info.js";
import { encodeEspTransform, encodeHipCipher } from "../../src/wire/parameters/suites.js";
import { identity, Network } from "./bed.js";
import { Forger, replaced, without, type CallOptions, type Change } from "./forger.js";

const same: Change = (parameters) => parameters;
/** What is wrong with an otherwise good I2, in the order in which it is looked at. */
const BAD: Readonly<Record<string, readonly [Change, CallOptions?]>> = {
  "an SPI that is reserved": [replaced(PARAMETER.espInfo, encodeEspInfo({ keymatIndex: 0, oldSpi: 0, newSpi: 7 }))],
  "a cipher that was not offered": [replaced(PARAMETER.hipCipher, encodeHipCipher([1]))],
  "an ESP suite that is not wanted": [replaced(PARAMETER.espTransform, encodeEspTransform([7]))],
  "no Diffie-Hellman value": [without(PARAMETER.diffieHellman)],
  "ENCRYPTED that is noise": [same, { inside: [] }],
  "no HOST_ID": [without(PARAMETER.encrypted)],
  "the signature of another key": [same, { signer: identity("ecdsa-p256", 3) }],
  "a KEYMAT index that has nothing behind it": [replaced(PARAMETER.espInfo, encodeEspInfo({ keymatIndex: 65_535, oldSpi: 0, newSpi: 4_096 }))],
};

function bed(): { readonly forger: Forger; readonly offers: () => number; readonly associations: () => number } {
  const network = new Network();
  let offers = 0;
  const victim = network.add("victim", identity("ecdsa-p256", 0), {
    offerFor: () => {
      offers++;
      return { privateId: null, preferences: null };
    },
  });
  return { forger: new Forger(network, victim), offers: () => offers, associations: () => victim.host.sizes.associations };
}

describe("an I2", () => {
  for (const [name, [change, options]] of Object.entries(BAD)) {
    it(`with ${name} leaves nothing, and nobody is asked for a place`, () => {
      const { forger, offers, associations } = bed();
      forger.callWith(change, options);
      expect([offers(), associations()]).toEqual([0, 0]);
    });
  }

  it("is paid for, and so makes puzzles harder, only when its puzzle is solved", () => {
    const { forger } = bed();
    const { counters } = forger.victim.host;
    const junk = encodeHipPacket({ type: HIP_PACKET.i2, version: 2, controls: 0, senderHit: forger.own.hit, receiverHit: forger.victim.env.identity.hit }, []);
    for (let n = 0; n < 10; n++) forger.send(junk);
    expect([counters.i2Received, counters.i2Paid]).toEqual([10, 0]);
    forger.callWith(same);
    expect([counters.i2Received, counters.i2Paid]).toEqual([11, 1]);
  });

  it("that is good makes one association, for which a place was asked once", () => {
    const { forger, offers, associations } = bed();
    forger.callWith(same);
    expect([offers(), associations()]).toEqual([1, 1]);
  });
});

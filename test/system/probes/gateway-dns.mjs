/**
 * A gateway's DNS server without a gateway: node gateway-dns.mjs ADDRESS HIT. What packages/i3-to-ip answers, with a resolver that knows www.corp.example, its mail and a long text; evil.corp.example
 * leads to the client itself. Prints "listening", and the source of each question.
 */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { encodeVirtualOption, parseIpText } from "@i3/common";
import { GatewayDns, serverAddress, VIRTUAL_OPTION } from "@i3/i3-to-ip";
import dnsPacket from "dns-packet";

const [address = "", hit = ""] = process.argv.slice(2);
const RECORDS = {
  "www.corp.example": { A: ["192.168.5.9"], AAAA: ["2001:db8:5::9"], MX: [{ preference: 5, exchange: "mail.corp.example" }], TXT: Array.from({ length: 12 }, () => "x".repeat(250)) },
};
const client = parseIpText("2001:22::7");
const dns = new GatewayDns({
  hasIpv6: () => true, translates: () => false, isOwn: () => false, mayReach: () => true, lead: (_client, _name, real, option, bytes) => serverAddress({ hit: parseIpText(hit), secret: new Uint8Array(32) }, real, option, bytes), onRefused: () => {},
});

/** @param {string} name @param {string} type */
function resolve(name, type) {
  const known = RECORDS[name];
  const authorities = [{ type: "SOA", name: "corp.example", ttl: 60, data: { mname: "ns.corp.example", rname: "root.corp.example", serial: 7, refresh: 1, retry: 1, expire: 1, minimum: 60 } }];
  const answers = (known?.[type] ?? []).map((data) => ({ type, name, ttl: 300, data }));
  return dnsPacket.decode(dnsPacket.encode({ type: "response", flags: known === undefined ? 3 : 0, questions: [], answers, authorities: answers.length === 0 ? authorities : [] }));
}

/** @param {Buffer} message @param {"udp" | "tcp"} transport */
function answerTo(message, transport) {
  const verdict = dns.read(message, transport);
  if (verdict.kind !== "ask") return verdict.bytes ?? null;
  const { name, types, query, virtual } = verdict.question;
  if (name === "silent.corp.example") return null;
  if (name !== "evil.corp.example") return dns.answer(client, verdict.question, types.map((type) => resolve(name, type)));
  const options = [{ code: VIRTUAL_OPTION, data: Buffer.from(encodeVirtualOption(virtual)) }];
  return dnsPacket.encode({ type: "response", id: query.id, flags: 0x180, questions: query.questions, answers: [{ type: "A", name: query.questions[0].name, data: "127.0.0.1" }], additionals: [{ type: "OPT", name: ".", udpPayloadSize: 1_232, extendedRcode: 0, ednsVersion: 0, flags: 0, options }] });
}

const udp = createSocket("udp4");
udp.on("message", (message, from) => {
  process.stdout.write(`udp ${from.address}\n`);
  const answer = answerTo(message, "udp");
  if (answer !== null) udp.send(answer, from.port, from.address);
});
const tcp = createServer((socket) => {
  let rest = Buffer.alloc(0);
  socket.on("error", () => {}).on("data", (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    if (rest.length < 2 || rest.length < 2 + rest.readUInt16BE(0)) return;
    process.stdout.write(`tcp ${socket.remoteAddress}\n`);
    const answer = answerTo(rest.subarray(2), "tcp");
    if (answer === null) return socket.end();
    socket.write(Buffer.concat([Buffer.of(answer.length >> 8, answer.length & 0xff), answer]));
  });
});
tcp.listen(53, address, () => udp.bind(53, address, () => process.stdout.write("listening\n")));

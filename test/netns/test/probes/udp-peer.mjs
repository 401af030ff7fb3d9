/**
 * A UDP socket that a test drives: node udp-peer.mjs [ADDRESS [PORT]]
 *   prints  "bound PORT", then "got ADDRESS PORT TEXT" for each datagram and "sent TEXT" or "failed WHY" for each command
 *   reads   "send ADDRESS PORT TEXT"
 * Datagrams whose text begins with "echo" are answered with "seen ADDRESS PORT TEXT": what the sender looks like from here.
 */
import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";

const [address = "0.0.0.0", port = "0"] = process.argv.slice(2);
const socket = createSocket(address.includes(":") ? "udp6" : "udp4");

/** @param {(string | number)[]} words */
const print = (...words) => process.stdout.write(`${words.join(" ")}\n`);

socket.on("message", (message, from) => {
  const text = message.toString();
  print("got", from.address, from.port, text);
  if (text.startsWith("echo")) socket.send(`seen ${from.address} ${from.port} ${text}`, from.port, from.address);
});
socket.bind(Number(port), address, () => print("bound", socket.address().port));

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const [, toAddress, toPort, text] = /^send (\S+) (\d+) (.*)$/.exec(line) ?? [];
    socket.send(text ?? "", Number(toPort), toAddress, (error) => print(error ? `failed ${error.message}` : `sent ${text}`));
  })
  .on("close", () => process.exit());

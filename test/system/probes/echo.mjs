/**
 * Sends back what comes: node echo.mjs TCP-PORT UDP-PORT, on all addresses. Prints "listening".
 * A datagram begins with its number; in front of what goes back stands how many different numbers, and how many datagrams, have come so far.
 * When one says "N last", it prints "missing " and the numbers below N that have not come, as JSON.
 */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";

const [tcpPort, udpPort] = process.argv.slice(2).map(Number);
const numbers = new Set();
let datagrams = 0;
let isAtEnd = false;
const udp = createSocket("udp4");
udp.on("message", (message, from) => {
  datagrams += 1;
  numbers.add(parseInt(message.toString(), 10));
  const [last, word] = message.toString().split(" ");
  if (word === "last" && !isAtEnd) {
    isAtEnd = true;
    process.stdout.write(`missing ${JSON.stringify(Array.from({ length: Number(last) }, (_, number) => number).filter((number) => !numbers.has(number)))}\n`);
  }
  udp.send(`${numbers.size} ${datagrams} ${message.toString()}`, from.port, from.address);
});
const tcp = createServer((socket) => socket.on("error", () => {}).pipe(socket));
tcp.listen(tcpPort, "0.0.0.0", () => udp.bind(udpPort, () => process.stdout.write("listening\n")));

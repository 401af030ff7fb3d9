/**
 * Talks to echo.mjs: node streams.mjs NAME TCP-PORT UDP-PORT. A datagram each 10 ms from the start on, and a line each 50 ms on each TCP connection.
 *   reads   "open": one more connection, "end": the last words
 *   prints  "open N", "lost N WHY" for a connection that breaks; after "end", when all is answered, one line of JSON:
 *           connections: of each { sent, answered, pauseMs: the longest time without an answer }; udp: { sent, arrived, twice, answered, pauseMs };
 *           lost: of each datagram that was not answered its number, and when it was sent (ms since 1970)
 */
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { connect } from "node:net";
import { createInterface } from "node:readline";

const UDP_EVERY_MS = 10;
const TCP_EVERY_MS = 50;

const [name = "", tcpPort, udpPort] = process.argv.slice(2);
const { address } = await lookup(name, { family: 4 });

/** @param {unknown[]} words */
const print = (...words) => process.stdout.write(`${words.join(" ")}\n`);

/** The longest time between two calls of `seen`. */
class Pauses {
  longestMs = 0;
  #lastMs = performance.now();

  seen() {
    const nowMs = performance.now();
    this.longestMs = Math.max(this.longestMs, Math.round(nowMs - this.#lastMs));
    this.#lastMs = nowMs;
  }
}

class Connection {
  sent = 0;
  answered = 0;
  #pauses = new Pauses();
  #socket = connect(Number(tcpPort), address);

  /** @param {number} number */
  constructor(number) {
    this.#socket.on("connect", () => print("open", number));
    this.#socket.on("error", ({ message }) => print("lost", number, message));
    this.#socket.on("end", () => print("lost", number, "the other end closed it"));
    createInterface({ input: this.#socket }).on("line", (text) => {
      this.#pauses.seen();
      if (Number(text) === this.answered) this.answered += 1;
      else print("lost", number, `${text} instead of ${this.answered}`);
    });
  }

  say() {
    this.#socket.write(`${this.sent++}\n`);
  }

  report() {
    return { sent: this.sent, answered: this.answered, pauseMs: this.#pauses.longestMs };
  }
}

/** @type {Connection[]} */
const connections = [];
const udp = { sent: 0, arrived: 0, twice: 0, answered: 0, pauseMs: 0 };
const pauses = new Pauses();
const answers = new Set();
/** When each datagram was sent, ms since 1970. */
const sentAt = [];
let isEnding = false;
let isHeard = false;
const socket = createSocket("udp4");
socket.on("message", (message) => {
  const [arrived, datagrams, number, last] = message.toString().split(" ");
  if (last === "last") {
    // What was sent before this came before it. It is none of those that are counted.
    Object.assign(udp, { arrived: Number(arrived) - 1, twice: Number(datagrams) - Number(arrived), answered: answers.size, pauseMs: pauses.longestMs });
    isHeard = true;
    return;
  }
  if (!isEnding) pauses.seen();
  answers.add(number);
});

const tcpTimer = setInterval(() => connections.forEach((connection) => connection.say()), TCP_EVERY_MS);
const udpTimer = setInterval(() => {
  sentAt.push(Date.now());
  socket.send(String(udp.sent++), Number(udpPort), address);
}, UDP_EVERY_MS);

function end() {
  isEnding = true;
  clearInterval(tcpTimer);
  clearInterval(udpTimer);
  const timer = setInterval(() => {
    if (!isHeard) socket.send(`${udp.sent} last`, Number(udpPort), address);
    else if (connections.every(({ sent, answered }) => sent === answered)) {
      clearInterval(timer);
      print(JSON.stringify({ connections: connections.map((connection) => connection.report()), udp, lost: sentAt.map((ms, number) => [number, ms]).filter(([number]) => !answers.has(String(number))) }));
      process.exit();
    }
  }, TCP_EVERY_MS);
}

createInterface({ input: process.stdin }).on("line", (line) => (line === "open" ? connections.push(new Connection(connections.length)) : end()));

/** Deliberate faults of the cores: each a change of the source's text, which must be there exactly once. */
export interface Mutant {
  readonly name: string;
  /** Relative to packages/. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** Of a run in which this checker caught it, tried first. @default 1 */
  readonly seed?: string;
  /** That must fire. */
  readonly checker: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: "keeps the dead in the successor list", seed: "2", checker: "ideal-ring", file: "i3-server/src/chord/ring-state.ts",
    from: "this.successors = this.successors.filter((entry) => !sameNode(entry, node));", to: "",
  },
  {
    name: "forgets all its successors with the first one, and asks for others", checker: "live-successor", file: "i3-server/src/chord/ring-state.ts",
    from: "this.successors = this.successors.filter((entry) => !sameNode(entry, node));", to: "this.successors = wasHead ? [] : this.successors.filter((entry) => !sameNode(entry, node));",
  },
  {
    name: "joins on an answer that is pending", seed: "5", checker: "principals", file: "i3-server/src/chord/chord.ts",
    from: `    if (state.pending) {
      // Those whom`, to: `    if (state.pending && this.#pendings > 1_000) {
      // Those whom`,
  },
  {
    name: "takes nobody for its predecessor while that lives", checker: "misplaced", file: "i3-server/src/chord/chord.ts",
    from: "if (livePredecessor === null || inOpen(livePredecessor.key, node.key, this.self.key)) {", to: "if (livePredecessor === null) {",
  },
  {
    name: "never merges with another ring", seed: "2", checker: "ideal-ring", file: "i3-server/src/chord/chord.ts",
    from: "if (this.#ring.head === null || !this.#isNearer(nowMs, node, this.#ring.head)) return;", to: "if (this.#ring.head !== null || node.key.length > 0) return;",
  },
  {
    name: "names the node before a key as responsible", checker: "trigger-lost", file: "i3-server/src/chord/ring-state.ts",
    from: "if (inHalfOpen(self.key, key, head.key)) return { final: true, node: head };", to: "if (inHalfOpen(self.key, key, head.key)) return { final: true, node: self };",
  },
  {
    name: "leaves triggers that have ended in the engine", seed: "2", checker: "unacknowledged", file: "i3-server/src/triggers/trigger-table.ts",
    from: "    for (const id of changed.values()) this.#program(id);\n", to: "",
  },
  {
    name: "takes an older counter", checker: "old-counter", file: "i3-server/src/triggers/trigger-core.ts",
    from: "message.counter <= old.counter) return", to: "message.counter === old.counter) return",
  },
  {
    name: "takes a trigger without a cookie of its own", checker: "cookie", file: "i3-server/src/triggers/trigger-core.ts",
    from: `if (!this.#cookies.check(nowMs, from, key, message.cookie)) return this.#refuse("badCookie", id);`, to: "",
  },
  {
    name: "takes a trigger that is not signed", checker: "forged-trigger", file: "i3-server/src/triggers/trigger-core.ts",
    from: "if (!verify(message, nodeKey) || ", to: "if (",
  },
  {
    name: "forgets to tell the engine of a removal", checker: "unacknowledged", file: "i3-server/src/triggers/trigger-table.ts",
    from: "if (this.#bury(nowMs, trigger)) this.#program(trigger.id);", to: "this.#bury(nowMs, trigger);",
  },
  {
    name: "answers with more than it was asked with", checker: "amplification", file: "i3-server/src/server/server-core.ts",
    from: "if (bytes.length > requestBytes) {", to: "if (bytes.length > requestBytes + 1_000) {",
  },
  {
    name: "never refreshes a trigger", checker: "replica-lost", file: "i3-client/src/trigger-keeper.ts",
    from: "nowMs + Math.max(RETRY_MS, Math.min(REFRESH_MS, lifeMs / 3))", to: "Infinity",
  },
  {
    name: "takes nothing off the hop limit", checker: "copies", file: "datapath/src/reference/server-rules.ts",
    from: "const hopLimit = work.hopLimit - 1;", to: "const hopLimit = work.hopLimit;",
  },
  {
    name: "gives each copy all of the copy budget", checker: "copies", file: "datapath/src/reference/server-rules.ts",
    from: "i < remainder ? share + 1 : share", to: "work.copyBudget",
  },
  {
    name: "lets one member of a group take another's place", seed: "2", checker: "replica-lost", file: "i3-server/src/triggers/trigger-table.ts",
    from: "(member === null ? bytesKey(id) : bytesKey(id) + bytesKey(member))", to: "(member === null ? bytesKey(id) : bytesKey(id) + String(member.length))",
  },
  {
    name: "sends to a stack's owner what is for the stack", checker: "unacknowledged", file: "i3-server/src/triggers/trigger-table.ts",
    from: `target: stack === null ? { kind`, to: `target: stack !== null || stack === null ? { kind`,
  },
  {
    name: "takes an older record", seed: "2", checker: "old-record", file: "i3-server/src/records/record-core.ts",
    from: "record.sequence <= old.record.sequence) return", to: "record.sequence === old.record.sequence) return",
  },
  {
    name: "takes a record that is not signed", checker: "forged-record", file: "i3-server/src/records/record-core.ts",
    from: `    if (!isRecordSigned(record)) return this.#refuse("badSignature", key);\n`, to: "",
  },
  {
    name: "goes on sending where nobody is", seed: "38", checker: "stale-cache", file: "i3-client/src/sender-paths.ts",
    from: `    this.#dropServer(way);
    if (nowMs - path.absentMs < ABSENT_MS)`, to: `    if (nowMs - path.absentMs < ABSENT_MS)`,
  },
  {
    name: "takes what a peer has sealed in an earlier life", checker: "taken-again", file: "i3-server/src/ring/channel.ts",
    from: "if (trailer.senderEpoch < session.peerEpoch) {", to: "if (false) {",
  },
  {
    name: "takes what was sealed for an earlier life of its own", seed: "5", checker: "taken-again", file: "i3-server/src/ring/channel.ts",
    from: "if (trailer.receiverEpoch !== session.ownEpoch) {", to: "if (trailer.receiverEpoch > session.ownEpoch) {",
  },
  {
    name: "takes a message of a server twice", checker: "taken-again", file: "i3-server/src/ring/channel.ts",
    from: `if (!session.window.take(trailer.counter)) return this.#drop("replay");`, to: "session.window.take(trailer.counter);",
  },
  {
    name: "takes a credential of a foreign authority", checker: "no-member", file: "i3-server/src/ring/channel.ts",
    from: "const isForeign = !sameBytes(credential.authority, this.#own.authority);", to: "const isForeign = false;",
  },
  {
    name: "takes a credential that has ended", seed: "2", checker: "no-member", file: "i3-server/src/ring/channel.ts",
    from: "if (!isForeign && credential.endMs > this.#init.wallMs(nowMs)) return false;", to: "if (!isForeign) return false;",
  },
  {
    name: "takes a credential that is not signed", checker: "no-member", file: "i3-server/src/ring/channel.ts",
    from: `    if (!this.#credentials.isSigned(credential)) return this.#none("credential");
    if (known !== undefined)`, to: "    if (known !== undefined)",
  },
  {
    name: "takes a certificate that its group has not signed", checker: "forged-trigger", file: "hip/src/trigger-signature.ts",
    from: "return verifyMembership(message.publicKey, ed25519) && verify", to: "return verify",
  },
  {
    name: "takes a certificate of another group, and any key for an id", checker: "forged-trigger", file: "i3-server/src/triggers/trigger-core.ts",
    from: "!keyOwnsId(message.keyKind, message.publicKey, id) || ", to: "",
  },
  {
    name: "takes a certificate that has ended", checker: "forged-trigger", file: "i3-server/src/triggers/trigger-core.ts",
    from: `    if (EarlyEnds.round(trigger.lastMs) <= nowMs) return this.#refuse("expired", id);\n`, to: "",
  },
  {
    name: "never answers that it is awaiting an answer itself", checker: "never-pending", file: "i3-server/src/chord/chord.ts",
    from: "this.#ring.stateMessage(this.#awaiting())", to: "this.#ring.stateMessage(false)",
  },
  {
    name: "keeps a successor list past its owner", checker: "list-order", file: "i3-server/src/chord/neighbours.ts",
    from: `if (list.length === SUCCESSORS || sameNode(node, self)) break;
    if (isDead(node)) continue;
    const last = list.at(-1);
    if (last !== undefined && !inOpen(last.key, node.key, self.key)) {`, to: `if (list.length === SUCCESSORS) break;
    if (isDead(node)) continue;
    const last = list.at(-1);
    if (last !== undefined && !inOpen(last.key, node.key, self.key) && !sameNode(node, self)) {`,
  },
  {
    name: "takes any token for a refresh", seed: "2", checker: "forged-refresh", file: "i3-server/src/triggers/trigger-core.ts",
    from: "if (!leadsTo(record, index, token)) {", to: "if (index < 0) {",
  },
  {
    name: "lets its engine take any token for a refresh", seed: "13", checker: "forged-refresh", file: "datapath/src/reference/refresh-rules.ts",
    from: " || !leadsTo(token, refresh.index - lease.index, lease.token)) return false;", to: ") return false;",
  },
  {
    name: "takes a trigger for another address than its sender's", checker: "forged-trigger", file: "i3-server/src/triggers/trigger-core.ts",
    from: `    if (!isTriggerStack(message.target) && !sameLocator(message.target, from)) return this.#refuse("notYourAddress", id);\n`, to: "",
  },
  {
    name: "takes any key's token for an id", checker: "forged-trigger", file: "i3-server/src/triggers/trigger-core.ts",
    from: " || !steps.every(stepOwnsId)) return", to: ") return",
  },
  {
    name: "takes a token for another trigger", checker: "forged-trigger", file: "i3-server/src/triggers/trigger-core.ts",
    from: " || !stepsOf(message).every((step) => consents(step, id))) return", to: ") return",
  },
  {
    name: "keeps ways to ids for ever", seed: "2", checker: "old-way", file: "i3-server/src/server/routes.ts",
    from: "endMs: nowMs + ROUTE_LIFE_MS, programmed", to: "endMs: nowMs + 1_000 * ROUTE_LIFE_MS, programmed",
  },
  {
    name: "answers on credit that is spent", seed: "2", checker: "amplification", file: "i3-server/src/server/recent-senders.ts",
    from: "Math.max(0, sender.creditBytes - bytes)", to: "sender.creditBytes",
  },
  {
    name: "goes on sending to a server that nobody has named for long", seed: "19", checker: "old-way", file: "i3-client/src/sender-paths.ts",
    from: "way.nextConfirmMs = nowMs + CONFIRM_AT_MS;", to: "way.nextConfirmMs = Infinity;",
  },
  {
    name: "stays at a server that says that it is not responsible", seed: "7", checker: "not-handed-over", file: "i3-client/src/trigger-keeper.ts",
    from: `if (kept.isReplica) break;
        this.#retreat(nowMs, kept, "locating");`, to: `if (kept.isReplica) break;
        kept.nextMs = nowMs + 120_000;`,
  },
  {
    name: "keeps no replicas", checker: "replica-lost", file: "i3-client/src/trigger-keeper.ts",
    from: "if (to === null || sameLocator(to, from)) return", to: "if (to !== from) return",
  },
  {
    name: "names nobody who takes over", checker: "replica-lost", file: "i3-server/src/triggers/trigger-core.ts",
    from: "(this.#init.replica?.(nowMs, target) ?? null);", to: "null;",
  },
  {
    name: "never refreshes a replica", seed: "19", checker: "replica-lost", file: "i3-client/src/trigger-keeper.ts",
    from: `"live", nowMs + Math.max(RETRY_MS, Math.min(REFRESH_MS, lifeMs / 3))`, to: `"live", kept.isReplica ? Infinity : nowMs + Math.max(RETRY_MS, Math.min(REFRESH_MS, lifeMs / 3))`,
  },
  {
    name: "leaves without a word", seed: "2", checker: "no-farewell", file: "i3-server/src/chord/leaving.ts",
    from: "for (const node of successors) this.#host.send(node, message);\n    if (livePredecessor !== null", to: "if (livePredecessor !== null && nowMs < 0",
  },
  {
    name: "takes no server lists", checker: "record-lost", file: "i3-server/src/records/record-core.ts",
    from: "if (this.#store.isFull(key, account, isCopy)) return", to: "if (record.kind === 1) return",
  },
  {
    name: "never delivers what it took of a group before it had claimed its keys", seed: "2", checker: "trigger-place", file: "i3-server/src/triggers/trigger-table.ts",
    from: `for (const text of held) this.#program(Buffer.from(text, "latin1"));`, to: "",
  },
  {
    name: "refreshes triggers that have become another's", seed: "15", checker: "misplaced", file: "i3-server/src/triggers/trigger-core.ts",
    from: "if (!this.#init.owns(ringKey(id)) && !(record?.live === true && record.isReplica)) return", to: "if (record?.live !== true) return",
  },
];

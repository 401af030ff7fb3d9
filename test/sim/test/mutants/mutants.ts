/** Deliberate faults of the cores: each a change of the source's text, which must be there exactly once. */
export interface Mutant {
  readonly name: string;
  /** Relative to packages/. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** Of a run in which it was caught, tried first. @default 1 */
  readonly seed?: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: "keeps the dead in the successor list", file: "i3-server/src/chord/ring-state.ts",
    from: "this.successors = this.successors.filter((entry) => !sameNode(entry, node));", to: "",
  },
  {
    name: "joins on an answer that is pending", seed: "12", file: "i3-server/src/chord/chord.ts",
    from: `    if (state.pending) {
      this.#memberMs`, to: `    if (state.pending && this.#pendings > 1_000) {
      this.#memberMs`,
  },
  {
    name: "takes anybody for its predecessor", file: "i3-server/src/chord/chord.ts",
    from: "if (livePredecessor === null || inOpen(livePredecessor.key, node.key, this.self.key)) {", to: "if (livePredecessor !== node) {",
  },
  {
    name: "never merges with another ring", file: "i3-server/src/chord/chord.ts",
    from: "} else if (this.#isNearer(nowMs, node, head)) {", to: "} else if (sameNode(node, head)) {",
  },
  {
    name: "names the node before a key as responsible", file: "i3-server/src/chord/ring-state.ts",
    from: "if (inHalfOpen(self.key, key, head.key)) return { final: true, node: head };", to: "if (inHalfOpen(self.key, key, head.key)) return { final: true, node: self };",
  },
  {
    name: "leaves triggers that have ended in the engine", file: "i3-server/src/triggers/trigger-table.ts",
    from: "    for (const id of changed.values()) this.#program(id);\n", to: "",
  },
  {
    name: "takes an older counter", file: "i3-server/src/triggers/trigger-core.ts",
    from: "message.counter <= old.counter) return", to: "message.counter === old.counter) return",
  },
  {
    name: "takes a trigger without a cookie of its own", file: "i3-server/src/triggers/trigger-core.ts",
    from: `if (!this.#cookies.check(nowMs, from, key, message.cookie)) return this.#refuse("badCookie", id);`, to: "",
  },
  {
    name: "takes a trigger that is not signed", file: "i3-server/src/triggers/trigger-core.ts",
    from: "if (!verify(message, nodeKey) || ", to: "if (",
  },
  {
    name: "forgets to tell the engine of a removal", file: "i3-server/src/triggers/trigger-table.ts",
    from: "if (this.#bury(nowMs, trigger)) this.#program(trigger.id);", to: "this.#bury(nowMs, trigger);",
  },
  {
    name: "answers with more than it was asked with", file: "i3-server/src/server/server-core.ts",
    from: "if (bytes.length > requestBytes) {", to: "if (bytes.length > requestBytes + 1_000) {",
  },
  {
    name: "never refreshes a trigger", file: "i3-client/src/trigger-keeper.ts",
    from: "nowMs + Math.max(RETRY_MS, Math.min(REFRESH_MS, lifeMs / 3))", to: "Infinity",
  },
  {
    name: "takes nothing off the hop limit", file: "datapath/src/reference/server-rules.ts",
    from: "const hopLimit = work.hopLimit - 1;", to: "const hopLimit = work.hopLimit;",
  },
  {
    name: "gives each copy all of the copy budget", file: "datapath/src/reference/server-rules.ts",
    from: "i < remainder ? share + 1 : share", to: "work.copyBudget",
  },
  {
    name: "lets one member of a group take another's place", file: "i3-server/src/triggers/trigger-table.ts",
    from: "(member === null ? bytesKey(id) : bytesKey(id) + bytesKey(member))", to: "(member === null ? bytesKey(id) : bytesKey(id) + String(member.length))",
  },
  {
    name: "sends to a stack's owner what is for the stack", file: "i3-server/src/triggers/trigger-table.ts",
    from: `target: stack === null ? { kind`, to: `target: stack !== null || stack === null ? { kind`,
  },
  {
    name: "takes an older record", file: "i3-server/src/records/record-core.ts",
    from: "record.sequence <= old.record.sequence) return", to: "record.sequence === old.record.sequence) return",
  },
  {
    name: "takes a record that is not signed", file: "i3-server/src/records/record-core.ts",
    from: `    if (!isRecordSigned(record)) return this.#refuse("badSignature", key);\n`, to: "",
  },
  {
    name: "goes on sending where nobody is", seed: "11", file: "i3-client/src/sender-paths.ts",
    from: `    this.#dropServer(way);
    this.#emit({ kind: "not-present", id: path.id });`, to: `    this.#emit({ kind: "not-present", id: path.id });`,
  },
];

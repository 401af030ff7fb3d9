/** An addon that notes what it is asked and answers what a test wants. */
import type { EngineAddon } from "../../src/native-engine-open.js";

export interface FakeAddon {
  readonly addon: EngineAddon;
  /** Name and arguments, without the handle, in their order. */
  readonly calls: (readonly [name: string, ...values: unknown[]])[];
}

/** @param answers by name; everything else answers 0, which is "ok" */
export function fakeAddon(answers: { readonly [Name in keyof EngineAddon]?: (...values: never[]) => unknown } = {}): FakeAddon {
  const calls: FakeAddon["calls"] = [];
  const known: Readonly<Record<string, ((...values: never[]) => unknown) | undefined>> = { createSteppedEngine: () => ({}), ...answers };
  const addon = new Proxy({}, {
    get: (_, name: string) => (...values: unknown[]): unknown => {
      if (name !== "createSteppedEngine") calls.push([name, ...(name.startsWith("engine") ? values.slice(1) : values)]);
      return known[name] === undefined ? 0 : known[name](...(values as never[]));
    },
  });
  return { addon: addon as EngineAddon, calls };
}

export const systemError = (code: string, syscall: string): Error => Object.assign(new Error(`${code}: ${syscall}`), { code, syscall, errno: -1 });

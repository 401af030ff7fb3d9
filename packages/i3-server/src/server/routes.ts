/** Which server is responsible for which ring key: remembered 30 s, in the engine's table where packets need it. */
import { bytesKey, type RingNode } from "@i3/common";
import { DatapathError, type Datapath } from "@i3/datapath";

import { inHalfOpen } from "../chord/ring-key.js";
import { MAX_ROUTES, ROUTE_LIFE_MS } from "./constants.js";

interface Route {
  readonly key: Uint8Array;
  readonly node: RingNode;
  readonly endMs: number;
  /** Whether the engine has it. */
  readonly programmed: boolean;
}

/** Told when the first route to a server comes and when the last is gone. */
export interface RouteWatcher {
  watch(node: RingNode): void;
  unwatch(node: RingNode): void;
}

export class Routes {
  readonly #datapath: Pick<Datapath, "setNextServer">;
  readonly #watcher: RouteWatcher;
  /** In order of their end. */
  readonly #routes = new Map<string, Route>();
  readonly #perNode = new Map<string, Set<string>>();

  constructor(datapath: Pick<Datapath, "setNextServer">, watcher: RouteWatcher) {
    this.#datapath = datapath;
    this.#watcher = watcher;
  }

  get size(): number {
    return this.#routes.size;
  }

  get(nowMs: number, key: Uint8Array): { readonly node: RingNode; readonly ageMs: number } | undefined {
    const route = this.#routes.get(bytesKey(key));
    if (route === undefined || route.endMs <= nowMs) return undefined;
    return { node: route.node, ageMs: nowMs - (route.endMs - ROUTE_LIFE_MS) };
  }

  /** `program`: packets need it. False when the engine's table is full. */
  set(nowMs: number, key: Uint8Array, node: RingNode, program: boolean): boolean {
    const text = bytesKey(key);
    const old = this.#routes.get(text);
    const programmed = program || old?.programmed === true;
    if (old !== undefined) this.#unlink(text, old);
    const oldest = this.#routes.entries().next();
    if (this.#routes.size >= MAX_ROUTES && oldest.done === false) this.#remove(...oldest.value);
    this.#routes.set(text, { key: new Uint8Array(key), node, endMs: nowMs + ROUTE_LIFE_MS, programmed });
    this.#link(text, node);
    return !programmed || this.#program(key, node);
  }

  #program(key: Uint8Array, node: RingNode): boolean {
    try {
      this.#datapath.setNextServer(key, node.locator);
      return true;
    } catch (error) {
      if (error instanceof DatapathError) return false;
      throw error;
    }
  }

  /** Forgets the route of a key; false: there was none. */
  forget(key: Uint8Array): boolean {
    const text = bytesKey(key);
    const route = this.#routes.get(text);
    if (route !== undefined) this.#remove(text, route);
    return route !== undefined;
  }

  /** Forgets all routes to a server; returns how many there were. */
  dropNode(nodeKey: Uint8Array): number {
    const keys = [...(this.#perNode.get(bytesKey(nodeKey)) ?? [])];
    for (const text of keys) {
      const route = this.#routes.get(text);
      if (route !== undefined) this.#remove(text, route);
    }
    return keys.length;
  }

  /** Forgets the routes of all keys in (from, to] of the ring; returns how many there were. */
  dropRange(from: Uint8Array, to: Uint8Array): number {
    const inside = [...this.#routes].filter(([, { key }]) => inHalfOpen(from, key, to));
    for (const [text, route] of inside) this.#remove(text, route);
    return inside.length;
  }

  expire(nowMs: number): void {
    for (const [text, route] of this.#routes) {
      if (route.endMs > nowMs) return;
      this.#remove(text, route);
    }
  }

  deadlineMs(): number {
    for (const { endMs } of this.#routes.values()) return endMs;
    return Infinity;
  }

  #remove(text: string, route: Route): void {
    this.#unlink(text, route);
    if (route.programmed) this.#datapath.setNextServer(route.key, null);
  }

  #link(text: string, node: RingNode): void {
    const nodeText = bytesKey(node.key);
    const keys = this.#perNode.get(nodeText);
    if (keys !== undefined) {
      keys.add(text);
      return;
    }
    this.#perNode.set(nodeText, new Set([text]));
    this.#watcher.watch(node);
  }

  #unlink(text: string, route: Route): void {
    this.#routes.delete(text);
    const nodeText = bytesKey(route.node.key);
    const keys = this.#perNode.get(nodeText);
    keys?.delete(text);
    if (keys?.size !== 0) return;
    this.#perNode.delete(nodeText);
    this.#watcher.unwatch(route.node);
  }
}

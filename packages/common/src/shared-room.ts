/**
 * Room for what many hold a while, in two steps: groups, and in each group holders. Nobody is kept out: where all is taken, the group that has most gives, of it the holder who has most, and of
 * that one what has been idle longest. So whoever holds much never costs those who hold little. Without I/O.
 */
export interface SharedRoomOptions {
  readonly most: number;
  readonly mostOfOne: number;
}

export interface HeldPlace {
  /** It is in use: now the last to give. */
  touch(): void;
  /** Once; also of one that was displaced. */
  leave(): void;
}

interface Taken {
  readonly group: string;
  readonly holder: string;
  readonly displace: () => void;
}

/** Idle longest first. */
type Places = Set<Taken>;

interface Group {
  readonly places: Places;
  readonly byHolder: Map<string, Places>;
}

export class SharedRoom {
  readonly #options: SharedRoomOptions;
  readonly #places: Places = new Set();
  readonly #groups = new Map<string, Group>();

  constructor(options: SharedRoomOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#places.size;
  }

  /** @param displace takes it back, called at most once, within `enter` of another; the place is left then */
  enter(group: string, holder: string, displace: () => void): HeldPlace {
    const { most, mostOfOne } = this.#options;
    const held = this.#groups.get(group)?.byHolder.get(holder);
    if (held !== undefined && held.size >= mostOfOne) this.#displaceFirst(held);
    else if (this.#places.size >= most) this.#displaceOf(group, holder);
    const taken: Taken = { group, holder, displace };
    this.#put(taken);
    return { touch: () => this.#touch(taken), leave: () => void this.#take(taken) };
  }

  /** Of those with as many, who comes gives by itself, or else the one that has been idle longest. */
  #displaceOf(group: string, holder: string): void {
    const [own, most] = [this.#groups.get(group), mostOf(this.#groups, ({ places }) => places.size)];
    const giving = own?.places.size === most ? own : this.#groups.get(firstOf(this.#places, (one) => this.#groups.get(one.group)?.places.size === most)?.group ?? "");
    if (giving === undefined) return;
    const [ownHeld, mostHeld] = [giving === own ? own.byHolder.get(holder) : undefined, mostOf(giving.byHolder, ({ size }) => size)];
    this.#displaceFirst(ownHeld?.size === mostHeld ? ownHeld : giving.places, (one) => giving.byHolder.get(one.holder)?.size === mostHeld);
  }

  #displaceFirst(held: ReadonlySet<Taken>, gives: (one: Taken) => boolean = () => true): void {
    const first = firstOf(held, gives);
    if (first === undefined) return;
    this.#take(first);
    first.displace();
  }

  #touch(taken: Taken): void {
    const group = this.#groups.get(taken.group);
    if (group?.places.has(taken) !== true) return;
    for (const places of [this.#places, group.places, group.byHolder.get(taken.holder)]) places?.delete(taken);
    this.#put(taken);
  }

  #put(taken: Taken): void {
    const group = this.#groups.get(taken.group) ?? { places: new Set(), byHolder: new Map<string, Places>() };
    const held = group.byHolder.get(taken.holder) ?? new Set();
    this.#groups.set(taken.group, group);
    group.byHolder.set(taken.holder, held);
    for (const places of [this.#places, group.places, held]) places.add(taken);
  }

  #take(taken: Taken): void {
    const group = this.#groups.get(taken.group);
    if (group?.places.delete(taken) !== true) return;
    this.#places.delete(taken);
    const held = group.byHolder.get(taken.holder);
    held?.delete(taken);
    if (held?.size === 0) group.byHolder.delete(taken.holder);
    if (group.places.size === 0) this.#groups.delete(taken.group);
  }
}

function mostOf<One>(all: ReadonlyMap<string, One>, sizeOf: (one: One) => number): number {
  let most = 0;
  for (const one of all.values()) most = Math.max(most, sizeOf(one));
  return most;
}

function firstOf(places: ReadonlySet<Taken>, gives: (one: Taken) => boolean): Taken | undefined {
  for (const one of places) if (gives(one)) return one;
  return undefined;
}

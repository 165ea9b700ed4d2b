/** What the reader has chosen; whoever shows any of it is told what changed. */

/**
 * @typedef {{tab: string, beside: [number, number], open: Set<string>, unrolled: ?Set<string>, backward: boolean, compact: boolean, direction: "TB" | "LR",
 *   columns: boolean,
 *   colouring: string, strip: string, frame: number, selected: ?string, graph: number, theme: "light" | "dark",
 *   query: string, listed: boolean}} State   tab: "beside", "diff" or the number of the only graph that is shown;
 *   beside: the two that are shown beside each other; unrolled: which repeats are shown one by one, null for all;
 *   listed: whether the differences are listed beside the graph
 */

export class Store {
  /** @param {State} state */
  constructor(state) {
    this.state = state;
    this.listeners = [];
  }

  /** @param {(changed: Set<string>, extra: object) => void} listener */
  listen(listener) {
    this.listeners.push(listener);
  }

  /**
   * @param {Partial<State>} changes
   * @param {object} extra what listeners need to know once, such as the anchor of a motion
   */
  set(changes, extra = {}) {
    const changed = new Set(Object.keys(changes).filter((name) => this.state[name] !== changes[name]));
    if (!changed.size) return;
    Object.assign(this.state, changes);
    for (const listener of this.listeners) listener(changed, extra);
  }
}

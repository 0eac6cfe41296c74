/** The one way React reads state that lives outside it. */

import { useSyncExternalStore } from "react";

export interface Store<State> {
  state(): State;
  subscribe(listener: () => void): () => void;
}

/** A value that changes as a whole and notifies its listeners. */
export class ValueStore<State> implements Store<State> {
  readonly #listeners = new Set<() => void>();
  #state: State;

  constructor(initial: State) {
    this.#state = initial;
  }

  state(): State {
    return this.#state;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  update(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}

/** Re-render when the selected part changes; the selector must return stable values. */
export function useStore<State, Part>(store: Store<State>, select: (state: State) => Part): Part {
  return useSyncExternalStore(
    (listener) => store.subscribe(listener),
    () => select(store.state()),
  );
}

/** Unlimited undo over immutable values: one mark per gesture, the value before and after it. */

export interface HistoryStep<Value> {
  readonly mark: string;
  readonly from: Value;
  readonly to: Value;
}

interface Entry<Value> {
  readonly mark: string;
  value: Value;
}

export class History<Value> {
  #past: Entry<Value>[] = [];
  #present: Entry<Value>;
  #future: Entry<Value>[] = [];

  constructor(initial: Value) {
    this.#present = { mark: "start", value: initial };
  }

  get present(): Value {
    return this.#present.value;
  }

  get undoMark(): string | null {
    return this.#past.length > 0 ? this.#present.mark : null;
  }

  get redoMark(): string | null {
    return this.#future.at(-1)?.mark ?? null;
  }

  /** A gesture happened: it can be undone, and what was undone before it is forgotten. */
  record(mark: string, value: Value): void {
    this.#past.push(this.#present);
    this.#present = { mark, value };
    this.#future = [];
  }

  /** Change the present without a step of its own (a choice among candidates, for one). */
  amend(value: Value): void {
    this.#present.value = value;
  }

  /** Change every value, past and future: something arrived from outside that no undo takes back. */
  rewrite(change: (value: Value) => Value): void {
    for (const entry of [...this.#past, this.#present, ...this.#future])
      entry.value = change(entry.value);
  }

  undo(): HistoryStep<Value> | null {
    const before = this.#past.pop();
    if (before === undefined) return null;
    const undone = this.#present;
    this.#future.push(undone);
    this.#present = before;
    return { mark: undone.mark, from: undone.value, to: before.value };
  }

  redo(): HistoryStep<Value> | null {
    const next = this.#future.pop();
    if (next === undefined) return null;
    const from = this.#present;
    this.#past.push(from);
    this.#present = next;
    return { mark: next.mark, from: from.value, to: next.value };
  }
}

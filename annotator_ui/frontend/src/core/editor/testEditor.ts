/** An editor driven by numbers, for tests: pointer events in, effects and state out. */

import type { MaskItem, MaskSource, MaskStatus } from "./document";
import { Editor } from "./editor";
import type { EditorEffect } from "./events";
import { screenPoint } from "../geometry/geometry";
import { bitmap } from "../mask/bitmap";
import type { Candidate } from "./prompts";
import { encodeRle } from "../mask/rle";
import type { Rle } from "../mask/rle";
import type { PointerInput } from "../tools/tool";

export const IMAGE = { widthPx: 100, heightPx: 80 };

/** A filled rectangle, x0 <= x < x1. */
export function rectangle(x0: number, y0: number, x1: number, y1: number): Rle {
  const mask = bitmap(IMAGE);
  for (let y = y0; y < y1; y += 1)
    mask.data.fill(1, y * IMAGE.widthPx + x0, y * IMAGE.widthPx + x1);
  return encodeRle(mask);
}

export function maskItem(
  id: string,
  status: MaskStatus,
  source: MaskSource,
  rle = rectangle(10, 10, 20, 20),
): MaskItem {
  return {
    id,
    source,
    status,
    rle,
    label: "",
    author: null,
    predictedIou: 0.5,
    prompts: [],
    annotateMs: null,
  };
}

export function candidate(rle: Rle, predictedIou: number): Candidate {
  return {
    rle,
    predictedIou,
    lowResLogits: { data: new Float32Array(16).fill(predictedIou), crop: null },
  };
}

type Plain = Partial<Omit<PointerInput, "at">>;

/** The view is the image itself: one image pixel is one screen pixel, no offset. */
export class TestEditor {
  readonly effects: EditorEffect[] = [];
  readonly editor: Editor;
  nowMs = 1_000;
  #ids = 0;

  constructor(masks: readonly MaskItem[] = []) {
    this.editor = new Editor(
      {
        image: IMAGE,
        author: "ann",
        masks,
        synced: masks.map((mask) => [
          mask.id,
          { status: mask.status, revisionId: `head-${mask.id}`, rle: mask.rle, label: mask.label },
        ]),
      },
      {
        newId: () => `id-${(this.#ids += 1)}`,
        nowMs: () => this.nowMs,
        emit: (effect) => this.effects.push(effect),
      },
    );
  }

  get state() {
    return this.editor.state();
  }

  get document() {
    return this.state.document;
  }

  down(x: number, y: number, how: Plain = {}): this {
    this.editor.dispatch({
      type: "pointer_down",
      at: screenPoint(x, y),
      button: "left",
      shift: false,
      ...how,
    });
    return this;
  }

  move(x: number, y: number): this {
    this.editor.dispatch({
      type: "pointer_move",
      at: screenPoint(x, y),
      button: "left",
      shift: false,
    });
    return this;
  }

  up(x: number, y: number): this {
    this.editor.dispatch({
      type: "pointer_up",
      at: screenPoint(x, y),
      button: "left",
      shift: false,
    });
    return this;
  }

  click(x: number, y: number, how: Plain = {}): this {
    return this.down(x, y, how).up(x, y);
  }

  drag(x0: number, y0: number, x1: number, y1: number): this {
    return this.down(x0, y0)
      .move((x0 + x1) / 2, (y0 + y1) / 2)
      .move(x1, y1)
      .up(x1, y1);
  }

  send(event: Parameters<Editor["dispatch"]>[0]): this {
    this.editor.dispatch(event);
    return this;
  }

  /** Answer the newest decode request. */
  answer(...candidates: Candidate[]): this {
    const asked = this.effects.filter((effect) => effect.type === "decode").at(-1);
    if (asked === undefined) throw new Error("nothing was asked");
    return this.send({ type: "decoded", steps: asked.steps, candidates });
  }

  /** What the person was synced. */
  get notices(): string[] {
    return this.effects.flatMap((effect) => (effect.type === "notify" ? [effect.text] : []));
  }

  /** What the server was synced since the last call. */
  takeMessages(): EditorEffect[] {
    const messages = this.effects.filter(
      (effect) => effect.type !== "decode" && effect.type !== "notify",
    );
    this.effects.length = 0;
    return messages;
  }
}

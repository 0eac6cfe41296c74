/** Shows what a click here would give while the pointer moves. One question at a time: whatever the
 * pointer did meanwhile, the next question is about where it is now, so the preview never lags behind. */

import { screenToImage } from "../../core/geometry/camera";
import { isEmptyDraft } from "../../core/editor/document";
import type { Editor } from "../../core/editor/editor";
import { isInside } from "../../core/geometry/geometry";
import type { ImagePoint, ScreenPoint } from "../../core/geometry/geometry";
import type { Candidate } from "../../core/editor/prompts";
import type { Rle } from "../../core/mask/rle";
import { ValueStore } from "../store";

export interface HoverState {
  readonly rle: Rle | null;
  readonly predictedIou: number;
  /** Answers shown since the page was opened, for measuring. */
  readonly numShown: number;
}

export class HoverPreview extends ValueStore<HoverState> {
  readonly #preview: (at: ImagePoint) => Promise<readonly Candidate[] | null>;
  readonly #isOn: () => boolean;
  #editor: Editor | null = null;
  #pointer: ScreenPoint | null = null;
  #isAsking = false;
  /** What is being asked has a better answer by now. */
  #isDated = false;
  /** What is shown is the answer for this place. */
  #shownFor: ImagePoint | null = null;

  constructor(
    preview: (at: ImagePoint) => Promise<readonly Candidate[] | null>,
    isOn: () => boolean,
  ) {
    super({ rle: null, predictedIou: 0, numShown: 0 });
    this.#preview = preview;
    this.#isOn = isOn;
  }

  /** The pointer is here (null: nowhere), over this editor's image. */
  move(editor: Editor, pointer: ScreenPoint | null): void {
    this.#editor = editor;
    this.#pointer = pointer;
    if (this.#wanted() === null) this.clear();
    else void this.#ask();
  }

  /** A crop has replaced the frame of the answer: ask again where the pointer rests. */
  again(): void {
    this.#isDated = true;
    if (this.#wanted() !== null) void this.#ask();
  }

  clear(): void {
    this.#shownFor = null;
    if (this.state().rle !== null) this.update({ rle: null });
  }

  async #ask(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    for (let asked = this.#shownFor; ;) {
      const at = this.#wanted();
      // A press begins with a move on the spot: asked again, the click would wait for what is known.
      if (at === null || (!this.#isDated && asked !== null && asked.x === at.x && asked.y === at.y))
        break;
      asked = at;
      this.#isDated = false;
      const candidates = await this.#preview(at);
      if (candidates === null) break;
      this.#show(candidates[0], at);
    }
    this.#isAsking = false;
  }

  /** The answer is about a place a moment ago, but its mask is still the one the pointer is on. */
  #show(best: Candidate | undefined, at: ImagePoint): void {
    if (best === undefined || this.#wanted() === null) this.clear();
    else {
      this.#shownFor = at;
      this.update({
        rle: best.rle,
        predictedIou: best.predictedIou,
        numShown: this.state().numShown + 1,
      });
    }
  }

  /** Where to decode; null when a preview would be in the way. */
  #wanted(): ImagePoint | null {
    const editor = this.#editor;
    if (editor === null || this.#pointer === null || !this.#isOn()) return null;
    const state = editor.state();
    const isFree =
      state.toolId === "point" &&
      !state.isPanHeld &&
      !state.areMasksHidden &&
      editor.path() === "point.idle";
    if (!isFree || !isEmptyDraft(state.document.draft)) return null;
    const at = screenToImage(state.camera, this.#pointer);
    return isInside(at, editor.image) ? at : null;
  }
}

/** What the editor lends to those who work on its document: the draft's and the masks' side of it. */

import type { Document, MaskItem } from "./document";
import type { EditorState } from "./editorState";
import type { Size } from "../geometry/geometry";
import type { PromptStep } from "./prompts";
import type { Rle } from "../mask/rle";
import type { OpenTool, ToolContext } from "../tools/tool";

export interface EditorContext {
  readonly image: Size;
  readonly author: string;
  readonly document: Document;
  readonly state: EditorState;
  toolContext(): ToolContext;
  newId(): string;
  /** One undo step. */
  record(mark: string, change: Partial<Document>): void;
  set(change: Partial<EditorState>): void;
  select(maskId: string | null): void;
  selectedMask(): MaskItem | null;
  notify(text: string): void;
  draftRle(): Rle | null;
  openTool(): OpenTool | null;
  activeMs(): number;
  /** Go on counting the time of this mask, or begin to. */
  startClock(): void;
  /** The next mask begins now; or nothing does. */
  restartClock(): void;
  stopClock(): void;
  /** Accept these prompts' mask as soon as the model has answered. */
  acceptWhenAnswered(steps: readonly PromptStep[]): void;
}

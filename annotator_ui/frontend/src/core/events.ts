/** Everything that can happen to the editor, and everything it asks of the outside. */

import type { ScreenPoint, Size } from "./geometry";
import type { Candidate, PromptStep } from "./prompts";
import type { Message } from "./told";
import type { PointerInput, ToolId } from "./tools/tool";

export type EditorEvent =
  | ({ readonly type: "pointer_down" | "pointer_move" | "pointer_up" } & PointerInput)
  | { readonly type: "pointer_left" }
  | { readonly type: "wheel"; readonly at: ScreenPoint; readonly deltaPx: number }
  | { readonly type: "viewport"; readonly size: Size }
  | { readonly type: "pan_held"; readonly isHeld: boolean }
  | { readonly type: "tool"; readonly id: ToolId }
  | { readonly type: "brush_size"; readonly step: 1 | -1 }
  | { readonly type: "hide_masks"; readonly isHidden: boolean }
  | { readonly type: "zoom"; readonly to: "fit" | "one_to_one" }
  | { readonly type: "interrupt" | "complete" | "cancel" }
  | { readonly type: "remove_last_prompt" | "accept_draft" | "undo" | "redo" }
  | { readonly type: "cycle_candidate"; readonly step: 1 | -1 }
  | { readonly type: "select"; readonly maskId: string | null }
  | { readonly type: "select_next"; readonly step: 1 | -1 }
  | { readonly type: "mask_status"; readonly maskId: string; readonly to: "accepted" | "rejected" }
  | { readonly type: "decoded"; readonly steps: readonly PromptStep[]; readonly candidates: readonly Candidate[] }
  | { readonly type: "decode_failed"; readonly steps: readonly PromptStep[]; readonly message: string };

/** Decode these prompts and answer with `decoded` or `decode_failed`; or tell the server. */
export type EditorEffect =
  | { readonly type: "decode"; readonly steps: readonly PromptStep[] }
  | Message;

/** What the editor cannot make itself. */
export interface EditorPorts {
  newId(): string;
  nowMs(): number;
  emit(effect: EditorEffect): void;
}

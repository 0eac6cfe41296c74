/** Everything that can happen to the editor, and everything it asks of the outside. */

import type { MaskItem } from "./document";
import type { ScreenPoint, Size } from "../geometry/geometry";
import type { OverlapPolicy } from "./operations";
import type { Candidate, PromptStep } from "./prompts";
import type { Message, SyncedMask } from "./syncState";
import type { PointerInput, ToolId } from "../tools/tool";

export type EditorEvent =
  | ({ readonly type: "pointer_down" | "pointer_move" | "pointer_up" } & PointerInput)
  | { readonly type: "pointer_left" }
  | { readonly type: "wheel"; readonly at: ScreenPoint; readonly deltaPx: number }
  /** Two fingers: zoom by a factor around a point that itself moved. */
  | {
      readonly type: "pinch";
      readonly from: ScreenPoint;
      readonly to: ScreenPoint;
      readonly factor: number;
    }
  | { readonly type: "viewport"; readonly size: Size }
  | { readonly type: "pan_held"; readonly isHeld: boolean }
  | { readonly type: "tool"; readonly id: ToolId }
  | { readonly type: "brush_size"; readonly step: 1 | -1 }
  | { readonly type: "brush_to"; readonly diameterPx: number }
  | { readonly type: "hide_masks"; readonly isHidden: boolean }
  | { readonly type: "hide_selected" | "isolate" | "show_all" }
  | { readonly type: "zoom"; readonly to: "fit" | "one_to_one" | "in" | "out" }
  | { readonly type: "interrupt" | "complete" | "cancel" }
  | { readonly type: "remove_last_prompt" | "accept_draft" | "undo" | "redo" | "too_hard" }
  | { readonly type: "cycle_candidate"; readonly step: 1 | -1 }
  | { readonly type: "select"; readonly maskId: string | null }
  /** Pick a mask beside the selected one, or let it go. */
  | { readonly type: "mark"; readonly maskId: string }
  | { readonly type: "select_next"; readonly step: 1 | -1 }
  | { readonly type: "refine"; readonly maskId: string }
  | { readonly type: "fill_holes" | "largest_part" | "merge" | "subtract" | "split" }
  | { readonly type: "overlap"; readonly policy: OverlapPolicy }
  | { readonly type: "label"; readonly maskId: string; readonly label: string }
  | { readonly type: "mask_status"; readonly maskId: string; readonly to: "accepted" | "rejected" }
  /** Masks that the server has and this page did not make: suggestions, somebody else's version. */
  | {
      readonly type: "masks_arrived";
      readonly masks: readonly MaskItem[];
      readonly synced: readonly (readonly [string, SyncedMask])[];
    }
  | {
      readonly type: "decoded";
      readonly steps: readonly PromptStep[];
      readonly candidates: readonly Candidate[];
    }
  | {
      readonly type: "decode_failed";
      readonly steps: readonly PromptStep[];
      readonly message: string;
    };

/** Decode these prompts and answer with `decoded` or `decode_failed`; show a notice; send a message to the server. */
export type EditorEffect =
  | { readonly type: "decode"; readonly steps: readonly PromptStep[] }
  | { readonly type: "notify"; readonly text: string }
  | Message;

/** What the editor cannot make itself. */
export interface EditorPorts {
  newId(): string;
  nowMs(): number;
  emit(effect: EditorEffect): void;
}

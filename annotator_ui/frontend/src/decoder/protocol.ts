/** What the page and the decoder's worker say to each other. Every question has an id, every id one reply. */

import type { ImageBox, Size } from "../core/geometry";
import type { DecodeRequest } from "../core/prompts";
import type { SentCandidate } from "./candidates";

export type Question =
  | { readonly type: "open"; readonly decoder: ArrayBuffer; readonly ortUrl: string; readonly numThreads: number }
  | {
      readonly type: "image";
      readonly imageId: string;
      readonly embedding: ArrayBuffer;
      readonly image: Size;
      readonly imageSizePx: number;
    }
  /** Takes the place of the close-up before it; the whole photo stays. */
  | {
      readonly type: "close_up";
      readonly imageId: string;
      readonly closeUp: string;
      readonly square: ImageBox;
      readonly embedding: ArrayBuffer;
    }
  /** `closeUp`: the one to look at, if it is still there. */
  | { readonly type: "decode"; readonly imageId: string; readonly closeUp: string | null; readonly request: DecodeRequest };

export type Request = Question & { readonly id: number };

export type Reply =
  | { readonly id: number; readonly ok: true; readonly candidates: readonly SentCandidate[]; readonly tookMs: number }
  | { readonly id: number; readonly ok: false; readonly message: string };

/** Messages between the page and the decoder's worker. Every request has an id, every id one reply. */

import type { ImageBox, Size } from "../core/geometry/geometry";
import type { DecodeRequest } from "../core/editor/prompts";
import type { SentCandidate } from "./candidates";
import type { DecoderFiles } from "./network";

export type Question =
  | {
      readonly type: "open";
      readonly decoder: DecoderFiles;
      readonly ortUrl: string;
      readonly numThreads: number;
    }
  | {
      readonly type: "image";
      readonly imageId: string;
      readonly embedding: ArrayBuffer;
      readonly image: Size;
      readonly imageSizePx: number;
    }
  /** Takes the place of the crop before it; the whole image stays. */
  | {
      readonly type: "crop";
      readonly imageId: string;
      readonly crop: string;
      readonly box: ImageBox;
      readonly embedding: ArrayBuffer;
    }
  /** `crop`: the key of the crop to decode in, if it is still held. */
  | {
      readonly type: "decode";
      readonly imageId: string;
      readonly crop: string | null;
      readonly request: DecodeRequest;
    };

export type Request = Question & { readonly id: number };

export type Reply =
  | {
      readonly id: number;
      readonly ok: true;
      readonly candidates: readonly SentCandidate[];
      readonly tookMs: number;
    }
  | { readonly id: number; readonly ok: false; readonly message: string };

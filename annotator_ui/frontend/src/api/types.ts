/** The JSON shapes of docs/architecture.md, names as on the wire. */

import type { MaskSource, MaskStatus, PromptRecord } from "../core/document";

export interface RleJson {
  readonly size: readonly [number, number];
  readonly counts: string;
}

export interface ImageOut {
  readonly id: string;
  readonly file_name: string;
  readonly width_px: number;
  readonly height_px: number;
  readonly file_url: string;
  readonly thumbnail_url: string;
  readonly embedding_url: string;
}

export interface ModelOut {
  readonly id: string;
  readonly number: number;
  readonly arch: string;
  readonly encoder_sha256: string;
  readonly decoder_url: string;
  readonly decoder_sha256: string;
  readonly image_size_px: number;
  readonly embedding_stride_px: number;
  readonly low_res_stride_px: number;
  readonly embed_channels: number;
  readonly high_res_channels: number;
}

export interface MaskOut {
  readonly id: string;
  readonly revision_id: string;
  readonly source: MaskSource;
  readonly status: MaskStatus;
  readonly rle: RleJson;
  readonly bbox_xywh_px: readonly [number, number, number, number];
  readonly area_px: number;
  readonly predicted_iou: number | null;
  readonly label: string;
  readonly author: string | null;
}

export interface SessionOut {
  readonly assignment_id: string;
  readonly lease_expires_at: string;
  readonly stage: string;
  readonly image: ImageOut;
  readonly model: ModelOut;
  readonly masks: readonly MaskOut[];
  readonly upcoming: readonly ImageOut[];
}

export interface MaskIn {
  readonly mask_id: string;
  readonly revision_id: string;
  readonly base_revision_id?: string;
  readonly rle: RleJson;
  readonly prompts: readonly PromptRecord[];
  readonly label?: string;
  readonly annotate_ms?: number;
  readonly model_version_id?: string;
}

export interface SavedMaskOut {
  readonly mask_id: string;
  readonly revision_id: string;
  readonly rle_sha256: string;
  readonly area_px: number;
  readonly bbox_xywh_px: readonly [number, number, number, number];
  readonly duplicate: boolean;
  readonly conflict: boolean;
}

/** How the search for suggestions on an image stands; `none`: nobody asked. */
export interface SuggestionsOut {
  readonly status: "none" | "queued" | "running" | "succeeded" | "failed" | "dead" | "cancelled";
  readonly progress_pct: number;
  readonly progress_text: string;
  readonly error: string;
}

export interface CandidateOut {
  readonly rle: RleJson;
  readonly predicted_iou: number;
}

export interface DecodeOut extends CandidateOut {
  readonly candidates: readonly CandidateOut[];
}

/** What the server page hands over in `<script id="label-config">`. */
export interface PageConfig {
  readonly project_slug: string;
  readonly project_name: string;
  readonly api_base: string;
  readonly csrf_token: string;
  readonly csrf_cookie_name: string;
  readonly image_id: string | null;
  readonly user: { readonly name: string; readonly role: string };
  readonly static_ort_url: string;
  readonly sign_in_url: string;
  /** The lead's words to annotators; empty: the page's own. */
  readonly instructions: string;
}

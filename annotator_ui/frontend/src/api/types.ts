/** Names for the API's JSON; the shapes are generated from docs/openapi.json (`make contracts`). */

import type { components } from "./schema.gen";

type Schemas = components["schemas"];

export type RleJson = Schemas["RleOut"];
export type ImageOut = Schemas["ImageOut"];
export type ModelOut = Schemas["ModelOut"];
export type MaskOut = Schemas["MaskOut"];
export type SessionOut = Schemas["SessionOut"];
export type MaskIn = Schemas["MaskIn"];
export type SavedMaskOut = Schemas["SavedMaskOut"];
/** How the search for suggestions on an image stands; `none`: nobody asked. */
export type SuggestionsOut = Schemas["SuggestionsOut"];
export type DecodeOut = Schemas["DecodeOut"];

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

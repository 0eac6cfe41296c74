/** Generated from docs/openapi.json by `make contracts`; do not edit. */

export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
  schemas: {
    /** AssignmentOut */
    readonly AssignmentOut: {
      /**
       * Assignment Id
       * Format: uuid
       */
      readonly assignment_id: string;
      /**
       * Lease Expires At
       * Format: date-time
       */
      readonly lease_expires_at: string;
      readonly status: components["schemas"]["AssignmentStatus"];
    };
    /**
     * AssignmentStatus
     * @enum {string}
     */
    readonly AssignmentStatus: "leased" | "submitted" | "skipped" | "released" | "expired";
    /**
     * AttemptOut
     * @description One claim of a job. `outcome` is empty while it runs.
     */
    readonly AttemptOut: {
      /** Ended At */
      readonly ended_at: string | null;
      /** Error */
      readonly error: string;
      /** Fence */
      readonly fence: number;
      /** Outcome */
      readonly outcome: components["schemas"]["AttemptOutcome"] | "";
      /** Pid */
      readonly pid: number;
      /**
       * Started At
       * Format: date-time
       */
      readonly started_at: string;
      /** Worker */
      readonly worker: string;
    };
    /**
     * AttemptOutcome
     * @description How one claim of a job ended.
     * @enum {string}
     */
    readonly AttemptOutcome:
      "succeeded" | "failed" | "released" | "lost" | "stalled" | "timed out" | "cancelled";
    /**
     * BoxPrompt
     * @description A box from its top left to its bottom right corner.
     */
    readonly BoxPrompt: {
      /**
       * @description discriminator enum property added by openapi-typescript
       * @enum {string}
       */
      readonly type: "box";
      /** X0 Px */
      readonly x0_px: number;
      /** X1 Px */
      readonly x1_px: number;
      /** Y0 Px */
      readonly y0_px: number;
      /** Y1 Px */
      readonly y1_px: number;
    };
    /** CandidateOut */
    readonly CandidateOut: {
      /** Predicted Iou */
      readonly predicted_iou: number;
      readonly rle: components["schemas"]["RleOut"];
    };
    /**
     * CriterionOut
     * @description A target and its figure. `current` is None and the verdict `not_enough_data` while it cannot
     *     be known; `missing` says in a sentence what is not there; `is_at_most`: lower is better.
     */
    readonly CriterionOut: {
      /** Current */
      readonly current: number | null;
      /** Is At Most */
      readonly is_at_most: boolean;
      /** Is Share */
      readonly is_share: boolean;
      /** Key */
      readonly key: string;
      /** Missing */
      readonly missing: string;
      /** Target */
      readonly target: number;
      /** Title */
      readonly title: string;
      readonly verdict: components["schemas"]["Verdict"];
    };
    /**
     * CurveOut
     * @description A training's figures so far, at most a few hundred points; they grow while it runs.
     */
    readonly CurveOut: {
      /** Points */
      readonly points: readonly components["schemas"]["CurvePointOut"][];
      readonly status: components["schemas"]["ModelVersionStatus"];
    };
    /** CurvePointOut */
    readonly CurvePointOut: {
      /** First Iou */
      readonly first_iou?: number | null;
      /** Last Iou */
      readonly last_iou?: number | null;
      /** Loss */
      readonly loss?: number | null;
      /** Step */
      readonly step: number;
    };
    /** DecodeIn */
    readonly DecodeIn: {
      readonly base_mask?: components["schemas"]["RleIn"] | null;
      /** Crop */
      readonly crop?: string | null;
      /** Encoder Sha256 */
      readonly encoder_sha256: string;
      /**
       * Model Version Id
       * Format: uuid
       */
      readonly model_version_id: string;
      /** Prompts */
      readonly prompts: readonly (
        components["schemas"]["PointPrompt"] | components["schemas"]["BoxPrompt"]
      )[];
    };
    /**
     * DecodeOut
     * @description The best mask, and every mask that was offered (best first, itself included).
     */
    readonly DecodeOut: {
      /** Candidates */
      readonly candidates: readonly components["schemas"]["CandidateOut"][];
      /** Predicted Iou */
      readonly predicted_iou: number;
      readonly rle: components["schemas"]["RleOut"];
    };
    /**
     * EditPrompt
     * @description Pixels changed by hand other than by strokes.
     */
    readonly EditPrompt: {
      /** Times */
      readonly times: number;
      /**
       * Tool
       * @enum {string}
       */
      readonly tool:
        | "polygon"
        | "lasso"
        | "fill_holes"
        | "largest_part"
        | "merge"
        | "subtract"
        | "split"
        | "overlap_cut";
      /**
       * @description discriminator enum property added by openapi-typescript
       * @enum {string}
       */
      readonly type: "edit";
    };
    /**
     * EncoderQuery
     * @description `crop`: level-row-column of a square crop of the image; left out, the whole image.
     */
    readonly EncoderQuery: {
      /** Crop */
      readonly crop?: string | null;
      /** Encoder */
      readonly encoder?: string | null;
    };
    /** ErrorOut */
    readonly ErrorOut: {
      /** Code */
      readonly code: string;
      /** Message */
      readonly message: string;
    };
    /** ExportIn */
    readonly ExportIn: {
      /**
       * Format
       * @enum {string}
       */
      readonly format: "sa1b" | "coco";
    };
    /** ExportOut */
    readonly ExportOut: {
      /** File Url */
      readonly file_url: string | null;
      /** Format */
      readonly format: ("sa1b" | "coco") | string;
      /**
       * Id
       * Format: uuid
       */
      readonly id: string;
      readonly job: components["schemas"]["JobOut"] | null;
      /** Num Masks */
      readonly num_masks: number | null;
      /** Sha256 */
      readonly sha256: string | null;
      readonly status: components["schemas"]["ExportStatus"];
    };
    /**
     * ExportStatus
     * @enum {string}
     */
    readonly ExportStatus: "pending" | "ready" | "failed";
    /** FieldError */
    readonly FieldError: {
      /** Field */
      readonly field: string;
      /** Message */
      readonly message: string;
    };
    /** FiguresOut */
    readonly FiguresOut: {
      /** By Model Version */
      readonly by_model_version: readonly components["schemas"]["ModelCostOut"][];
      /** Clicks Per Mask */
      readonly clicks_per_mask: number | null;
      /** Masks Per Image */
      readonly masks_per_image: number | null;
      /** Num Automatic Masks */
      readonly num_automatic_masks: number;
      /** Num Human Masks */
      readonly num_human_masks: number;
      /** Num Images */
      readonly num_images: number;
      /** Num Images Done */
      readonly num_images_done: number;
      /** Num Images With Masks */
      readonly num_images_with_masks: number;
      /** Num Imported Masks */
      readonly num_imported_masks: number;
      /** Num Masks */
      readonly num_masks: number;
      /** Num Prefilled Masks */
      readonly num_prefilled_masks: number;
      /** Num Proposed Masks */
      readonly num_proposed_masks: number;
      /** Seconds Per Mask */
      readonly seconds_per_mask: number | null;
    };
    /**
     * FittedOut
     * @description What a mask has to score, and what that kept of a held-out set of `num_truths` objects.
     */
    readonly FittedOut: {
      /** Num Truths */
      readonly num_truths: number;
      /** Precision */
      readonly precision: number;
      /** Predicted Iou */
      readonly predicted_iou: number;
      /** Recall */
      readonly recall: number;
      /** Stability Score */
      readonly stability_score: number;
    };
    /**
     * FittedThresholdsOut
     * @description Fitted on held-out images. `prefill`: by the id of the other model, SAM or detector.
     */
    readonly FittedThresholdsOut: {
      readonly automatic?: components["schemas"]["FittedOut"] | null;
      /**
       * Prefill
       * @default {}
       */
      readonly prefill: {
        readonly [key: string]: components["schemas"]["FittedOut"];
      };
    };
    /** ImageOut */
    readonly ImageOut: {
      /** Embedding Url */
      readonly embedding_url: string;
      /** File Name */
      readonly file_name: string;
      /** File Url */
      readonly file_url: string;
      /** Height Px */
      readonly height_px: number;
      /**
       * Id
       * Format: uuid
       */
      readonly id: string;
      /** Thumbnail Url */
      readonly thumbnail_url: string;
      /** Width Px */
      readonly width_px: number;
    };
    /**
     * ImagePageOut
     * @description `next`: hand it in as `after`; null on the last page.
     */
    readonly ImagePageOut: {
      /** Images */
      readonly images: readonly components["schemas"]["ImageRowOut"][];
      /** Next */
      readonly next: string | null;
    };
    /** ImageRowOut */
    readonly ImageRowOut: {
      /** Embedding Url */
      readonly embedding_url: string;
      /** File Name */
      readonly file_name: string;
      /** File Url */
      readonly file_url: string;
      /** Has Embedding */
      readonly has_embedding: boolean;
      /** Height Px */
      readonly height_px: number;
      /**
       * Id
       * Format: uuid
       */
      readonly id: string;
      /** Num Masks */
      readonly num_masks: number;
      readonly status: components["schemas"]["ImageStatus"];
      /** Thumbnail Url */
      readonly thumbnail_url: string;
      /** Width Px */
      readonly width_px: number;
    };
    /**
     * ImageStatus
     * @enum {string}
     */
    readonly ImageStatus: "ready" | "done" | "rejected";
    /**
     * ImportOut
     * @description Counts are those of a finished import; its report says what was refused.
     */
    readonly ImportOut: {
      /**
       * Id
       * Format: uuid
       */
      readonly id: string;
      readonly job: components["schemas"]["JobOut"] | null;
      /** Name */
      readonly name: string;
      /** Num Images */
      readonly num_images: number;
      /** Num Known Images */
      readonly num_known_images: number;
      /** Num Known Masks */
      readonly num_known_masks: number;
      /** Num Masks */
      readonly num_masks: number;
      /** Num Refused */
      readonly num_refused: number;
      /** Page Url */
      readonly page_url: string;
      /** Refused Url */
      readonly refused_url: string;
      readonly status: components["schemas"]["ImportStatus"];
    };
    /** ImportReportOut */
    readonly ImportReportOut: {
      /** Num Refused */
      readonly num_refused: number;
      /** Refused */
      readonly refused: readonly components["schemas"]["RefusedFile"][];
    };
    /**
     * ImportStatus
     * @enum {string}
     */
    readonly ImportStatus: "pending" | "done" | "failed";
    /** InvalidOut */
    readonly InvalidOut: {
      /** Code */
      readonly code: string;
      /**
       * Fields
       * @default []
       */
      readonly fields: readonly components["schemas"]["FieldError"][];
      /** Message */
      readonly message: string;
    };
    /** JobOut */
    readonly JobOut: {
      /** Attempts */
      readonly attempts: number;
      /** Can Cancel */
      readonly can_cancel: boolean;
      /** Can Retry */
      readonly can_retry: boolean;
      /**
       * Created At
       * Format: date-time
       */
      readonly created_at: string;
      /** Error */
      readonly error: string;
      /** Eta S */
      readonly eta_s: number | null;
      /** Finished At */
      readonly finished_at: string | null;
      /**
       * Id
       * Format: uuid
       */
      readonly id: string;
      /** Kind */
      readonly kind:
        | (
            | "export_decoder"
            | "embed_project"
            | "embed_image"
            | "suggest_masks"
            | "export"
            | "import"
            | "prelabel_image"
            | "evaluate_sam"
            | "train_sam"
            | "train_detector"
            | "automask_image"
          )
        | string;
      /** Max Attempts */
      readonly max_attempts: number;
      /** Parent Id */
      readonly parent_id: string | null;
      /** Priority */
      readonly priority: number;
      /** Progress Line */
      readonly progress_line: string;
      /** Progress Pct */
      readonly progress_pct: number;
      /** Progress Text */
      readonly progress_text: string;
      /** Started At */
      readonly started_at: string | null;
      readonly status: components["schemas"]["JobStatus"];
    };
    /** JobsQuery */
    readonly JobsQuery: {
      /**
       * Kind
       * @default []
       */
      readonly kind: readonly (
        | "export_decoder"
        | "embed_project"
        | "embed_image"
        | "suggest_masks"
        | "export"
        | "import"
        | "prelabel_image"
        | "evaluate_sam"
        | "train_sam"
        | "train_detector"
        | "automask_image"
      )[];
      /**
       * Limit
       * @default 200
       */
      readonly limit: number;
      /**
       * Offset
       * @default 0
       */
      readonly offset: number;
      /**
       * Status
       * @default []
       */
      readonly status: readonly (
        "queued" | "running" | "waiting" | "succeeded" | "failed" | "dead" | "cancelled"
      )[];
    };
    /**
     * JobStatus
     * @enum {string}
     */
    readonly JobStatus:
      "queued" | "running" | "waiting" | "succeeded" | "failed" | "dead" | "cancelled";
    /**
     * LoopOut
     * @description The present stage against its targets. `policy`: every number of the stage by name;
     *     `starter_offer` is None while the project has the shipped starter, or none ships.
     */
    readonly LoopOut: {
      /** Criteria */
      readonly criteria: readonly components["schemas"]["CriterionOut"][];
      /** Plans */
      readonly plans: readonly components["schemas"]["PlanOut"][];
      /** Policy */
      readonly policy: {
        readonly [key: string]: number;
      };
      readonly recommendation: components["schemas"]["RecommendationOut"];
      readonly stage: components["schemas"]["StageKind"];
      readonly starter_offer: components["schemas"]["StarterOfferOut"] | null;
      readonly status: components["schemas"]["StageStatus"];
    };
    /** MaskIn */
    readonly MaskIn: {
      /** Annotate Ms */
      readonly annotate_ms?: number | null;
      /** Base Revision Id */
      readonly base_revision_id?: string | null;
      /** Label */
      readonly label?: string | null;
      /**
       * Mask Id
       * Format: uuid
       */
      readonly mask_id: string;
      /** Model Version Id */
      readonly model_version_id?: string | null;
      /** Prompts */
      readonly prompts: readonly (
        | components["schemas"]["PointPrompt"]
        | components["schemas"]["BoxPrompt"]
        | components["schemas"]["MaskPrompt"]
        | components["schemas"]["StrokePrompt"]
        | components["schemas"]["EditPrompt"]
      )[];
      /**
       * Revision Id
       * Format: uuid
       */
      readonly revision_id: string;
      readonly rle: components["schemas"]["RleIn"];
    };
    /** MaskOut */
    readonly MaskOut: {
      /** Area Px */
      readonly area_px: number;
      /** Author */
      readonly author: string | null;
      /** Bbox Xywh Px */
      readonly bbox_xywh_px: readonly [number, number, number, number];
      /**
       * Id
       * Format: uuid
       */
      readonly id: string;
      /** Label */
      readonly label: string;
      /** Predicted Iou */
      readonly predicted_iou: number | null;
      /**
       * Revision Id
       * Format: uuid
       */
      readonly revision_id: string;
      readonly rle: components["schemas"]["RleOut"];
      readonly source: components["schemas"]["MaskSource"];
      readonly status: components["schemas"]["MaskStatus"];
    };
    /**
     * MaskPrompt
     * @description The mask was refined from an existing one.
     */
    readonly MaskPrompt: {
      /**
       * @description discriminator enum property added by openapi-typescript
       * @enum {string}
       */
      readonly type: "mask";
    };
    /**
     * MaskSource
     * @description Who drew the first revision of a mask.
     * @enum {string}
     */
    readonly MaskSource: "human" | "prefilled" | "automatic" | "imported";
    /**
     * MaskStatus
     * @enum {string}
     */
    readonly MaskStatus: "proposed" | "accepted" | "rejected";
    /**
     * MeasuredVersionOut
     * @description A model version, what it measured on the held-out split, and what speaks against it.
     *
     *     `metrics` holds the plain figures; `<kind>_ci95` in `intervals` are (low, high). `trained_on`
     *     counts the masks of its snapshot, None for a shipped one. `requested_by` is None when the
     *     schedule asked.
     */
    readonly MeasuredVersionOut: {
      /** Arch */
      readonly arch: string;
      /** Blockers */
      readonly blockers: readonly string[];
      /**
       * Created At
       * Format: date-time
       */
      readonly created_at: string;
      /** Error */
      readonly error: string;
      readonly family: components["schemas"]["ModelFamily"];
      /**
       * Id
       * Format: uuid
       */
      readonly id: string;
      /** Intervals */
      readonly intervals: {
        readonly [key: string]: readonly number[];
      };
      /** Metrics */
      readonly metrics: {
        readonly [key: string]: number;
      };
      /** Number */
      readonly number: number;
      /** Requested By */
      readonly requested_by: string | null;
      readonly status: components["schemas"]["ModelVersionStatus"];
      readonly thresholds: components["schemas"]["FittedThresholdsOut"];
      readonly trainable: components["schemas"]["RoundSize"];
      /** Trained On */
      readonly trained_on: number | null;
      /** Trigger */
      readonly trigger: string;
    };
    /**
     * MeOut
     * @description `role` is of the account; `token_scope` is null in a browser session.
     */
    readonly MeOut: {
      readonly role: components["schemas"]["Role"];
      readonly token_scope: components["schemas"]["Scope"] | null;
      /** Username */
      readonly username: string;
    };
    /**
     * ModelCostOut
     * @description What people needed with one model version; number None: masks made without a model.
     */
    readonly ModelCostOut: {
      /** Clicks Per Mask */
      readonly clicks_per_mask: number | null;
      /** Masks Per Image */
      readonly masks_per_image: number | null;
      /** Num Images */
      readonly num_images: number;
      /** Num Masks */
      readonly num_masks: number;
      /** Number */
      readonly number: number | null;
      /** Seconds Per Mask */
      readonly seconds_per_mask: number | null;
    };
    /**
     * ModelFamily
     * @enum {string}
     */
    readonly ModelFamily: "sam" | "object_detector";
    /** ModelOut */
    readonly ModelOut: {
      /** Arch */
      readonly arch: string;
      /** Decoder Image Url */
      readonly decoder_image_url: string | null;
      /** Decoder Prompt Url */
      readonly decoder_prompt_url: string;
      /** Decoder Sha256 */
      readonly decoder_sha256: string;
      /** Decoder Url */
      readonly decoder_url: string;
      /** Embed Channels */
      readonly embed_channels: number;
      /** Embedding Stride Px */
      readonly embedding_stride_px: number;
      /** Encoder Sha256 */
      readonly encoder_sha256: string;
      /** High Res Channels */
      readonly high_res_channels: number;
      /**
       * Id
       * Format: uuid
       */
      readonly id: string;
      /** Image Size Px */
      readonly image_size_px: number;
      /** Low Res Stride Px */
      readonly low_res_stride_px: number;
      /** Number */
      readonly number: number;
    };
    /**
     * ModelVersionStatus
     * @enum {string}
     */
    readonly ModelVersionStatus:
      | "pending"
      | "training"
      | "trained"
      | "evaluated"
      | "serving"
      | "retired"
      | "rejected"
      | "failed";
    /** NextIn */
    readonly NextIn: {
      /** Image Id */
      readonly image_id?: string | null;
    };
    /**
     * OperationOut
     * @description The answer to one operation, in the order of the batch.
     *
     *     `applied`, or `duplicate` (applied before, nothing changed), or `conflict` (the revision is
     *     kept beside the mask's head), or `refused` with `code` and `message`.
     */
    readonly OperationOut: {
      /** Code */
      readonly code: string | null;
      /** Mask Id */
      readonly mask_id: string | null;
      /** Message */
      readonly message: string | null;
      readonly outcome: components["schemas"]["OperationOutcome"];
      readonly saved: components["schemas"]["SavedMaskOut"] | null;
      readonly status: components["schemas"]["MaskStatus"] | null;
    };
    /**
     * OperationOutcome
     * @enum {string}
     */
    readonly OperationOutcome: "applied" | "duplicate" | "conflict" | "refused";
    /**
     * OperationsIn
     * @description Operations are applied in order. One that is malformed is `refused`; the others count.
     */
    readonly OperationsIn: {
      /** Operations */
      readonly operations: readonly (
        | (components["schemas"]["SaveOperation"] | components["schemas"]["ReviewOperation"])
        | {
            readonly [key: string]: unknown;
          }
      )[];
    };
    /** OperationsOut */
    readonly OperationsOut: {
      /** Results */
      readonly results: readonly components["schemas"]["OperationOut"][];
    };
    /** OverlayQuery */
    readonly OverlayQuery: {
      /** Masks */
      readonly masks?: string | null;
    };
    /**
     * PageQuery
     * @description `after`: the id of the last image of the page before.
     */
    readonly PageQuery: {
      /** After */
      readonly after?: string | null;
      /**
       * Limit
       * @default 100
       */
      readonly limit: number;
    };
    /**
     * PlanOut
     * @description When the next scheduled round is; `message` is one sentence.
     */
    readonly PlanOut: {
      /** At */
      readonly at: string | null;
      /** At Masks */
      readonly at_masks: number | null;
      readonly family: components["schemas"]["ModelFamily"];
      /** Message */
      readonly message: string;
      /** Roll Back To */
      readonly roll_back_to: number | null;
      readonly state: components["schemas"]["PlanState"];
    };
    /**
     * PlanState
     * @enum {string}
     */
    readonly PlanState: "off" | "waiting" | "blocked" | "due" | "running";
    /**
     * PointPrompt
     * @description A click; label 1: on the object, 0: off it.
     */
    readonly PointPrompt: {
      /**
       * Label
       * @enum {integer}
       */
      readonly label: 0 | 1;
      /**
       * @description discriminator enum property added by openapi-typescript
       * @enum {string}
       */
      readonly type: "point";
      /** X Px */
      readonly x_px: number;
      /** Y Px */
      readonly y_px: number;
    };
    /**
     * PolicyIn
     * @description Numbers to set, by name; the others stay.
     */
    readonly PolicyIn: {
      /** Changes */
      readonly changes: {
        readonly [key: string]: number;
      };
      /**
       * Reason
       * @default
       */
      readonly reason: string;
    };
    /** PolicyOut */
    readonly PolicyOut: {
      /** Policy */
      readonly policy: {
        readonly [key: string]: number;
      };
    };
    /** ProjectIn */
    readonly ProjectIn: {
      /** Name */
      readonly name: string;
    };
    /**
     * ProjectOut
     * @description Live figures of a project. `revision` changes when the page's tables need a fresh look.
     */
    readonly ProjectOut: {
      readonly figures: components["schemas"]["FiguresOut"];
      /** Name */
      readonly name: string;
      /** Revision */
      readonly revision: string;
      /** Running Jobs */
      readonly running_jobs: readonly components["schemas"]["JobOut"][];
      /** Serving */
      readonly serving: readonly components["schemas"]["VersionOut"][];
      /** Slug */
      readonly slug: string;
      readonly stage: components["schemas"]["StageOut"] | null;
    };
    /**
     * ProjectRowOut
     * @description `role` is yours in the project.
     */
    readonly ProjectRowOut: {
      /** Name */
      readonly name: string;
      readonly role: components["schemas"]["Role"];
      /** Slug */
      readonly slug: string;
      readonly stage: components["schemas"]["StageKind"] | null;
    };
    /** PromoteIn */
    readonly PromoteIn: {
      /**
       * Model Version Id
       * Format: uuid
       */
      readonly model_version_id: string;
      /**
       * Reason
       * @default
       */
      readonly reason: string;
    };
    /** ReasonIn */
    readonly ReasonIn: {
      /**
       * Reason
       * @default
       */
      readonly reason: string;
    };
    /** RecommendationOut */
    readonly RecommendationOut: {
      readonly action: components["schemas"]["StageAction"];
      /** Reasons */
      readonly reasons: readonly string[];
    };
    /** RefusedFile */
    readonly RefusedFile: {
      /** File Name */
      readonly file_name: string;
      /** Message */
      readonly message: string;
    };
    /** ReportQuery */
    readonly ReportQuery: {
      /**
       * Limit
       * @default 100
       */
      readonly limit: number;
      /**
       * Offset
       * @default 0
       */
      readonly offset: number;
    };
    /**
     * RetrainIn
     * @description `trainable`: how much of a SAM learns; by default what the policy says for so many masks.
     */
    readonly RetrainIn: {
      /**
       * Family
       * @enum {string}
       */
      readonly family: "sam" | "object_detector";
      readonly trainable?: components["schemas"]["RoundSize"] | null;
    };
    /** RetrainOut */
    readonly RetrainOut: {
      readonly job: components["schemas"]["JobOut"];
      readonly model_version: components["schemas"]["VersionOut"];
    };
    /** ReviewOperation */
    readonly ReviewOperation: {
      /**
       * Mask Id
       * Format: uuid
       */
      readonly mask_id: string;
      /**
       * @description discriminator enum property added by openapi-typescript
       * @enum {string}
       */
      readonly type: "accept" | "reject";
    };
    /** RleIn */
    readonly RleIn: {
      /** Counts */
      readonly counts: string;
      /** Size */
      readonly size: readonly [number, number];
    };
    /** RleOut */
    readonly RleOut: {
      /** Counts */
      readonly counts: string;
      /** Size */
      readonly size: readonly [number, number];
    };
    /**
     * Role
     * @description Who may do what stands in domain/roles.py.
     * @enum {string}
     */
    readonly Role: "annotator" | "reviewer" | "lead" | "admin";
    /** RollBackIn */
    readonly RollBackIn: {
      /**
       * Family
       * @enum {string}
       */
      readonly family: "sam" | "object_detector";
      /**
       * Reason
       * @default
       */
      readonly reason: string;
    };
    /**
     * RoundSize
     * @description What of a SAM is trained in a round; values as in training/loop/config.py.
     * @enum {string}
     */
    readonly RoundSize: "decoder" | "lora" | "all";
    /** SavedMaskOut */
    readonly SavedMaskOut: {
      /** Area Px */
      readonly area_px: number;
      /** Bbox Xywh Px */
      readonly bbox_xywh_px: readonly [number, number, number, number];
      /** Conflict */
      readonly conflict: boolean;
      /** Duplicate */
      readonly duplicate: boolean;
      /**
       * Mask Id
       * Format: uuid
       */
      readonly mask_id: string;
      /**
       * Revision Id
       * Format: uuid
       */
      readonly revision_id: string;
      /** Rle Sha256 */
      readonly rle_sha256: string;
    };
    /** SaveOperation */
    readonly SaveOperation: {
      /** Annotate Ms */
      readonly annotate_ms?: number | null;
      /** Base Revision Id */
      readonly base_revision_id?: string | null;
      /** Label */
      readonly label?: string | null;
      /**
       * Mask Id
       * Format: uuid
       */
      readonly mask_id: string;
      /** Model Version Id */
      readonly model_version_id?: string | null;
      /** Prompts */
      readonly prompts: readonly (
        | components["schemas"]["PointPrompt"]
        | components["schemas"]["BoxPrompt"]
        | components["schemas"]["MaskPrompt"]
        | components["schemas"]["StrokePrompt"]
        | components["schemas"]["EditPrompt"]
      )[];
      /**
       * Revision Id
       * Format: uuid
       */
      readonly revision_id: string;
      readonly rle: components["schemas"]["RleIn"];
      /**
       * @description discriminator enum property added by openapi-typescript
       * @enum {string}
       */
      readonly type: "save";
    };
    /**
     * Scope
     * @description What a token was made for; each includes the one before.
     * @enum {string}
     */
    readonly Scope: "read" | "label" | "lead";
    /** SessionOut */
    readonly SessionOut: {
      /**
       * Assignment Id
       * Format: uuid
       */
      readonly assignment_id: string;
      readonly image: components["schemas"]["ImageOut"];
      /**
       * Lease Expires At
       * Format: date-time
       */
      readonly lease_expires_at: string;
      /** Masks */
      readonly masks: readonly components["schemas"]["MaskOut"][];
      readonly model: components["schemas"]["ModelOut"];
      readonly stage: components["schemas"]["StageKind"];
      /** Upcoming */
      readonly upcoming: readonly components["schemas"]["ImageOut"][];
    };
    /** SkipIn */
    readonly SkipIn: {
      /**
       * Num Left Out
       * @default 0
       */
      readonly num_left_out: number;
      /**
       * Reason
       * @default
       */
      readonly reason: string;
    };
    /**
     * StageAction
     * @enum {string}
     */
    readonly StageAction: "stay" | "advance" | "back";
    /**
     * StageKind
     * @enum {string}
     */
    readonly StageKind: "assisted_manual" | "semi_automatic" | "fully_automatic";
    /**
     * StageOut
     * @description `figures` of this visit; `exit_blockers`: what usually should be there before leaving it.
     */
    readonly StageOut: {
      /** Exit Blockers */
      readonly exit_blockers: readonly string[];
      readonly figures: components["schemas"]["FiguresOut"];
      readonly kind: components["schemas"]["StageKind"];
      /** Ordinal */
      readonly ordinal: number;
      readonly status: components["schemas"]["StageStatus"];
    };
    /**
     * StageStatus
     * @enum {string}
     */
    readonly StageStatus: "open" | "draining" | "closed";
    /**
     * StarterOfferOut
     * @description What taking the shipped starter would do. `replaces`: the number of the SAM that serves now;
     *     `loses_training`: that one was retrained here; `encode_s`: about how long its images take a
     *     worker; `waits_for`: says which version has to be finished first, or nothing.
     */
    readonly StarterOfferOut: {
      /** Encode S */
      readonly encode_s: number | null;
      /** Is Measured First */
      readonly is_measured_first: boolean;
      /** Loses Training */
      readonly loses_training: boolean;
      /** Num To Encode */
      readonly num_to_encode: number;
      /** Replaces */
      readonly replaces: number | null;
      /** Waits For */
      readonly waits_for: string;
    };
    /**
     * StrokePrompt
     * @description Pixels painted (brush) or removed (eraser) by hand.
     */
    readonly StrokePrompt: {
      /** Size Px */
      readonly size_px: number;
      /** Strokes */
      readonly strokes: number;
      /**
       * @description discriminator enum property added by openapi-typescript
       * @enum {string}
       */
      readonly type: "brush" | "eraser";
    };
    /** SubmitIn */
    readonly SubmitIn: {
      /**
       * Num Left Out
       * @default 0
       */
      readonly num_left_out: number;
    };
    /**
     * SuggestionsOut
     * @description How the search for suggestions on an image stands; status "none": nobody asked.
     */
    readonly SuggestionsOut: {
      /** Error */
      readonly error: string;
      /** Progress Pct */
      readonly progress_pct: number;
      /** Progress Text */
      readonly progress_text: string;
      /** Status */
      readonly status: components["schemas"]["JobStatus"] | "none";
    };
    /**
     * UpgradeOut
     * @description The shipped starter as a version; `job` measures it and lets it serve if the gate may.
     */
    readonly UpgradeOut: {
      readonly job: components["schemas"]["JobOut"] | null;
      readonly model_version: components["schemas"]["VersionOut"];
    };
    /** UploadOut */
    readonly UploadOut: {
      /** Images */
      readonly images: readonly components["schemas"]["ImageOut"][];
    };
    /** UploadRefusedOut */
    readonly UploadRefusedOut: {
      /** Code */
      readonly code: string;
      /** Images */
      readonly images: readonly components["schemas"]["ImageOut"][];
      /** Message */
      readonly message: string;
      /** Refused */
      readonly refused: readonly components["schemas"]["RefusedFile"][];
    };
    /**
     * Verdict
     * @enum {string}
     */
    readonly Verdict: "met" | "not_met" | "not_enough_data";
    /** VersionOut */
    readonly VersionOut: {
      /** Arch */
      readonly arch: string;
      readonly family: components["schemas"]["ModelFamily"];
      /**
       * Id
       * Format: uuid
       */
      readonly id: string;
      /** Number */
      readonly number: number;
      readonly status: components["schemas"]["ModelVersionStatus"];
    };
  };
  responses: never;
  parameters: never;
  requestBodies: never;
  headers: never;
  pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;

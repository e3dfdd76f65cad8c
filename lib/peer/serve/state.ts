// Defines the state that all connections of downloaders and guests have in common: the uploads, the upload slots, and what each host may
// take of this peer's time and bytes. serve.ts makes it.

import type { Flows } from "./flows.ts";
import type { Layers } from "./layers.ts";
import type { UploadSlots } from "./slots.ts";
import type { Upload } from "./types.ts";
import type { Work } from "./work.ts";

export interface ServingState {
  /** The files that are being sent now. */
  readonly uploads: Set<Upload>;
  readonly slots: UploadSlots;
  readonly flows: Flows;
  readonly work: Work;
  readonly layers: Layers;
}

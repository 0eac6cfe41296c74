/** Entry of the project page and of the loop page: live parts, and uploads where the page takes them. */

import { LiveParts } from "./liveParts";
import { startUploads } from "./uploadZone";

const page = document.querySelector<HTMLElement>("[data-project]");
const zone = document.querySelector<HTMLElement>("[data-upload]");
if (page !== null) new LiveParts(page).start();
if (zone !== null) startUploads(zone);

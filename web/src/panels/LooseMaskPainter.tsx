/** The mask painter with its styles, for pages that do not have them from the start. */

import "../style/mask_painter.css";

export { default } from "./MaskPainter";

/** The viewer with its styles, for pages that do not have them from the start. */

import "../style/split.css";
import "../style/viewer.css";

export { default } from "./Viewer";

/** A text that a node has returned. A text with a Markdown table is rendered; any other is shown unchanged. */

import { lazy, Suspense } from "react";

const Markdown = lazy(() => import("./Markdown"));

/** A line of cells above a line of dashes. */
const TABLE = /^\|.*\|[ \t]*\n\|[ \t]*:?-+:?[ \t]*\|/m;

export function OutputText({ text }: { text: string }) {
  if (!TABLE.test(text)) return <div className="output-text">{text}</div>;
  return (
    <div className="output-text markdown">
      <Suspense fallback={text}>
        <Markdown text={text} />
      </Suspense>
    </div>
  );
}

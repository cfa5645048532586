/** The text of a note. A MarkdownNote shows rendered text, or its source while a person edits it. */

import { lazy, Suspense, useState } from "react";
import type { GraphNode } from "../document/document";
import { mapNode } from "../document/edits";
import { useT } from "../i18n";
import { edit, settleStep } from "../state/editor";
import { scrollItself } from "../widgets/Field";
import { Icon } from "../widgets/Icon";

const Markdown = lazy(() => import("../widgets/Markdown"));

export function NoteText({ node }: { node: GraphNode }) {
  const t = useT();
  const [writing, setWriting] = useState(false);
  const values = node.widgets_values ?? [];
  const [key = "text", given = ""] = (Array.isArray(values) ? [0, values[0]] : Object.entries(values)[0]) ?? [];
  const text = String(given ?? "");
  if (node.type === "Note" || writing || !text.trim())
    return <Source node={node} name={key} text={text} focused={writing} onDone={() => setWriting(false)} />;
  return (
    <>
      <button
        type="button"
        className="note-edit nodrag"
        title={t("note.edit")}
        aria-label={t("note.edit")}
        onClick={() => setWriting(true)}
      >
        <Icon name="pencil" />
      </button>
      <div
        className="note-text markdown nodrag"
        role="document"
        aria-label={t("menu.note")}
        tabIndex={0}
        onFocus={scrollItself}
        onBlur={(event) => event.currentTarget.classList.remove("nowheel")}
        onDoubleClick={(event) => {
          event.stopPropagation();
          setWriting(true);
        }}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.target !== event.currentTarget) return;
          event.preventDefault();
          setWriting(true);
        }}
      >
        <Suspense fallback={text}>
          <Markdown text={text} />
        </Suspense>
      </div>
    </>
  );
}

interface SourceProps {
  node: GraphNode;
  /** Index of the note's text in the node's values. */
  name: string | number;
  text: string;
  focused: boolean;
  onDone(): void;
}

function Source({ node, name, text, focused, onDone }: SourceProps) {
  const t = useT();
  const write = (value: string) =>
    edit((level) => mapNode(level, String(node.id), (before) => withText(before, name, value)), `note ${node.id}`);
  return (
    <textarea
      className="note-text nodrag"
      aria-label={t("menu.note")}
      autoFocus={focused}
      value={text}
      spellCheck={false}
      onChange={(event) => write(event.target.value)}
      onFocus={scrollItself}
      onBlur={(event) => {
        event.target.classList.remove("nowheel");
        settleStep();
        onDone();
      }}
    />
  );
}

function withText(note: GraphNode, key: unknown, text: string): GraphNode {
  const values = note.widgets_values;
  if (values && !Array.isArray(values)) return { ...note, widgets_values: { ...values, [String(key)]: text } };
  return { ...note, widgets_values: [text, ...(values ?? []).slice(1)] };
}

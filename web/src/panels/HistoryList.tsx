/** The undo steps of the open workflow, newest first; a click goes to the state after that step. */

import { useEffect, useRef } from "react";
import { type Change, changeBetween } from "../document/changes";
import type { Doc, GraphNode } from "../document/document";
import { type Key, useT } from "../i18n";
import { goToStep, useEditor, useTab } from "../state/editor";
import { show } from "../state/ui";
import { Dialog } from "./Dialog";

const TEXTS: Record<Change["kind"], Key> = {
  added: "history.added",
  removed: "history.removed",
  moved: "history.moved",
  values: "history.values",
  links: "history.links",
  nodes: "history.nodes",
  groups: "history.groups",
  subgraphs: "history.subgraphs",
  other: "history.other",
};

/** The newest steps that are listed. */
const MOST = 100;

export default function HistoryList() {
  const t = useT();
  const history = useTab((tab) => tab.history);
  const catalogue = useEditor((state) => state.catalogue);
  const here = useRef<HTMLButtonElement>(null);
  useEffect(() => here.current?.scrollIntoView({ block: "nearest" }), []);
  const states: Doc[] = [...history.past, history.present, ...history.future];
  const nameOf = (node: GraphNode) => {
    const def = catalogue.get(node.type);
    return node.title || def?.label || def?.title || node.type;
  };
  const textOf = (index: number): string => {
    const [before, after] = [states[index - 1], states[index]];
    if (!before || !after) return t("history.opened");
    const { kind, nodes, count } = changeBetween(before, after);
    const names = nodes.map(nameOf).join(", ");
    return t(TEXTS[kind], { names: count > nodes.length ? `${names} … (${count})` : names });
  };
  const first = Math.max(0, states.length - MOST);
  return (
    <Dialog title={t("history.title")} onClose={() => show({ history: false })} narrow>
      <ol className="history-list" reversed>
        {states
          .slice(first)
          .map((_, offset) => first + offset)
          .reverse()
          .map((index) => (
            <li key={index}>
              <button
                type="button"
                ref={index === history.past.length ? here : undefined}
                aria-current={index === history.past.length ? "step" : undefined}
                data-undone={index > history.past.length || undefined}
                onClick={() => goToStep(index)}
              >
                {textOf(index)}
              </button>
            </li>
          ))}
      </ol>
    </Dialog>
  );
}

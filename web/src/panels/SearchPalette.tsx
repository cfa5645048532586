/** Searches all nodes by name, category or socket type; opened from a socket, it lists the nodes that fit. */

import { useEffect, useMemo, useRef, useState } from "react";
import { typeColor } from "../canvas/palette";
import { acceptingSockets, bestOn, give, linkToNode, type SocketPlace, socketName, socketOf } from "../canvas/wiring";
import { type GraphNode, linksById, NOTES, nodesById } from "../document/document";
import { nextNodeId } from "../document/edits";
import { newNode, newNote, newReroute } from "../document/new_nodes";
import type { NodeDef } from "../document/schema";
import { usualNext } from "../document/wired";
import { translated, useT, useWords } from "../i18n";
import { putNode } from "../state/commands";
import { current, levelOf, settleStep, useEditor } from "../state/editor";
import { recent, remember } from "../state/recent";
import { type Palette, type Socket, show, useUi } from "../state/ui";
import { Icon } from "../widgets/Icon";
import { search } from "./node_search";
import { useReturnedFocus } from "./useReturnedFocus";
import { focusNode } from "./walking";

export function SearchPalette() {
  const palette = useUi((state) => state.palette);
  return palette && <OpenPalette key={`${palette.x},${palette.y}`} palette={palette} />;
}

const EXTRA: NodeDef[] = [
  plain("Reroute", "Reroute", ["*"], ["*"]),
  plain("Note", "Note", [], []),
  plain("MarkdownNote", "Markdown Note", [], []),
];

function plain(name: string, title: string, inputs: string[], outputs: string[]): NodeDef {
  return {
    name,
    title,
    description: "",
    category: "canvas",
    inputs: inputs.map((type) => ({
      name: "",
      type,
      required: true,
      widget: null,
      controlled: false,
      folder: "input",
    })),
    outputs: outputs.map((type) => ({ name: "", type, isList: false })),
    outputNode: false,
    deprecated: false,
    experimental: false,
  };
}

function OpenPalette({ palette }: { palette: Palette }) {
  const t = useT();
  const catalogue = useEditor((state) => state.catalogue);
  const help = useWords((state) => state.help);
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const sockets = useMemo(() => (palette.sockets && palette.from ? socketsFor(palette.from) : []), [palette]);
  const first = useMemo(() => suggested(palette.from), [palette]);
  const found = useMemo((): Found[] => {
    const ends = sockets.filter(({ title }) => matches(title, text));
    const defs = search([...catalogue.values(), ...EXTRA], { text, from: palette.from, first, help });
    return [
      ...ends.map((end) => ({ key: `${end.socket.node}/${end.socket.slot}`, end })),
      ...defs.map((def) => ({ key: def.name, def })),
    ];
  }, [catalogue, text, palette.from, sockets, first, help]);
  useEffect(
    () => void list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }),
    [at, found],
  );
  useReturnedFocus();
  const close = () => show({ palette: null });
  const choose = (chosen: Found | undefined) => {
    close();
    if (chosen?.def) place(chosen.def, palette);
    else if (chosen?.end)
      give(
        { fixed: [palette.from as Socket], seeks: chosen.end.socket.side, links: [], takers: new Set() },
        chosen.end.socket,
      );
  };
  const left = Math.max(12, Math.min(palette.x - 20, window.innerWidth - 452));
  const top = Math.max(60, Math.min(palette.y - 20, window.innerHeight - 452));
  return (
    <>
      <div className="veil" onPointerDown={close} />
      <div className="palette" role="dialog" aria-label={t("palette.search")} style={{ left, top }}>
        <div className="palette-head">
          <Icon name="search" />
          <input
            autoFocus
            role="combobox"
            aria-expanded
            aria-autocomplete="list"
            placeholder={t("palette.search")}
            aria-label={t("palette.search")}
            aria-controls="found"
            aria-activedescendant={found.length ? `found-${at}` : undefined}
            value={text}
            onChange={(event) => {
              setText(event.target.value);
              setAt(0);
            }}
            onKeyDown={(event) => {
              event.stopPropagation();
              if (event.key === "Escape") close();
              else if (event.key === "Enter") choose(found[at]);
              else if (event.key === "ArrowDown") setAt(Math.min(Math.min(found.length, 80) - 1, at + 1));
              else if (event.key === "ArrowUp") setAt(Math.max(0, at - 1));
              else return;
              event.preventDefault();
            }}
          />
          {palette.from && (
            <span className="chip" style={{ "--type": typeColor(palette.from.type) } as React.CSSProperties}>
              {t("palette.fits", { type: palette.from.type })}
            </span>
          )}
        </div>
        <div className="palette-list" id="found" role="listbox" aria-label={t("palette.search")} ref={list}>
          {found.slice(0, 80).map((entry, index) => (
            <div
              key={entry.key}
              id={`found-${index}`}
              role="option"
              aria-selected={index === at}
              className="option"
              onPointerMove={() => setAt(index)}
              onClick={() => choose(entry)}
            >
              {entry.def ? <NodeOption def={entry.def} /> : <SocketOption end={entry.end as End} />}
            </div>
          ))}
          {!found.length && <p className="hint">{t("palette.none")}</p>}
        </div>
      </div>
    </>
  );
}

/** An existing socket, or a node to create. */
type Found = { key: string; end: End; def?: undefined } | { key: string; def: NodeDef; end?: undefined };

interface End {
  socket: SocketPlace;
  title: string;
}

/** The classes to list first: those that the user added here or anywhere last, then those that are usual here. */
function suggested(from: Socket | null): string[] {
  const added = recent();
  if (!from) return added.map(({ node }) => node);
  const end = openEnd(from);
  const here = added.filter(({ to }) => to === endKey(end)).map(({ node }) => node);
  return [...new Set([...here, ...usualNext(end)])];
}

/** A socket by its class and its name in files, not by the node. */
function openEnd({ node, side, slot, type }: Socket) {
  const found = nodesById(levelOf(current())).get(node);
  const named = side === "input" && typeof slot === "number" ? (found?.inputs?.[slot]?.name ?? slot) : slot;
  return { class: found?.type ?? "", side, slot: named, type };
}

const endKey = ({ class: name, side, slot }: ReturnType<typeof openEnd>): string => `${name}/${side}/${slot}`;

/** The sockets where a link from here could end, unlinked ones first. */
function socketsFor(from: Socket): End[] {
  const seeks = from.side === "output" ? "input" : "output";
  const rank = (socket: SocketPlace) =>
    Number(socket.linked && seeks === "input") + (socket.type === from.type ? 0 : 2);
  return acceptingSockets({ fixed: [from], seeks })
    .toSorted((first, second) => rank(first) - rank(second))
    .map((socket) => ({ socket, title: socketName(socket) }));
}

const matches = (title: string, text: string): boolean => {
  const lower = title.toLowerCase();
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => lower.includes(word));
};

function SocketOption({ end: { socket, title } }: { end: End }) {
  const t = useT();
  return (
    <>
      <span className="option-main">
        <strong>{title}</strong>
        <small>{t(socket.linked && socket.side === "input" ? "palette.replaces" : "palette.links")}</small>
      </span>
      <span className="option-types">
        <i style={{ background: typeColor(socket.type) }} title={socket.type} />
      </span>
    </>
  );
}

function NodeOption({ def }: { def: NodeDef }) {
  const help = useWords((state) => state.help);
  return (
    <>
      <span className="option-main">
        <strong>{def.label ?? def.title}</strong>
        <small>{def.categoryLabel ?? def.category}</small>
      </span>
      {def.description && <span className="option-note">{translated(def.description, help)}</span>}
      <span className="option-types">
        {def.outputs.map((output, slot) => (
          <i key={slot} style={{ background: typeColor(output.type) }} title={output.type} />
        ))}
      </span>
    </>
  );
}

/** Add the node, its links and its place in a link as one undo step. */
function place(def: NodeDef, { at, from, onto }: Palette): void {
  const step = `add ${nextNodeId(levelOf(current()))}`;
  const [x, y] = at;
  remember({ node: def.name, to: from ? endKey(openEnd(from)) : "" });
  settleStep();
  const id = putNode(
    (number, spot) => special(def, number, spot) ?? newNode(def, number, spot),
    [from?.side === "input" ? x - 270 : x, y],
    step,
  );
  const link = onto === undefined ? undefined : linksById(levelOf(current())).get(String(onto));
  if (from) linkToNode(from, id, step);
  const target = link && socketOf(String(link.target_id), "input", link.target_slot);
  const output = target && bestOn({ fixed: [target], seeks: "output" }, id);
  if (output) give({ fixed: [target], seeks: "output", links: [link.id], takers: new Set() }, output, step);
  settleStep();
  focusNode(id);
}

function special(def: NodeDef, id: number, pos: [number, number]): GraphNode | null {
  if (NOTES.has(def.name)) return newNote(def.name, id, pos);
  return def.name === "Reroute" ? newReroute(id, pos) : null;
}

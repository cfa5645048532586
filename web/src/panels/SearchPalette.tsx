/** All nodes, found by name, category or socket type; from a socket, what fits it. */

import { useEffect, useMemo, useRef, useState } from "react";
import { typeColor } from "../canvas/palette";
import { bestOn, give, linkToNode, type SocketPlace, socketName, socketOf, takersOf } from "../canvas/wiring";
import { fits, type GraphNode, linksById, NOTES } from "../document/document";
import { nextNodeId } from "../document/edits";
import { newNode, newNote, newReroute } from "../document/new_nodes";
import type { NodeDef } from "../document/schema";
import { useT } from "../i18n";
import { putNode } from "../state/commands";
import { current, levelOf, settleStep, useEditor } from "../state/editor";
import { type Palette, type Socket, show, useUi } from "../state/ui";
import { Icon } from "../widgets/Icon";
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
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const sockets = useMemo(() => (palette.sockets && palette.from ? socketsFor(palette.from) : []), [palette]);
  const found = useMemo((): Found[] => {
    const ends = sockets.filter(({ title }) => matches(title, text));
    const defs = search([...catalogue.values(), ...EXTRA], text, palette.from);
    return [
      ...ends.map((end) => ({ key: `${end.socket.node}/${end.socket.slot}`, end })),
      ...defs.map((def) => ({ key: def.name, def })),
    ];
  }, [catalogue, text, palette.from, sockets]);
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

/** A socket that is there, or a node to be made. */
type Found = { key: string; end: End; def?: undefined } | { key: string; def: NodeDef; end?: undefined };

interface End {
  socket: SocketPlace;
  title: string;
}

/** What a link from here could end at, what has no link yet first. */
function socketsFor(from: Socket): End[] {
  const seeks = from.side === "output" ? "input" : "output";
  const rank = (socket: SocketPlace) =>
    Number(socket.linked && seeks === "input") + (socket.type === from.type ? 0 : 2);
  return takersOf({ fixed: [from], seeks })
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
  return (
    <>
      <span className="option-main">
        <strong>{def.label ?? def.title}</strong>
        <small>{def.categoryLabel ?? def.category}</small>
      </span>
      {def.description && <span className="option-note">{def.description}</span>}
      <span className="option-types">
        {def.outputs.map((output, slot) => (
          <i key={slot} style={{ background: typeColor(output.type) }} title={output.type} />
        ))}
      </span>
    </>
  );
}

/** The nodes that match, best first. */
export function search(defs: NodeDef[], text: string, from: Socket | null): NodeDef[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const scored = defs.flatMap((def) => {
    if (from && !meets(def, from)) return [];
    const title = def.title.toLowerCase();
    const label = def.label ?? "";
    const name = def.name.toLowerCase();
    const types = [...def.inputs, ...def.outputs].map((entry) => entry.type.toLowerCase());
    let score = 0;
    for (const word of words) {
      if (title === word || name === word) score += 100;
      else if (title.startsWith(word) || name.startsWith(word)) score += 60;
      else if (title.includes(` ${word}`)) score += 45;
      else if (title.includes(word) || name.includes(word) || label.toLowerCase().includes(word)) score += 30;
      else if (def.category.toLowerCase().includes(word) || def.categoryLabel?.includes(word)) score += 12;
      else if (types.some((type) => type.includes(word))) score += 8;
      else return [];
    }
    score += FAVOURITES.has(def.name) ? 9 : 0;
    if (from && exactly(def, from)) score += 20;
    if (def.deprecated || def.category.startsWith("_") || /advanced|training|api/.test(def.category)) score -= 8;
    return [{ def, score }];
  });
  return scored
    .sort((first, second) => second.score - first.score || first.def.title.localeCompare(second.def.title))
    .map(({ def }) => def);
}

const FAVOURITES = new Set([
  "KSampler",
  "CLIPTextEncode",
  "CheckpointLoaderSimple",
  "VAEDecode",
  "VAEEncode",
  "EmptyLatentImage",
  "SaveImage",
  "PreviewImage",
  "LoadImage",
  "LoraLoader",
]);

const meets = (def: NodeDef, from: Socket) =>
  from.side === "output"
    ? def.inputs.some((input) => fits(input.type, from.type))
    : def.outputs.some((output) => fits(from.type, output.type));

const exactly = (def: NodeDef, from: Socket) =>
  from.side === "output"
    ? def.inputs.some((input) => input.type === from.type)
    : def.outputs.some((output) => output.type === from.type);

/** The node, its links and the link it goes into: one step. */
function place(def: NodeDef, { at, from, onto }: Palette): void {
  const step = `add ${nextNodeId(levelOf(current()))}`;
  const [x, y] = at;
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

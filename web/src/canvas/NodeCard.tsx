/** A nearby node as elements. `geometry` gives the position of everything on it. */

import type { Node, NodeProps } from "@xyflow/react";
import { memo } from "react";
import { BYPASSED, type GraphNode, MUTED } from "../document/document";
import { mapNode } from "../document/edits";
import { type Geometry, HEADER, type SlotRow, WIDGET, type WidgetRow } from "../document/geometry";
import { useT } from "../i18n";
import { type FileRef, picturesOf, textsOf, viewUrl } from "../server/client";
import { edit, flatId, select, useEditor, useTab } from "../state/editor";
import type { Picture } from "../state/gallery";
import { countInside, useInsideRun } from "../state/inside_runs";
import { type NodeRun, useNodeRun } from "../state/runs";
import { enterSubgraph, retitle } from "../state/subgraph_commands";
import { show, socketKey, useUi } from "../state/ui";
import { Icon } from "../widgets/Icon";
import { NodeWidget } from "../widgets/NodeWidget";
import { OutputText } from "../widgets/OutputText";
import { ComparedPictures } from "./ComparedPictures";
import { InsideTrouble } from "./InsideTrouble";
import { LoadedPicture, takingPictures } from "./LoadedPicture";
import { NoteText } from "./NoteText";
import { typeColor } from "./palette";
import { useWire } from "./wiring";

export type Card = Node<{ node: GraphNode; place: Geometry }, "card">;

export const NodeCard = memo(function NodeCard({ id, data, selected }: NodeProps<Card>) {
  const { node, place } = data;
  const t = useT();
  const tab = useTab((current) => current.id);
  const flat = useTab((current) => flatId(current, id));
  const own = useNodeRun(tab, flat);
  const nodes = useTab((current) => countInside(current.history.present, node));
  const inside = useInsideRun(tab, flat, nodes);
  const isOutputNode = useEditor((editor) => editor.catalogue.get(node.type)?.outputNode ?? false);
  const run: NodeRun | undefined =
    own ?? (inside.state ? { state: inside.state, value: inside.share, max: 1 } : undefined);
  if (place.look === "reroute") return <RerouteDot id={id} place={place} selected={selected} />;
  const mode = node.mode === MUTED ? "muted" : node.mode === BYPASSED ? "bypassed" : "normal";
  const problems = run?.problems ?? [];
  const picker = place.widgets.find((row) => row.input.widget === "image");
  const texts = place.widgets.filter((row) => row.input.widget === "multiline").length;
  const state = run?.error || problems.length ? "error" : (run?.state ?? "idle");
  return (
    <article
      className="node nopan"
      tabIndex={0}
      onFocus={(event) => selectFocused(event, id)}
      {...(picker && takingPictures(id, picker.key))}
      data-look={place.look}
      data-state={state}
      data-mode={mode}
      data-selected={selected || undefined}
      data-collapsed={place.collapsed || undefined}
      aria-label={place.title}
      aria-roledescription={t("node.role")}
      style={{ height: place.height, ...tint(node) }}
    >
      <Header id={id} place={place} run={run} />
      {place.inputs.map((slot) => (
        <SlotSocket
          key={`i${slot.index}`}
          node={id}
          side="input"
          slot={slot.index}
          row={slot}
          reachable={selected}
          hideLabel={place.collapsed}
          problem={problemOf(run, slot.name)}
        />
      ))}
      {place.outputs.map((slot) => (
        <SlotSocket
          key={`o${slot.index}`}
          node={id}
          side="output"
          slot={slot.index}
          row={slot}
          reachable={selected}
          hideLabel={place.collapsed}
        />
      ))}
      {place.widgets.map((row) => (
        <WidgetLine
          key={row.key}
          node={node}
          row={row}
          reachable={selected}
          collapsed={place.collapsed}
          captioned={texts > 1}
          problem={problemOf(run, row.input.name)}
        />
      ))}
      {place.look === "note" && !place.collapsed && <NoteText node={node} />}
      {place.look === "unknown" && !place.collapsed && <UnknownNote place={place} />}
      {place.media && <Media node={node} place={place} run={run} />}
      {run?.state === "running" && <Progress run={run} />}
      {run?.preview && !place.media && <img className="node-preview" src={run.preview} alt="" draggable={false} />}
      {/* It may cover the node below, so it is shown only for the node under the pointer or in focus. */}
      {!place.media && state !== "error" && !place.collapsed && (selected || isOutputNode || run?.text) && (
        <Said run={run} />
      )}
      {(run?.error || problems.length > 0) && <Trouble run={run as NodeRun} />}
      {inside.trouble !== null && <InsideTrouble inside={inside} />}
      {place.least && !place.collapsed && (
        <span className="node-resize nopan" title={t("node.resize")} aria-hidden="true" />
      )}
    </article>
  );
});

/** Keyboard focus selects the node, as a click does; a click decides itself what it selects. */
function selectFocused(event: React.FocusEvent<HTMLElement>, id: string): void {
  const byKeys = event.currentTarget.closest<HTMLElement>(".canvas")?.dataset.led === "keys";
  if (event.target === event.currentTarget && byKeys) select([id]);
}

const problemOf = (run: NodeRun | undefined, input: string) =>
  run?.problems?.find((problem) => problem.extra_info?.input_name === input || problem.details?.startsWith(`${input}`));

const HEX = /^#[0-9a-f]{3,8}$/i;

function tint(node: GraphNode): React.CSSProperties {
  return node.color && HEX.test(node.color) ? ({ "--tint": node.color } as React.CSSProperties) : {};
}

function Header({ id, place, run }: { id: string; place: Geometry; run: NodeRun | undefined }) {
  const t = useT();
  const renaming = useUi((state) => state.renaming?.kind === "node" && state.renaming.id === id);
  const collapse = () =>
    edit((level) =>
      mapNode(level, id, (node) => ({ ...node, flags: { ...node.flags, collapsed: !node.flags?.collapsed } })),
    );
  return (
    <header
      className="node-header"
      style={{ height: HEADER }}
      onDoubleClick={() => show({ renaming: { kind: "node", id } })}
    >
      <button
        type="button"
        className="node-fold nodrag"
        tabIndex={-1}
        aria-label={t("menu.collapse")}
        aria-expanded={!place.collapsed}
        onClick={collapse}
      >
        <Icon name="chevron" />
      </button>
      {renaming ? (
        <TitleField id={id} title={place.title} />
      ) : (
        <span className="node-title">
          {place.look === "boundary" ? t(place.inputs.length ? "node.outputs" : "node.inputs") : place.title}
        </span>
      )}
      {place.look === "subgraph" && (
        <button
          type="button"
          className="node-enter nodrag nopan"
          tabIndex={-1}
          title={t("menu.enter")}
          aria-label={t("menu.enter")}
          onClick={() => enterSubgraph(id)}
          onDoubleClick={(event) => event.stopPropagation()}
        >
          <Icon name="subgraph" />
        </button>
      )}
      {run?.state === "finished" && <Outcome run={run} />}
    </header>
  );
}

function Outcome({ run }: { run: NodeRun }) {
  const t = useT();
  if (run.cached)
    return (
      <span className="node-badge" title={t("node.cached")}>
        <Icon name="check" />
      </span>
    );
  if (run.seconds === undefined) return null;
  const seconds = run.seconds < 0.1 ? run.seconds.toFixed(3) : run.seconds.toFixed(run.seconds < 10 ? 2 : 1);
  return <span className="node-badge">{t("node.seconds", { seconds })}</span>;
}

function TitleField({ id, title }: { id: string; title: string }) {
  const finish = (text: string | null) => {
    show({ renaming: null });
    if (text !== null && text !== title) retitle(id, text);
  };
  return (
    <input
      className="node-title-field nodrag"
      defaultValue={title}
      autoFocus
      onFocus={(event) => event.target.select()}
      onBlur={(event) => finish(event.target.value.trim())}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Enter") event.currentTarget.blur();
        else if (event.key === "Escape") finish(null);
      }}
    />
  );
}

interface SocketProps {
  node: string;
  side: "input" | "output";
  /** A slot, or the name of a field without a slot. */
  slot: number | string;
  row: Pick<SlotRow, "label" | "type" | "y" | "linked">;
  /** In tab order. */
  reachable?: boolean;
  hideLabel?: boolean;
  problem?: { message: string } | undefined;
}

/** Whether the link being dragged could end here. null: no link is being dragged. */
const useWelcome = (key: string, node: string, side: "input" | "output", slot: number | string): boolean | null =>
  useUi(({ connecting }) => {
    if (!connecting) return null;
    if (connecting.takers.has(key)) return true;
    return connecting.fixed.some((end) => end.node === node && end.side === side && end.slot === slot) ? null : false;
  });

function SlotSocket({ node, side, slot, row, reachable, hideLabel, problem }: SocketProps) {
  const t = useT();
  const key = socketKey(node, side, slot);
  const welcome = useWelcome(key, node, side, slot);
  const over = useWire((state) => state.over === key);
  return (
    <>
      <span
        className={`socket nopan ${side === "input" ? "target" : "source"}`}
        role="button"
        tabIndex={reachable ? 0 : -1}
        aria-label={t(row.linked ? "socket.linked" : "socket.free", {
          side: t(side === "input" ? "socket.input" : "socket.output"),
          name: row.label,
          type: row.type,
        })}
        data-side={side}
        data-slot={typeof slot === "number" ? slot : undefined}
        data-field={typeof slot === "string" ? slot : undefined}
        data-welcome={welcome ?? undefined}
        data-over={over || undefined}
        data-linked={row.linked || undefined}
        data-problem={problem ? true : undefined}
        style={{ top: row.y, "--type": typeColor(row.type) } as React.CSSProperties}
        title={`${row.label} · ${row.type}`}
      />
      {!hideLabel && (
        <span
          className="slot-label"
          data-side={side}
          data-welcome={welcome ?? undefined}
          data-problem={problem ? true : undefined}
          style={{ top: row.y }}
          title={problem?.message}
        >
          {row.label}
        </span>
      )}
    </>
  );
}

interface LineProps {
  node: GraphNode;
  row: WidgetRow;
  reachable: boolean;
  collapsed: boolean;
  /** Whether a text field needs a visible name: the node has several. */
  captioned: boolean;
  problem: { message: string; details: string } | undefined;
}

function WidgetLine({ node, row, reachable, collapsed, captioned, problem }: LineProps) {
  const id = String(node.id);
  const middle = collapsed ? HEADER / 2 : row.y + Math.min(row.height, WIDGET) / 2;
  const slot = row.slot ?? row.input.name;
  // Sockets of fields are no tab stops, to keep a node short to tab through. Draw links to fields from the other end.
  const over = useWire((state) => state.over === socketKey(id, "input", slot));
  return (
    <>
      <span className="widget-socket">
        <SlotSocket
          node={id}
          side="input"
          slot={slot}
          row={{ label: row.input.label ?? row.input.name, type: row.input.type, y: middle, linked: row.linked }}
          reachable={reachable && row.linked}
          hideLabel
        />
      </span>
      {!collapsed && (
        <div
          className="widget nodrag"
          data-widget={row.key}
          data-linked={row.linked || undefined}
          data-over={over || undefined}
          data-problem={problem ? true : undefined}
          title={problem ? `${problem.message}: ${problem.details}` : undefined}
          style={{ top: row.y, height: row.height }}
        >
          <NodeWidget node={node} row={row} captioned={captioned} />
        </div>
      )}
    </>
  );
}

function RerouteDot({ id, place, selected }: { id: string; place: Geometry; selected: boolean }) {
  const t = useT();
  return (
    <article
      className="reroute nopan"
      tabIndex={0}
      onFocus={(event) => selectFocused(event, id)}
      aria-label={t("node.reroute", { type: place.outputs[0]?.type ?? "*" })}
      aria-roledescription={t("node.role")}
      data-selected={selected || undefined}
      style={{ width: place.width, height: place.height }}
    >
      {place.inputs.map((row) => (
        <SlotSocket
          key="i"
          node={id}
          side="input"
          slot={row.index}
          row={{ ...row, type: place.outputs[0]?.type ?? row.type }}
          reachable={selected}
          hideLabel
        />
      ))}
      {place.outputs.map((row) => (
        <SlotSocket key="o" node={id} side="output" slot={row.index} row={row} reachable={selected} hideLabel />
      ))}
    </article>
  );
}

function UnknownNote({ place }: { place: Geometry }) {
  const t = useT();
  const rows = Math.max(place.inputs.length, place.outputs.length);
  return (
    <p className="unknown-note" style={{ top: HEADER + 6 + 22 * rows }}>
      {t("node.unknown")}
    </p>
  );
}

function Progress({ run }: { run: NodeRun }) {
  const share = run.max ? (run.value ?? 0) / run.max : 0;
  return (
    <div
      className="node-progress"
      role="progressbar"
      aria-valuenow={Math.round(share * 100)}
      aria-valuemin={0}
      aria-valuemax={100}
    >
      <span style={{ transform: `scaleX(${share})` }} />
    </div>
  );
}

function Trouble({ run }: { run: NodeRun }) {
  const lines = run.error
    ? [run.error]
    : (run.problems ?? []).map((problem) => `${problem.message}${problem.details ? `: ${problem.details}` : ""}`);
  return (
    <div className="node-trouble nodrag nowheel" role="alert">
      {lines.map((line) => (
        <p key={line}>{line}</p>
      ))}
    </div>
  );
}

/** The text that a node shows during or after a run. */
function Said({ run, style }: { run: NodeRun | undefined; style?: React.CSSProperties }) {
  const t = useT();
  const text = run?.text ?? textsOf(run?.output).join("\n\n");
  if (!text) return null;
  return (
    <div className="node-said nodrag nowheel" role="region" aria-label={t("node.said")} tabIndex={0} style={style}>
      <OutputText text={text} />
    </div>
  );
}

function Media({ node, place, run }: { node: GraphNode; place: Geometry; run: NodeRun | undefined }) {
  const t = useT();
  const box = { top: place.media?.y, height: place.media?.height };
  const picker = place.widgets.find((row) => row.input.widget === "image");
  if (picker)
    return (
      <div className="node-media" style={box}>
        <LoadedPicture node={node} row={picker} />
      </div>
    );
  const pictures = picturesOf(run?.output);
  if (!pictures.length && !run?.preview && (run?.text || textsOf(run?.output).length))
    return <Said run={run} style={box} />;
  const left = picturesOf(run?.output, "a_images");
  const right = picturesOf(run?.output, "b_images");
  if (!run?.preview && left.length + right.length)
    return (
      <div className="node-media" style={box}>
        <ComparedPictures left={left} right={right} />
      </div>
    );
  const shown = pictures.slice(0, 9);
  const text = run?.preview ? "" : textsOf(run?.output).join("\n\n");
  if (text)
    return (
      <div className="node-media-and-text" style={box}>
        <div>
          <div className="node-media nowheel" data-count={shown.length}>
            <PictureButtons shown={shown} pictures={pictures.map((file) => ({ ...file, said: text }))} />
          </div>
          <Said run={run} />
        </div>
      </div>
    );
  return (
    <div className="node-media" style={box} data-count={shown.length}>
      {run?.preview && <img src={run.preview} alt="" draggable={false} />}
      {!run?.preview && !shown.length && (
        <span className="node-media-hint">{t(node.type === "PreviewAny" ? "node.noText" : "node.noPicture")}</span>
      )}
      {!run?.preview && <PictureButtons shown={shown} pictures={pictures} />}
    </div>
  );
}

/** Pictures that open in the viewer. */
const PictureButtons = ({ shown, pictures }: { shown: readonly FileRef[]; pictures: readonly Picture[] }) =>
  shown.map((file, index) => (
    <button
      type="button"
      key={`${file.subfolder}/${file.filename}`}
      className="node-picture nodrag"
      onClick={() => show({ viewer: { pictures, index } })}
    >
      <img src={viewUrl(file)} alt={file.filename} draggable={false} />
    </button>
  ));

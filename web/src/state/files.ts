/** Opens workflows from files and pictures, and saves them. */

import { create } from "zustand";
import type { Doc } from "../document/document";
import { mapNode } from "../document/edits";
import { parseJson, writeJson } from "../document/json";
import type { Catalogue } from "../document/schema";
import { setWidget } from "../document/widget_views";
import { toApi } from "../format/api";
import { NoWorkflow, workflowText } from "../format/contents";
import { readWorkflow } from "../format/read";
import type { Key } from "../i18n";
import { server } from "../server/client";
import { convertedDoc } from "./conversion";
import { current, editContext, editLater, openTab, showCatalogue, useEditor } from "./editor";
import { fingerprint } from "./fingerprint";
import { notify } from "./notices";

const REASONS: Record<NoWorkflow["kind"], Key> = {
  picture: "file.nothing",
  file: "file.nothingInFile",
};

/** Open a file: JSON of either dialect, a picture that carries a workflow, or another program's picture or text, which
 * the server converts. A picture that carries none goes to `otherwise`. Shows an error if the file cannot be read. */
export async function openFile(
  file: Blob & { name?: string },
  otherwise?: (picture: Blob & { name?: string }) => Promise<boolean>,
): Promise<boolean> {
  const name = file.name ?? "workflow";
  const title = name.replace(/\.[^.]+$/, "");
  try {
    openTab(title, read(await workflowText(file)));
    return true;
  } catch (error) {
    const doc = (await mayBeConverted(file, error)) ? await convertedDoc(file) : null;
    if (doc) {
      openTab(title, doc);
      return true;
    }
    if (otherwise && error instanceof NoWorkflow && error.kind === "picture") return otherwise(file);
    if (error instanceof NoWorkflow) notify("error", REASONS[error.kind], name);
    else unreadable(name, error);
    return false;
  }
}

/** Open JSON text in a new tab. Shows an error if it cannot be read; open tabs do not change. */
export function openText(name: string, text: string, file: string | null = null): boolean {
  try {
    openTab(name, read(text), file, file === null ? null : fingerprint(text));
    return true;
  } catch (error) {
    unreadable(file ?? name, error);
    return false;
  }
}

/** Open the workflow that an address carries: JSON, deflated (zlib), in base64 for addresses. */
export async function openPacked(packed: string): Promise<void> {
  try {
    const bytes = Uint8Array.from(atob(packed.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
    const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    openText("workflow", await new Response(inflated).text());
  } catch (error) {
    unreadable("#workflow", error);
  }
}

/** Parameters of another program, as text. */
export const PARAMETERS = /(^|\s)Steps:\s*\d+\s*,/;
const LARGEST_TEXT = 1 << 20;

/** Whether the server may read what the editor cannot: a picture, or a text that names the steps. */
async function mayBeConverted(file: Blob, error: unknown): Promise<boolean> {
  if (error instanceof NoWorkflow) return error.kind === "picture";
  return file.type.startsWith("image/") || (file.size <= LARGEST_TEXT && PARAMETERS.test(await file.text()));
}

const read = (text: string): Doc => readWorkflow(parseJson(text), useEditor.getState().catalogue);

const unreadable = (name: string, error: unknown): void =>
  notify("error", "file.unreadable", `${name}: ${error instanceof Error ? error.message : String(error)}`);

export function download(name: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export const downloadWorkflow = (): void => download(`${current().name}.json`, writeJson(current().history.present, 1));

export function exportApi(): void {
  const { doc, catalogue } = editContext();
  const { id: tab } = current();
  try {
    download(`${current().name}.api.json`, writeJson(toApi(doc, catalogue), 1));
  } catch (error) {
    notify("error", "run.refused", error instanceof Error ? error.message : undefined, { tab });
  }
}

/** The nodes whose pictures are being uploaded, by `uploadKey`. */
export const useUploads = create<{ on: readonly string[] }>(() => ({ on: [] }));

export const uploadKey = (tab: string, node: string): string => `${tab}/${node}`;

/** Upload a picture to the server's input folder and select it on a node. */
export async function uploadTo(
  node: string,
  key: string,
  file: Blob & { name?: string },
  path?: readonly string[],
): Promise<void> {
  const later = editLater(path);
  const { id: tab } = current();
  const upload = uploadKey(tab, node);
  useUploads.setState(({ on }) => ({ on: [...on, upload] }));
  try {
    const { name, subfolder } = await server.upload(file, file.name ?? "pasted.png");
    const value = subfolder ? `${subfolder}/${name}` : name;
    await refreshCatalogue();
    later((level) => mapNode(level, node, (before) => setWidget(before, key, value, editContext())));
  } catch (error) {
    notify("error", "run.refused", error instanceof Error ? error.message : undefined, { tab });
  } finally {
    useUploads.setState(({ on }) => ({ on: on.toSpliced(on.indexOf(upload), 1) }));
  }
}

let askCatalogue: () => Promise<Catalogue> = server.catalogue;

/** Get the nodes from elsewhere from now on: a page with one app needs only those of its workflow. */
export function takeCatalogueFrom(ask: () => Promise<Catalogue>): void {
  askCatalogue = ask;
}

export async function refreshCatalogue(): Promise<void> {
  showCatalogue(await askCatalogue());
}

/** Workflows in and out of files and pictures. */

import { create } from "zustand";
import type { Doc } from "../document/document";
import { mapNode } from "../document/edits";
import { parseJson, writeJson } from "../document/json";
import { setWidget } from "../document/widget_views";
import { toApi } from "../format/api";
import { NoWorkflow, workflowText } from "../format/contents";
import { readWorkflow } from "../format/read";
import type { Key } from "../i18n";
import { server } from "../server/client";
import { current, editLater, openTab, showCatalogue, surroundings, useEditor } from "./editor";
import { fingerprint } from "./fingerprint";
import { notify } from "./notices";

const REASONS: Record<NoWorkflow["kind"], Key> = {
  picture: "file.nothing",
  parameters: "file.parameters",
  file: "file.nothingInFile",
};

/** Open what a file holds: JSON of either dialect, or a picture that carries a workflow. Says so if it cannot. */
export async function openFile(file: Blob & { name?: string }): Promise<boolean> {
  const name = file.name ?? "workflow";
  try {
    openTab(name.replace(/\.[^.]+$/, ""), read(await workflowText(file)));
    return true;
  } catch (error) {
    if (error instanceof NoWorkflow) notify("error", REASONS[error.kind], name);
    else unreadable(name, error);
    return false;
  }
}

/** Open JSON text in a tab of its own. Says so if it cannot; what was open stays as it was. */
export function openText(name: string, text: string, file: string | null = null): boolean {
  try {
    openTab(name, read(text), file, file === null ? null : fingerprint(text));
    return true;
  } catch (error) {
    unreadable(file ?? name, error);
    return false;
  }
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
  const { doc, catalogue } = surroundings();
  const { id: tab } = current();
  try {
    download(`${current().name}.api.json`, writeJson(toApi(doc, catalogue), 1));
  } catch (error) {
    notify("error", "run.refused", error instanceof Error ? error.message : undefined, { tab });
  }
}

/** The nodes whose pictures are on their way to the server, as `uploadKey` says them. */
export const useUploads = create<{ on: readonly string[] }>(() => ({ on: [] }));

export const uploadKey = (tab: string, node: string): string => `${tab}/${node}`;

/** Put a picture into the server's input folder and let a node load it. */
export async function uploadTo(node: string, key: string, file: Blob & { name?: string }): Promise<void> {
  const later = editLater();
  const { id: tab } = current();
  const upload = uploadKey(tab, node);
  useUploads.setState(({ on }) => ({ on: [...on, upload] }));
  try {
    const { name, subfolder } = await server.upload(file, file.name ?? "pasted.png");
    const value = subfolder ? `${subfolder}/${name}` : name;
    await refreshCatalogue();
    later((level) => mapNode(level, node, (before) => setWidget(before, key, value, surroundings())));
  } catch (error) {
    notify("error", "run.refused", error instanceof Error ? error.message : undefined, { tab });
  } finally {
    useUploads.setState(({ on }) => ({ on: on.toSpliced(on.indexOf(upload), 1) }));
  }
}

export async function refreshCatalogue(): Promise<void> {
  showCatalogue(await server.catalogue());
}

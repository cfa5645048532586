/** Files dropped or pasted anywhere. */

import { useEffect } from "react";
import { stage } from "../canvas/stage";
import { addNode, newNode, nextNodeId } from "../document/edits";
import { t } from "../i18n";
import { current, edit, levelOf, pasteText, select, useEditor } from "../state/editor";
import { openFile, openText, uploadTo } from "../state/files";
import { notify } from "../state/notices";

export function useFileDrop(): void {
  useEffect(() => {
    const { dataset } = document.documentElement;
    let within = 0;
    const carries = (event: DragEvent) =>
      event.dataTransfer?.types.some((type) => type === "Files" || type === "text/uri-list") ?? false;
    const enter = (event: DragEvent) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      within += 1;
      dataset.dropping = "";
    };
    const leave = () => {
      within = Math.max(0, within - 1);
      if (!within) delete dataset.dropping;
    };
    const over = (event: DragEvent) => {
      if (carries(event)) event.preventDefault();
    };
    const drop = (event: DragEvent) => {
      within = 0;
      delete dataset.dropping;
      if (event.defaultPrevented || !event.dataTransfer) return;
      const files = [...event.dataTransfer.files];
      const address = event.dataTransfer.getData("text/uri-list").split("\n")[0]?.trim();
      if (!files.length && !address) return;
      event.preventDefault();
      if (files.length) void openAll(files);
      else if (address) void openAddress(address);
    };
    const paste = (event: ClipboardEvent) => {
      const { target, clipboardData } = event;
      if (target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement) return;
      const files = [...(clipboardData?.files ?? [])];
      const picture = files.find((file) => file.type.startsWith("image/"));
      if (picture) return void pastePicture(picture);
      if (files.length) return void openAll(files);
      const text = clipboardData?.getData("text/plain") ?? "";
      if (stage && pasteText(text, { at: stage.pointer ?? stage.middle() })) event.preventDefault();
      else if (/^\s*\{/.test(text) && /"(nodes|class_type)"/.test(text) && openText(t("app.pasted"), text))
        event.preventDefault();
    };
    const handlers = [
      ["dragenter", enter],
      ["dragleave", leave],
      ["dragover", over],
      ["drop", drop],
      ["paste", paste],
    ] as [string, EventListener][];
    for (const [name, handler] of handlers) window.addEventListener(name, handler);
    return () => {
      for (const [name, handler] of handlers) window.removeEventListener(name, handler);
    };
  }, []);
}

async function openAll(files: File[]): Promise<void> {
  for (const file of files) await openFile(file);
}

/** A picture dragged out of the gallery, or a file of this server. Others' addresses are not asked. */
async function openAddress(address: string): Promise<void> {
  if (!URL.canParse(address) || new URL(address).origin !== location.origin)
    return notify("error", "file.elsewhere", address);
  const { pathname, searchParams } = new URL(address);
  const name = searchParams.get("filename") ?? decodeURIComponent(pathname.replace(/^.*\//, ""));
  try {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${answer.status}`);
    await openFile(new File([await answer.blob()], name));
  } catch {
    notify("error", "run.unreachable");
  }
}

/** Into the selected node that loads pictures, else into a new one. */
async function pastePicture(file: File): Promise<void> {
  const { catalogue } = useEditor.getState();
  const chosen = levelOf(current()).nodes.find((node) => current().selection.has(String(node.id)) && loads(node.type));
  if (chosen) return uploadTo(String(chosen.id), loads(chosen.type) as string, file);
  const def = catalogue.get("LoadImage");
  if (!def || !stage) return;
  const id = nextNodeId(levelOf(current()));
  const [x, y] = stage.middle();
  edit((level) => addNode(level, newNode(def, id, [Math.round(x) - 135, Math.round(y) - 100])));
  select([String(id)]);
  await uploadTo(String(id), "image", file);
}

const loads = (type: string): string | undefined =>
  useEditor
    .getState()
    .catalogue.get(type)
    ?.inputs.find((input) => input.widget === "image")?.name;

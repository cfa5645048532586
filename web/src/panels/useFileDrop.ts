/** Files dropped or pasted anywhere. */

import { useEffect } from "react";
import { stage } from "../canvas/stage";
import { t } from "../i18n";
import { pictureInput } from "../state/commands";
import { pasteText } from "../state/editor";
import { openFile, openText, uploadTo } from "../state/files";
import { notify } from "../state/notices";

export function useFileDrop(): void {
  useEffect(() => {
    const { dataset } = document.documentElement;
    const carries = (event: DragEvent) =>
      event.dataTransfer?.types.some((type) => type === "Files" || type === "text/uri-list") ?? false;
    const end = () => delete dataset.dropping;
    const leave = (event: DragEvent) => {
      if (event.relatedTarget === null) end(); // out of the window
    };
    const show = (event: DragEvent) => {
      if (event.dataTransfer?.types.includes("Files")) dataset.dropping = "";
    };
    const over = (event: DragEvent) => {
      if (carries(event)) event.preventDefault();
    };
    const drop = (event: DragEvent) => {
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
    // The overlay is shown and removed in the capture phase: a node that takes the drop stops the event.
    const handlers = [
      ["dragover", show, true],
      ["dragleave", leave, true],
      ["drop", end, true],
      ["dragend", end, true],
      ["dragover", over, false],
      ["drop", drop, false],
      ["paste", paste, false],
    ] as [string, EventListener, boolean][];
    for (const [name, handler, capture] of handlers) window.addEventListener(name, handler, { capture });
    return () => {
      for (const [name, handler, capture] of handlers) window.removeEventListener(name, handler, { capture });
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
  const to = stage && pictureInput(stage.middle());
  if (to) await uploadTo(to.id, to.key, file);
}

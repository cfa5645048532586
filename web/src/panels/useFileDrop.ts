/** Handles files that are dropped or pasted anywhere on the page. */

import { useEffect } from "react";
import { stage } from "../canvas/stage";
import { t } from "../i18n";
import { newPictureInput, pictureInput } from "../state/commands";
import { pasteText } from "../state/editor";
import { openFile, openText, PARAMETERS, uploadTo } from "../state/files";
import { notify } from "../state/notices";

export function useFileDrop(): void {
  useEffect(() => {
    const { dataset } = document.documentElement;
    const carries = (event: DragEvent) =>
      event.dataTransfer?.types.some((type) => type === "Files" || type === "text/uri-list") ?? false;
    const end = () => delete dataset.dropping;
    const leave = (event: DragEvent) => {
      if (event.relatedTarget === null) end(); // the pointer left the window
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
      // A picture's workflow opens; with Shift, or if it carries none, the canvas loads the picture.
      const onCanvas = event.target instanceof Element && event.target.closest(".canvas") !== null;
      const at = onCanvas && stage ? stage.toCanvas(event.clientX, event.clientY) : null;
      if (files.length) void openAll(files, at, event.shiftKey);
      else if (address) void openAddress(address, at, event.shiftKey);
    };
    const paste = (event: ClipboardEvent) => {
      const { target, clipboardData } = event;
      if (target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement) return;
      const files = [...(clipboardData?.files ?? [])];
      const picture = files.find((file) => file.type.startsWith("image/"));
      if (picture) return void pastePicture(picture);
      if (files.length) return void openAll(files, null, false);
      const text = clipboardData?.getData("text/plain") ?? "";
      if (stage && pasteText(text, { at: stage.pointer ?? stage.middle() })) event.preventDefault();
      else if (/^\s*\{/.test(text) && /"(nodes|class_type)"/.test(text) && openText(t("app.pasted"), text))
        event.preventDefault();
      else if (PARAMETERS.test(text)) {
        event.preventDefault();
        void openFile(new File([text], `${t("app.pasted")}.txt`, { type: "text/plain" }));
      }
    };
    // The overlay is handled in the capture phase: a node that accepts the drop stops the event.
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

type Place = readonly [number, number];

/** `at`: where on the canvas pictures without a workflow are loaded. `asPicture`: those with one, too. */
async function openAll(files: File[], at: Place | null, asPicture: boolean): Promise<void> {
  for (const file of files) {
    const load = at ? (picture: Blob & { name?: string }) => loadPicture(picture, at) : undefined;
    if (load && asPicture && file.type.startsWith("image/")) await load(file);
    else await openFile(file, load);
  }
}

/** Load a picture into a new node. False: there is no node that loads pictures. */
async function loadPicture(picture: Blob & { name?: string }, at: Place): Promise<boolean> {
  const to = newPictureInput(at);
  if (to) await uploadTo(to.id, to.key, picture);
  return to !== null;
}

/** A picture dragged out of the gallery, or a file of this server. Other servers are not contacted. */
async function openAddress(address: string, at: Place | null, asPicture: boolean): Promise<void> {
  if (!URL.canParse(address) || new URL(address).origin !== location.origin)
    return notify("error", "file.elsewhere", address);
  const { pathname, searchParams } = new URL(address);
  const name = searchParams.get("filename") ?? decodeURIComponent(pathname.replace(/^.*\//, ""));
  try {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${answer.status}`);
    const content = await answer.blob();
    await openAll([new File([content], name, { type: content.type })], at, asPicture);
  } catch {
    notify("error", "run.unreachable");
  }
}

/** Load it into the selected node that loads pictures, or into a new one. */
async function pastePicture(file: File): Promise<void> {
  const to = stage && pictureInput(stage.middle());
  if (to) await uploadTo(to.id, to.key, file);
}

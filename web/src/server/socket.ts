/** The server's WebSocket; it reconnects automatically. */

export interface Listener {
  message(type: string, data: Record<string, unknown>): void;
  preview(picture: Blob, about: Record<string, unknown>): void;
  /** The text that a node sends during its work. */
  text(node: string, text: string): void;
  connected(again: boolean): void;
  lost(): void;
}

const SHORTEST_WAIT = 250;
const LONGEST_WAIT = 5000;
const PATIENCE = 4000;
const HELLO = JSON.stringify({ type: "feature_flags", data: { supports_preview_metadata: true } });

export function listen(clientId: string, listener: Listener): void {
  let socket: WebSocket;
  let wait = SHORTEST_WAIT;
  let before = false;
  let again = 0;
  let unanswered = 0;
  const open = () => {
    window.clearTimeout(again);
    const address = new URL("api/ws", document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    address.searchParams.set("clientId", clientId);
    const opened = new WebSocket(address);
    socket = opened;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      wait = SHORTEST_WAIT;
      opened.send(HELLO);
      listener.connected(before);
      before = true;
    };
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      window.clearTimeout(unanswered);
      if (typeof event.data === "string") {
        const { type, data } = JSON.parse(event.data) as { type: string; data: Record<string, unknown> };
        listener.message(type, data ?? {});
      } else readBinary(event.data, listener);
    };
    socket.onclose = () => {
      if (opened !== socket) return; // already given up
      listener.lost();
      again = window.setTimeout(open, wait);
      wait = Math.min(LONGEST_WAIT, wait * 2);
    };
  };
  // After sleep or a network change, a connection may look open although it is dead.
  const look = () => {
    if (document.visibilityState === "hidden") return;
    if (socket.readyState === WebSocket.OPEN) {
      socket.send(HELLO); // the server answers
      window.clearTimeout(unanswered);
      unanswered = window.setTimeout(() => {
        socket.close();
        listener.lost();
        open();
      }, PATIENCE);
    } else if (socket.readyState === WebSocket.CLOSED) open();
  };
  open();
  document.addEventListener("visibilitychange", look);
  window.addEventListener("online", look);
}

function readBinary(data: ArrayBuffer, listener: Listener): void {
  const view = new DataView(data);
  const kind = view.getUint32(0);
  if (kind === 1) {
    listener.preview(new Blob([data.slice(8)], { type: view.getUint32(4) === 2 ? "image/png" : "image/jpeg" }), {});
  } else if (kind === 3) {
    const length = view.getUint32(4);
    const text = new TextDecoder();
    listener.text(text.decode(new Uint8Array(data, 8, length)), text.decode(new Uint8Array(data, 8 + length)));
  } else if (kind === 4) {
    const length = view.getUint32(4);
    const about = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 8, length))) as Record<string, unknown>;
    listener.preview(new Blob([data.slice(8 + length)], { type: String(about.image_type ?? "image/jpeg") }), about);
  }
}

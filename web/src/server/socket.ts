/** The server's WebSocket, which comes back by itself. */

export interface Listener {
  message(type: string, data: Record<string, unknown>): void;
  preview(picture: Blob, about: Record<string, unknown>): void;
  connected(again: boolean): void;
  lost(): void;
}

const LONGEST_WAIT = 8000;

export function listen(clientId: string, listener: Listener): () => void {
  let socket: WebSocket;
  let wait = 250;
  let before = false;
  let closed = false;
  const open = () => {
    const address = new URL("api/ws", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    address.searchParams.set("clientId", clientId);
    socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      wait = 250;
      socket.send(JSON.stringify({ type: "feature_flags", data: { supports_preview_metadata: true } }));
      listener.connected(before);
      before = true;
    };
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      if (typeof event.data === "string") {
        const { type, data } = JSON.parse(event.data) as { type: string; data: Record<string, unknown> };
        listener.message(type, data ?? {});
      } else readBinary(event.data, listener);
    };
    socket.onclose = () => {
      if (closed) return;
      listener.lost();
      setTimeout(open, wait);
      wait = Math.min(LONGEST_WAIT, wait * 2);
    };
  };
  open();
  return () => {
    closed = true;
    socket.close();
  };
}

function readBinary(data: ArrayBuffer, listener: Listener): void {
  const view = new DataView(data);
  const kind = view.getUint32(0);
  if (kind === 1) {
    listener.preview(new Blob([data.slice(8)], { type: view.getUint32(4) === 2 ? "image/png" : "image/jpeg" }), {});
  } else if (kind === 4) {
    const length = view.getUint32(4);
    const about = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 8, length))) as Record<string, unknown>;
    listener.preview(new Blob([data.slice(8 + length)], { type: String(about.image_type ?? "image/jpeg") }), about);
  }
}

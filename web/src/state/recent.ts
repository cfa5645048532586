/** The nodes that this user added last, by what they were added to. Kept in the browser. */

const KEY = "sumi.recent";
const MOST = 60;

export interface Added {
  /** The class that was added. */
  node: string;
  /** `KSampler/output/0`, where its link comes from; empty: it was added alone. */
  to: string;
}

let known: Added[] | null = null;

function recall(): Added[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    if (Array.isArray(found))
      return found.filter((entry): entry is Added => typeof entry?.node === "string" && typeof entry?.to === "string");
  } catch {
    // No storage is available, or it holds something else.
  }
  return [];
}

/** Newest first. */
export const recent = (): readonly Added[] => {
  known ??= recall();
  return known;
};

export function remember(added: Added): void {
  known = [added, ...recent().filter(({ node, to }) => node !== added.node || to !== added.to)].slice(0, MOST);
  try {
    localStorage.setItem(KEY, JSON.stringify(known));
  } catch {
    // The order of suggestions is not worth a message.
  }
}

/** What nodes, fields and outputs do, in Chinese, by the English text that the server sends. */

const FILES = import.meta.glob<Record<string, string>>("./help.zh/*.json", { eager: true, import: "default" });

export const help: Readonly<Record<string, string>> = Object.assign({}, ...Object.values(FILES));

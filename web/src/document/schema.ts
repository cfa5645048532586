/** Node types, from what `GET /object_info` says of them. */

export type WidgetKind = "int" | "float" | "text" | "multiline" | "choice" | "switch" | "color" | "image";

export interface InputDef {
  name: string;
  /** In the chosen language, if that is another one. */
  label?: string;
  type: string;
  required: boolean;
  /** null: a socket only. */
  widget: WidgetKind | null;
  default?: unknown;
  min?: number | bigint;
  max?: number | bigint;
  step?: number;
  round?: number;
  choices?: unknown[];
  tooltip?: string;
  placeholder?: string;
  /** A seed, say: fixed, incremented, decremented or randomized after each run. */
  controlled: boolean;
  /** `{a|b}` in its text stands for one of the two. */
  dynamicPrompts?: boolean;
  /** The extra entry in widgets_values that an upload button has. */
  upload?: "image" | "video" | "audio" | "file" | "model";
  folder: "input" | "output";
}

export interface OutputDef {
  name: string;
  label?: string;
  type: string;
  isList: boolean;
}

export interface NodeDef {
  name: string;
  title: string;
  /** The title in the chosen language, if that is another one. */
  label?: string;
  description: string;
  category: string;
  categoryLabel?: string;
  inputs: InputDef[];
  outputs: OutputDef[];
  outputNode: boolean;
  deprecated: boolean;
  experimental: boolean;
}

export type Catalogue = ReadonlyMap<string, NodeDef>;

type RawInput = [unknown, Record<string, unknown>?];

export interface RawNodeDef {
  input?: { required?: Record<string, RawInput>; optional?: Record<string, RawInput> };
  input_order?: { required?: string[]; optional?: string[] };
  output?: unknown[];
  output_name?: string[];
  output_is_list?: boolean[];
  display_name?: string;
  description?: string;
  category?: string;
  output_node?: boolean;
  deprecated?: boolean;
  experimental?: boolean;
}

export function readCatalogue(info: Record<string, RawNodeDef>): Map<string, NodeDef> {
  return new Map(Object.entries(info).map(([name, raw]) => [name, readNodeDef(name, raw ?? {})]));
}

function readNodeDef(name: string, raw: RawNodeDef): NodeDef {
  const inputs: InputDef[] = [];
  for (const group of ["required", "optional"] as const) {
    const declared = raw.input?.[group] ?? {};
    for (const key of raw.input_order?.[group] ?? Object.keys(declared)) {
      const entry = declared[key];
      if (entry !== undefined && entry !== null) inputs.push(readInput(key, entry, group === "required"));
    }
  }
  const outputs = (raw.output ?? []).map((type, index) => ({
    name: raw.output_name?.[index] || typeName(type),
    type: typeName(type),
    isList: raw.output_is_list?.[index] ?? false,
  }));
  return {
    name,
    title: raw.display_name || name,
    description: raw.description ?? "",
    category: raw.category ?? "",
    inputs,
    outputs,
    outputNode: raw.output_node ?? false,
    deprecated: raw.deprecated ?? false,
    experimental: raw.experimental ?? false,
  };
}

const typeName = (type: unknown): string => (Array.isArray(type) ? "COMBO" : String(type));

/** Packs declare what they like; what is no `[type, options]` is a socket of that type. */
function readInput(name: string, entry: RawInput | string, required: boolean): InputDef {
  const [declared, given] = Array.isArray(entry) ? entry : [entry];
  const options = typeof given === "object" && given !== null ? given : {};
  const choices = Array.isArray(declared)
    ? declared
    : declared === "COMBO"
      ? ((options.options as unknown[]) ?? [])
      : undefined;
  const type = choices ? "COMBO" : String(declared);
  const uploads = (["image", "video", "audio", "file", "model"] as const).filter((kind) => options[`${kind}_upload`]);
  return {
    name,
    type,
    required,
    widget: options.forceInput ? null : widgetKind(type, options),
    default: options.default,
    min: options.min as number | undefined,
    max: options.max as number | undefined,
    step: options.step as number | undefined,
    round: options.round === false ? undefined : (options.round as number | undefined),
    choices,
    tooltip: options.tooltip as string | undefined,
    placeholder: options.placeholder as string | undefined,
    controlled: isControlled(name, type, options),
    dynamicPrompts: options.dynamicPrompts === true || undefined,
    upload: uploads[0],
    folder: options.image_folder === "output" ? "output" : "input",
  };
}

function widgetKind(type: string, options: Record<string, unknown>): WidgetKind | null {
  switch (type) {
    case "INT":
      return options.display === "color" ? "color" : "int";
    case "FLOAT":
      return "float";
    case "STRING":
      return options.multiline ? "multiline" : "text";
    case "BOOLEAN":
      return "switch";
    case "COMBO":
      return options.image_upload ? "image" : "choice";
    default:
      return null;
  }
}

function isControlled(name: string, type: string, options: Record<string, unknown>): boolean {
  if (type === "INT") return Boolean(options.control_after_generate ?? (name === "seed" || name === "noise_seed"));
  return type === "COMBO" && Boolean(options.control_after_generate);
}

/** What a widget shows that nobody has touched. undefined: nothing. */
export function firstValue(input: InputDef): unknown {
  if (input.default !== undefined) return input.default;
  if (input.choices?.length) return input.choices[0];
  switch (input.type) {
    case "INT":
    case "FLOAT":
      return Math.max(0, Number(input.min ?? 0));
    case "STRING":
      return "";
    case "BOOLEAN":
      return false;
    default:
      return undefined;
  }
}
